"""The figures of a build: what it uses, how fast it is, and what limits it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from relaxon.boards import energy
from relaxon.boards.flow import Build
from relaxon.boards.speed import Workload, activity
from relaxon.errors import DataError
from relaxon.files import write_text
from relaxon.link_budget import Budget, rate
from relaxon.protocol_table import rows as table


def figures(build: Build, workload: Workload) -> dict[str, Any]:
    """All figures of a build, as ``relaxon report --json`` writes them.

    ``fmax_mhz`` is routed; ``cycles_per_sample`` is a training sample of the workload;
    ``samples_per_second_compute`` are at ``clock_mhz``, ``samples_per_second_link`` at ``baud``.
    """
    design = build.design
    config, target = design.config, design.target
    means = activity(config, workload)
    compute = design.clock_hz / means["cycles"]
    link = rate(design.baud, Budget(config.inputs).request)
    available = target.part.available
    return {
        "board": target.name,
        "title": target.title,
        "part": target.part.name,
        "modules": config.modules,
        "neurons": config.neurons,
        "inputs": config.inputs,
        "classes": config.classes,
        "lanes": config.lanes,
        "store": config.store,
        "weights": config.total_neurons * (config.neurons - 1 + config.inputs),
        "weight_bits": config.weight_bits,
        "fmax_mhz": round(build.fmax_mhz, 2),
        "fmax_per_clock_mhz": {clock.name: round(clock.achieved, 2) for clock in build.clocks},
        "clock_mhz": design.clock_hz / 1e6,
        "margin": target.margin,
        "timing_met": build.timing_met,
        "resources": {
            name: {"used": count, "available": available[name]}
            for name, count in build.used.items()
            if name in available
        },
        "workload": str(workload),
        "cycles_per_sample": round(means["cycles"], 1),
        "samples_per_second_compute": round(compute),
        "samples_per_second_link": link,
        "limited_by": "link" if link < compute else "compute",
        "baud": design.baud,
        "energy_estimate": energy.estimate(config, means),
        "bitstream": build.bitstream.name,
        "bitstream_bytes": build.bitstream.stat().st_size,
        "seed": build.seed,
        "build_id": build.about["build_id"],
        "tools": build.about["tools"],
    }


def rows(figures: dict[str, Any]) -> list[tuple[str, Any]]:
    """The same for people, as names and values."""
    f = figures
    met = "met" if f["timing_met"] else "[bold red]MISSED[/]"
    margin = f" with a margin of {f['margin']:.0%}" if f["margin"] else ""
    return [
        ("machine", f"{f['modules']} × {f['neurons']} neurons, {f['inputs']} inputs, "
                    f"{f['lanes']} lanes, {f['store']} store"),
        ("weights", f"{f['weights']:,} of {f['weight_bits']} bits, "
                    f"{f['weights'] * f['weight_bits'] / 1024:,.0f} kbit"),
        *((name, f"{r['used']:,} of {r['available']:,} ({r['used'] / r['available']:.0%})")
          for name, r in f["resources"].items()),
        ("routed Fmax", ", ".join(f"{mhz:.1f} MHz" for mhz in f["fmax_per_clock_mhz"].values())),
        ("clock", f"{f['clock_mhz']:g} MHz: timing {met}{margin}"),
        ("cycles per training sample", f"{f['cycles_per_sample']:,.0f} ({f['workload']})"),
        ("samples/s by compute", f"{f['samples_per_second_compute']:,}"),
        ("samples/s by link", f"{f['samples_per_second_link']:,} at {f['baud']:,} baud"),
        ("limited by", f["limited_by"]),
        ("energy, estimated", f"{f['energy_estimate']['microjoules_per_sample']:.3g} µJ a sample in "
                              "weight memory and lanes alone"),
        ("bitstream", f"{f['bitstream']}, {f['bitstream_bytes']:,} bytes, seed {f['seed']}"),
        ("build", f["build_id"]),
    ]  # fmt: skip


MARKS = ("<!-- made by make boards from boards/reports -->", "<!-- end of what make boards made -->")
COLUMNS = ("board", "machine", "LUT", "block RAM", "routed Fmax", "clock", "cycles per training sample",
           "samples/s by compute", "samples/s by link")  # fmt: skip


def committed(folder: Path) -> list[dict[str, Any]]:
    """The reports in a folder, by the names of their files."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]


def readme_table(reports: list[dict[str, Any]]) -> str:
    """The table of the README, with the marks around it."""
    return f"{MARKS[0]}\n\n{table(COLUMNS, map(_row, reports))}\n{MARKS[1]}"


def replace_table(page: str, table: str) -> str:
    """The page with that table between its marks. `DataError` if it has no marks."""
    if not all(page.count(mark) == 1 for mark in MARKS):
        raise DataError(f"the page must have {MARKS[0]} and {MARKS[1]} once each")
    before, rest = page.split(MARKS[0])
    return before + table + rest.split(MARKS[1])[1]


def _row(f: dict[str, Any]) -> tuple[str, ...]:
    resources = f["resources"]
    memory = [
        f"{resources[name]['used']} of {resources[name]['available']}{note}"
        for name, note in (("RAM", ""), ("SPRAM", " SPRAM"))
        if name in resources
    ]
    luts = resources["LUT"]
    return (
        f["board"],
        f"{f['modules']} × {f['neurons']}, N = {f['inputs']}, {f['lanes']} lanes",
        f"{_number(luts['used'])} of {_number(luts['available'])}",
        ", ".join(memory),
        f"{f['fmax_mhz']:.1f} MHz",
        f"{f['clock_mhz']:g} MHz",
        _number(round(f["cycles_per_sample"])),
        _number(f["samples_per_second_compute"]),
        _number(f["samples_per_second_link"]),
    )


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def main() -> None:
    """Put the table of the reports in ``boards/reports`` into the README of the folder it runs in."""
    page = Path("README.md")
    table = readme_table(committed(Path("boards/reports")))
    write_text(page, replace_table(page.read_text(encoding="utf-8"), table))


if __name__ == "__main__":
    main()
