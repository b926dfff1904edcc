"""What a board is to Relaxon: everything that one file in this folder fills in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relaxon.boards.parts import Part
from relaxon.config import Config
from relaxon.errors import ConfigError
from relaxon.protocol import STORES

LAMPS = ("busy", "learning", "passed", "error")
DEFAULT = "modules"
"""The network that is built where none is named."""


@dataclass(frozen=True, kw_only=True)
class Nextpnr:
    """How place and route is to work, where nextpnr's own way, or the family's, is not the best.

    Attributes
    ----------
    density
        The part of the cells of a region that may be used, over 0 to 1: where cells lie less densely,
        routing finds more room.
    timing_weight
        Of a critical connection's length, compared with any other's; nextpnr's own is 10.
    placer, router
        Their names.
    floorplan
        Give the block RAMs their places beforehand (`relaxon.boards.floorplan`).
    """

    density: float | None = None
    timing_weight: int | None = None
    placer: str | None = None
    router: str | None = None
    floorplan: bool = False


@dataclass(frozen=True, kw_only=True)
class Network:
    """A size of machine: modules of neurons, inputs, classes, lanes; `clock_mhz` and `store` where they
    are not the board's; and how it is best placed."""

    modules: int
    neurons: int = 32
    inputs: int = 100
    classes: int = 10
    lanes: int
    clock_mhz: float | None = None
    store: str | None = None
    nextpnr: Nextpnr = Nextpnr()

    @property
    def preset(self) -> str:
        """The named set of registers that suits the shape."""
        return "paper" if self.modules == 1 else "modules"

    def config(self, store: str) -> Config:
        """The machine's configuration; `store` is the board's."""
        return Config.preset(
            self.preset, modules=self.modules, neurons=self.neurons, inputs=self.inputs,
            classes=self.classes, lanes=self.lanes, store=self.store or store,
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.modules} × {self.neurons}, N = {self.inputs}, {self.lanes} lanes"


@dataclass(frozen=True)
class Pin:
    """A resource of the platform, or a part of one: ``Pin("led", 0)``, ``Pin("rgb_led", 0, "g")``."""

    name: str
    number: int = 0
    part: str | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """A board.

    Attributes
    ----------
    name
        On the command line; lower case with hyphens.
    title
        For people.
    part
        Its FPGA (`relaxon.boards.parts`).
    platform
        Makes the Amaranth platform, with pins and input clock; imports what it needs when called.
    clock_mhz
        Of the core: what its networks reach with margin. A PLL makes it from the input clock.
    margin
        By how much the routed Fmax must exceed the clock: 0 where the timing model is the
        manufacturer's or verified, more where it is not.
    uart
        The link's pins: a resource with `rx` and `tx`.
    link
        How a host gets at them, in words.
    baud
        Of the link.
    leds
        Which LED is which lamp: busy, learning, passed, error (`relaxon.boards.lights`).
    button
        Starts the self-test; None if there is none.
    self_test
        Whether the gateware has one: it costs about 250 LUTs.
    store
        Weight store for this FPGA's memory ("skewed" or "column").
    networks
        Sizes known to fit; the one called "modules" is the default.
    programmer
        Options of openFPGALoader that name board or cable.
    permanent
        The option that writes the configuration flash; None where that is all the programmer does.
    advice
        What to know before programming it.
    seed
        Of placement; one that is known to be good.

    Raises
    ------
    ConfigError
        A name that cannot be one, a store that there is not, or no default network.
    """

    name: str
    title: str
    part: Part
    platform: Callable[[], Any]
    clock_mhz: float
    margin: float = 0.0
    uart: Pin = Pin("uart")
    link: str = "USB serial port on the board"
    baud: int = 1_000_000
    leds: Mapping[str, Pin] = field(default_factory=dict)
    button: Pin | None = None
    self_test: bool = True
    store: str = "skewed"
    networks: Mapping[str, Network] = field(default_factory=dict)
    programmer: tuple[str, ...] = ()
    permanent: str | None = "--write-flash"
    advice: str = ""
    seed: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ConfigError(
                f"a board's name must be lower case letters, digits and hyphens, not {self.name!r}"
            )
        if self.store not in STORES:
            raise ConfigError(f"{self.name}: store must be one of {', '.join(STORES)}")
        if unknown := set(self.leds) - set(LAMPS):
            raise ConfigError(f"{self.name}: lamps are {', '.join(LAMPS)}, not {unknown.pop()!r}")
        if DEFAULT not in self.networks:
            raise ConfigError(f'{self.name}: networks must have one called "{DEFAULT}"')

    def network(self, name: str = DEFAULT) -> Network:
        """One of its networks. `ConfigError` if there is none of that name."""
        if name not in self.networks:
            known = ", ".join(self.networks)
            raise ConfigError(f"{self.name} has no network {name!r}; it has {known}")
        return self.networks[name]
