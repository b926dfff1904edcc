"""Does a machine fit a board, and if not: what is short, and what would fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from relaxon.boards import area
from relaxon.boards.parts import Part
from relaxon.boards.target import Target
from relaxon.config import Config
from relaxon.errors import ConfigError

EXACT = ("RAM", "SPRAM")
"""Resources that `relaxon.boards.area` counts exactly; of the others it allows `area.LUT_ERROR`."""


@dataclass(frozen=True)
class Need:
    """How many of a resource a machine takes, and how many there are."""

    resource: str
    needed: int
    available: int

    @property
    def load(self) -> float:
        """The least part of what there is that it may take; over 1 it cannot fit."""
        if not self.needed:
            return 0.0
        slack = 0.0 if self.resource in EXACT else area.LUT_ERROR
        return self.needed * (1 - slack) / self.available if self.available else math.inf

    @property
    def fits(self) -> bool:
        """Is it possible at all? An estimate has to be over by more than its error."""
        return self.load <= 1

    def __str__(self) -> str:
        about = "" if self.resource in EXACT else "about "
        return f"{self.resource}: {about}{self.needed:,} of {self.available:,}"


def needs(part: Part, config: Config) -> list[Need]:
    """What a machine takes of every resource of a part."""
    taken = area.of_machine(config, part.name).of(part.family)
    return [
        Need(resource, needed, part.available.get(resource, 0))
        for resource, needed in taken.items()
    ]


def fits(part: Part, config: Config) -> bool:
    """Can the machine fit the part?"""
    return all(need.fits for need in needs(part, config))


def check(target: Target, config: Config) -> list[Need]:
    """The needs of a machine that can fit. `ConfigError` says what is short and what would fit."""
    found = needs(target.part, config)
    short = [need for need in found if not need.fits]
    if short:
        raise ConfigError(
            f"{config.modules} × {config.neurons} neurons with {config.inputs} inputs on "
            f"{config.lanes} lanes ({config.store} store) cannot fit {target.title} "
            f"({target.part.name}): {'; '.join(map(str, short))}. {_instead(target.part, config)}"
        )
    return found


def largest(part: Part, config: Config) -> int:
    """The largest number of modules, all else as in `config`, that can fit; 0 if none.

    Every trial elaborates a machine, so they are few: what it takes grows about in proportion.
    """

    def load(modules: int) -> float:
        tried = needs(part, config.replace(modules=modules, field_bits=None))
        return max(need.load for need in tried)

    low, high = 1, max(2, config.modules)
    low_load, high_load = load(low), load(high)
    if low_load > 1:
        return 0
    while high_load <= 1 and high < Config.LIMITS["modules"][1]:
        low, low_load = high, high_load
        high = min(2 * high, Config.LIMITS["modules"][1])
        high_load = load(high)
    halve = False
    while high - low > 1 and high_load > 1:
        share = 0.5 if halve else (1 - low_load) / (high_load - low_load)
        middle = min(max(low + round((high - low) * share), low + 1), high - 1)
        middle_load = load(middle)
        if middle_load <= 1:
            low, low_load = middle, middle_load
        else:
            high, high_load = middle, middle_load
        halve = not halve
    return low if high_load > 1 else high


def _instead(part: Part, config: Config) -> str:
    modules = largest(part, config)
    if modules:
        return f"On as many lanes, up to {modules} modules of {config.neurons} would fit"
    lanes = config.lanes // 2
    while lanes >= 4:
        fewer = config.replace(lanes=lanes, modules=1, field_bits=None)
        if fits(part, fewer):
            modules = largest(part, fewer)
            return f"On {lanes} lanes, up to {modules} modules of {config.neurons} would fit"
        lanes //= 2
    return f"Not even one module of {config.neurons} with {config.inputs} inputs fits it"
