"""Runs a cocotb testbench on an Amaranth component, on Icarus Verilog or on Verilator.

A testbench is two files: this runner's caller (pytest), and a module of ``@cocotb.test`` functions
that runs inside the simulator. What such modules share is in the rest of this package.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache as memoize
from pathlib import Path
from typing import Any, Literal, TextIO

import cocotb_tools.config
from amaranth.lib.wiring import Component
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Icarus, Runner, Verilator

from relaxon.errors import ToolError
from relaxon.hw.verilog import emit, for_icarus
from relaxon.sim import cache
from relaxon.sim.compiler import find_compiler, find_verilator
from relaxon.sim.testbench.bench import PARAMETERS
from relaxon.sim.verilate import BOARD_RUNTIME, compile_generated, runtime
from relaxon.tools import LINES

Simulator = Literal["icarus", "verilator"]
SIMULATORS: tuple[Simulator, ...] = ("icarus", "verilator")
NO_ICARUS = "Icarus Verilog is not installed; get it with: apt-get install iverilog"
TIMESCALE = ("1ns", "1ps")
TIMEOUT = 900.0
"""Seconds a simulation may take."""

_TRANSLATION = ("--vpi", "--public-flat-rw", "--x-initial", "unique", "--timescale",
                "/".join(TIMESCALE))
_VPI_RUNTIME = ("verilated_vpi", "verilated_dpi")


def has_icarus() -> bool:
    """Whether Icarus Verilog is installed."""
    return shutil.which("iverilog") is not None and shutil.which("vvp") is not None


def simulate(
    component: Component,
    bench: str,
    simulator: Simulator,
    folder: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    tests: str | None = None,
    seed: int = 0,
    waves: bool = False,
) -> int:
    """Run the tests of a testbench module and return how many there were, all of them passed.

    Parameters
    ----------
    component
        The device; its ports are those of `relaxon.hw.verilog.emit`.
    bench
        Name of the module, importable in this process.
    simulator
        "icarus" or "verilator".
    folder
        A folder of this run's own, for what the simulator writes.
    parameters
        JSON-able values for the testbench, which gets them from
        `relaxon.sim.testbench.bench.parameters`.
    tests
        A regular expression; only tests whose name matches are run.
    seed
        Seed of cocotb's (and the testbench's) random numbers.
    waves
        Write the signals to ``top.fst`` (Icarus only).

    Raises
    ------
    AssertionError
        A test failed; the message has the end of the log, which is ``simulation.log``.
    ToolError
        The simulator or a tool of its build is missing, failed, or did not end in time.
    """
    verilog = emit(component, spoil=True)
    folder.mkdir(parents=True, exist_ok=True)
    runner: Runner
    if simulator == "icarus":
        runner = _icarus(verilog, folder, waves)
    else:
        runner = _VerilatorRunner(_executable(verilog))
    log = folder / "simulation.log"
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    try:
        runner.test(
            bench, "top", hdl_toplevel_lang="verilog", build_dir=folder, test_dir=folder,
            results_xml=str(results), log_file=log, test_filter=tests, seed=seed, waves=waves,
            extra_env={PARAMETERS: json.dumps(dict(parameters or {}))},
        )  # fmt: skip
        count, failed = get_results(results)
    except (SystemExit, RuntimeError):  # how cocotb reports a failed test, and a crash
        count, failed = 0, 1
    if failed or not count:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-3 * LINES :])
        raise AssertionError(f"{bench} failed on {simulator}:\n{tail}\n(all of it: {log})")
    return count


class _Bounded:
    """A cocotb runner whose programs end in time."""

    env: dict[str, str]

    def _execute_cmds(
        self, cmds: Sequence[Sequence[str]], cwd: Any, stdout: TextIO | None = None
    ) -> None:
        for command in cmds:
            try:
                done = subprocess.run(
                    command, cwd=cwd, env=self.env, stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                    stdout=stdout, stderr=None if stdout is None else subprocess.STDOUT,
                    check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise ToolError(
                    f"{Path(command[0]).name} did not end within {TIMEOUT:.0f} s; does the "
                    "testbench wait for something that never comes?"
                ) from None
            if done.returncode:
                raise RuntimeError(f"{command[0]} ended with status {done.returncode}")


class _IcarusRunner(_Bounded, Icarus):
    pass


class _VerilatorRunner(_Bounded, Verilator):
    """Runs a simulation that `_executable` built; the stock runner needs perl and make for that."""

    def __init__(self, executable: Path):
        super().__init__()
        self._binary = executable

    def _test_command(self) -> list[list[str]]:
        return [[str(self._binary), *self.test_args, *self.plusargs]]


def _icarus(verilog: str, folder: Path, waves: bool) -> Runner:
    """A runner for the Verilog, compiled by Icarus."""
    if not has_icarus():
        raise ToolError(NO_ICARUS)
    source = folder / "top.v"
    source.write_text(for_icarus(verilog))
    runner = _IcarusRunner()
    log = folder / "icarus.log"
    try:
        runner.build(
            sources=[source], hdl_toplevel="top", timescale=TIMESCALE, build_dir=folder,
            always=True, waves=waves, log_file=log,
        )  # fmt: skip
    except RuntimeError as error:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LINES:])
        raise ToolError(f"compiling the testbench failed: {error}\n{tail}") from None
    return runner


@memoize
def _verilator_main() -> Path:
    """The main program that cocotb has for simulations by Verilator."""
    return cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"


def _executable(verilog: str) -> Path:
    """The simulation of the Verilog as a program, compiled by Verilator, from the cache if there."""
    compiler, verilator = find_compiler(), find_verilator()
    main = _verilator_main()
    libraries = cocotb_tools.config.libs_dir

    def fill(folder: Path) -> None:
        names = (*BOARD_RUNTIME, *_VPI_RUNTIME)
        support = runtime(compiler, verilator, names, lambda line: None)
        work = folder / "work"
        work.mkdir()
        (work / "top.v").write_text(verilog)
        verilator.translate(work / "top.v", _TRANSLATION)
        (work / main.name).write_bytes(main.read_bytes())
        objects = compile_generated(work, [main], [])
        compiler.link(
            folder / "top", [*objects, *support],
            [f"-L{libraries}", "-lcocotbvpi_verilator", f"-Wl,-rpath,{libraries}", "-rdynamic",
             "-lpthread"],
        )  # fmt: skip
        shutil.rmtree(work)

    name = cache.key(
        verilog, main.read_bytes(), str(libraries), *compiler.command, compiler.version,
        verilator.version, Path(__file__).read_bytes(),
    )  # fmt: skip
    return cache.entry("testbenches", name, fill) / "top"
