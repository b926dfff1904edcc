"""What is to be built: a machine for a board, at a clock and a line rate."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from relaxon import build_info
from relaxon.baud import cycles_per_bit
from relaxon.boards import pll
from relaxon.boards.clocking import input_mhz, limits
from relaxon.boards.families import FAMILIES, Family
from relaxon.boards.target import Network, Nextpnr, Target
from relaxon.build_id import ASIDE, build_id, fingerprint
from relaxon.config import Config
from relaxon.errors import ToolError
from relaxon.hw.collisions import unpromised
from relaxon.sources import contents


@dataclass(frozen=True)
class Design:
    """A machine for a board.

    Parameters
    ----------
    target
        The board.
    config
        The machine.
    clock_mhz
        Wanted of the PLL.
    baud
        Of the link.
    nextpnr
        How to place and route it.

    Raises
    ------
    ConfigError
        The PLL cannot make that clock, or the clock not that line rate.
    """

    target: Target
    config: Config
    clock_mhz: float
    baud: int
    nextpnr: Nextpnr = Nextpnr()

    @classmethod
    def of(
        cls, target: Target, network: Network, clock_mhz: float | None = None, baud: int | None = None
    ) -> Design:
        """A network of a board, with a clock and a line rate of their own if none are given."""
        return cls(
            target, network.config(target.store), clock_mhz or network.clock_mhz or target.clock_mhz,
            baud or target.baud, network.nextpnr,
        )  # fmt: skip

    def __post_init__(self) -> None:
        cycles_per_bit(self.clock_hz, self.baud)

    @cached_property
    def setting(self) -> pll.Setting:
        """Of the PLL."""
        return pll.solve(limits(self.target.part), input_mhz(self.platform()), self.clock_mhz)

    @property
    def clock_hz(self) -> int:
        """Of the core, as the PLL makes it."""
        return self.setting.output_hz

    @property
    def needed_mhz(self) -> float:
        """What the core must reach in the timing analysis: its clock, and the board's margin."""
        return self.clock_hz / 1e6 * (1 + self.target.margin)

    @property
    def family(self) -> Family:
        """The toolchain."""
        return FAMILIES[self.target.part.family]

    @cached_property
    def build_id(self) -> int:
        """What the board will say it is (`relaxon.build_id`)."""
        return build_id(self.config)

    @property
    def about(self) -> dict[str, str]:
        """What the board will tell of its build.

        It is not among what a build is cached by: it says where these very sources were built first.
        """
        tools = {self.family.place.package: None, self.family.pack.package: None}
        return build_info.describe(self.target.name, tools)

    def platform(self) -> Any:
        """A fresh Amaranth platform. `ToolError` if the package that has it is missing."""
        try:
            return self.target.platform()
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0].replace("_", "-")
            raise ToolError(
                f"{package} is missing; install it with: pip install {package}"
            ) from None

    def files(self) -> dict[str, str]:
        """``top.il``, the gateware as RTLIL, and the file of constraints."""
        from relaxon.boards.shell import Shell
        from relaxon.sim.selftest import expected

        shell = Shell(
            self.target, self.config,
            setting=self.setting, baud=self.baud, build=self.build_id,
            about=build_info.encode(self.about),
            self_test=expected(self.config).signature if self.target.self_test else None,
        )  # fmt: skip
        plan = self.platform().prepare(shell, "top", emit_src=False)
        constraints = f"top.{self.family.constraints}"
        return {
            "top.il": unpromised(_text(plan.files["top.il"])),
            constraints: _text(plan.files[constraints]),
        }

    def identity(self) -> list[bytes]:
        """All that determines `files` but what the build tells of itself, without making them: it
        says where and with what it was made first, and an equal one need not be made again.

        These are the sources of this module with all that they import, and the board's own.
        """
        own = inspect.getsourcefile(_plain(self.target.platform))
        sources = [contents("relaxon.boards.design", but=ASIDE)]
        if own is not None:
            sources.append(_source(Path(own)))
        about = [self.config.registers.as_dict(), self.target.name, self.clock_mhz, self.baud,
                 self.target.self_test]
        return [
            fingerprint(self.config), json.dumps(about).encode(), *sources,
            *(version.encode() for version in versions(("amaranth", "amaranth-boards"))),
        ]  # fmt: skip


def versions(packages: Iterable[str]) -> list[str]:
    """Versions of installed packages; "none" for one that is not there."""
    found = []
    for package in packages:
        try:
            found.append(metadata.version(package))
        except metadata.PackageNotFoundError:
            found.append("none")
    return found


def _plain(function: Any) -> Any:
    """The function inside a `functools.partial`."""
    return getattr(function, "func", function)


def _source(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n")


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()
