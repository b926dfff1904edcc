"""PLL settings: an exhaustive search over the dividers within the data sheets' limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from relaxon.errors import ConfigError

TOLERANCE = 0.002
"""Relative error of the frequency that is accepted; the UART's share of it is small (2 %)."""

MHZ = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a PLL can do, in MHz."""

    name: str
    source: str
    input: tuple[float, float]
    compare: tuple[float, float]
    vco: tuple[float, float]
    output: tuple[float, float]


ECP5 = Limits(
    "EHXPLLL", "Lattice FPGA-DS-02012, sysCLOCK PLL timing",
    input=(8, 400), compare=(10, 400), vco=(400, 800), output=(3.125, 400),
)  # fmt: skip
ICE40 = Limits(
    "SB_PLL40", "Lattice FPGA-DS-02008, sysCLOCK PLL timing",
    input=(10, 133), compare=(10, 133), vco=(533, 1066), output=(16, 275),
)  # fmt: skip
GW1N = Limits(
    "rPLL", "Gowin DS117, PLL switching characteristics, C6/I5",
    input=(3, 400), compare=(3, 400), vco=(400, 1200), output=(3.125, 600),
)  # fmt: skip
GW2A = Limits(
    "rPLL", "Gowin DS226, PLL switching characteristics, C8/I7",
    input=(3, 500), compare=(3, 500), vco=(500, 1250), output=(3.90625, 625),
)  # fmt: skip

GOWIN_OUTPUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@dataclass(frozen=True)
class Setting:
    """Dividers of a PLL, and the frequencies they make (MHz)."""

    limits: Limits
    input: float
    compare: float
    vco: float
    output: float
    dividers: tuple[int, ...]
    """ECP5: CLKI, CLKFB, CLKOP, CLKOS. iCE40: DIVR, DIVF, DIVQ. Gowin: IDIV, FBDIV, ODIV."""

    @property
    def output_hz(self) -> int:
        """Frequency of the output."""
        return round(self.output * MHZ)


Candidate = tuple[float, float, float, tuple[int, ...]]
"""Frequencies of comparison, VCO and output, and the dividers."""


def _ecp5(f: float, wanted: float) -> Iterator[Candidate]:
    """CLKOP feeds back, CLKOS is the clock: VCO = f/CLKI · CLKFB · CLKOP, clock = VCO/CLKOS."""
    for i, fb, op in product(range(1, int(f / ECP5.compare[0]) + 1), range(1, 81), range(1, 129)):
        compare, vco = f / i, f / i * fb * op
        if _within(vco, ECP5.vco) and _within(compare * fb, ECP5.output):
            divider = min(128, max(1, round(vco / wanted)))
            yield compare, vco, vco / divider, (i, fb, op, divider)


def _ice40(f: float, wanted: float) -> Iterator[Candidate]:
    """Simple feedback: VCO = f/(DIVR+1) · (DIVF+1), clock = VCO/2^DIVQ."""
    for r, fb, q in product(range(16), range(128), range(1, 7)):
        compare = f / (r + 1)
        vco = compare * (fb + 1)
        yield compare, vco, vco / (1 << q), (r, fb, q)


def _gowin(f: float, wanted: float) -> Iterator[Candidate]:
    """Clock = f/(IDIV+1) · (FBDIV+1), VCO = clock · ODIV."""
    for i, fb, o in product(range(64), range(64), GOWIN_OUTPUT_DIVIDERS):
        compare = f / (i + 1)
        clock = compare * (fb + 1)
        yield compare, clock * o, clock, (i, fb, o)


SEARCHES = {ECP5: _ecp5, ICE40: _ice40, GW1N: _gowin, GW2A: _gowin}


def solve(limits: Limits, input_mhz: float, wanted_mhz: float) -> Setting:
    """The setting that comes nearest; of several, the one that compares at the highest rate, and of
    these the one with its VCO nearest to the middle of its range.

    Raises `ConfigError` if none comes within `TOLERANCE`, naming the nearest.
    """
    if not _within(input_mhz, limits.input):
        low, high = limits.input
        raise ConfigError(
            f"{limits.name} takes an input of {low:g} to {high:g} MHz, not {input_mhz:g} MHz "
            f"({limits.source})"
        )
    best: Setting | None = None
    rank = (float("inf"), 0.0, 0.0)
    middle = sum(limits.vco) / 2
    for compare, vco, output, dividers in SEARCHES[limits](input_mhz, wanted_mhz):
        legal = (
            _within(compare, limits.compare) and _within(vco, limits.vco)
            and _within(output, limits.output)
        )  # fmt: skip
        here = (round(abs(output - wanted_mhz), 9), -compare, abs(vco - middle))
        if legal and here < rank:
            best, rank = Setting(limits, input_mhz, compare, vco, output, dividers), here
    if best is None or rank[0] > TOLERANCE * wanted_mhz:
        nearest = "" if best is None else f"; the nearest is {best.output:g} MHz"
        raise ConfigError(
            f"{limits.name} cannot make {wanted_mhz:g} MHz from {input_mhz:g} MHz{nearest} "
            f"({limits.source})"
        )
    return best


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]
