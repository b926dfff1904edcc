"""The FPGAs: what is in them, as their data sheets count it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

FamilyName = Literal["ecp5", "ice40", "gowin"]
RESOURCES = ("LUT", "FF", "RAM", "SPRAM", "DSP")
"""Kinds of resources, by the names they have in messages and reports. RAM is a block RAM, SPRAM one
of the iCE40UP's large single-port memories, DSP a multiplier of (at least) 16 × 16 bits."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One FPGA.

    Attributes
    ----------
    name
        As its maker writes it, package and speed grade left out.
    family
        Decides the toolchain (`relaxon.boards.families`).
    option
        What nextpnr calls it.
    luts, registers, rams, sprams, multipliers
        How many there are.
    ram_rows
        nextpnr's names of the block RAMs, row by row on the chip; needed where a network is built with
        a floorplan (`relaxon.boards.target.Nextpnr`).
    """

    name: str
    family: FamilyName
    option: str
    luts: int
    registers: int
    rams: int
    sprams: int = 0
    multipliers: int = 0
    ram_rows: tuple[tuple[str, ...], ...] = ()

    @property
    def available(self) -> dict[str, int]:
        """Number of each of `RESOURCES` that the part has any of."""
        counts = (self.luts, self.registers, self.rams, self.sprams, self.multipliers)
        return {name: count for name, count in zip(RESOURCES, counts, strict=True) if count}


def _ebr_rows(rows: Iterable[int], fours: Iterable[int]) -> tuple[tuple[str, ...], ...]:
    """Rows of an ECP5's EBRs, which lie by fours, nine columns of the chip for each, from these on."""
    four = [(first + 2 * n, n) for first in fours for n in range(4)]
    return tuple(tuple(f"X{x}/Y{y}/EBR{n}" for x, n in four) for y in rows)


# Lattice FPGA-DS-02012 (ECP5), table 1.1. An EBR holds 18 kbit. The 12F is sold as half of a 25F: its
# maker promises no more, though the open tools would use the whole die. Rows as nextpnr names them.
ECP5_12F = Part(name="LFE5U-12F", family="ecp5", option="--12k",
                luts=12_000, registers=12_000, rams=32, multipliers=28)  # fmt: skip
ECP5_25F = Part(name="LFE5U-25F", family="ecp5", option="--25k",
                luts=24_288, registers=24_288, rams=56, multipliers=28)  # fmt: skip
ECP5_45F = Part(name="LFE5U-45F", family="ecp5", option="--45k",
                luts=43_848, registers=43_848, rams=108, multipliers=72)  # fmt: skip
ECP5_85F = Part(name="LFE5U-85F", family="ecp5", option="--85k",
                luts=83_640, registers=83_640, rams=208, multipliers=156,
                ram_rows=_ebr_rows((22, 46, 70, 82),
                                   [*range(4, 60, 9), *range(69, 115, 9)]))  # fmt: skip

# Lattice FPGA-DS-02008 (iCE40 UltraPlus): an EBR holds 4 kbit, an SPRAM 256 kbit.
ICE40_UP5K = Part(name="iCE40UP5K", family="ice40", option="--up5k",
                  luts=5_280, registers=5_280, rams=30, sprams=4, multipliers=8)  # fmt: skip

# Gowin DS117 (GW1NR) and DS226 (GW2AR): a BSRAM holds 18 kbit.
GW1NR_9C = Part(name="GW1NR-9C", family="gowin", option="GW1N-9C",
                luts=8_640, registers=6_480, rams=26, multipliers=20)  # fmt: skip
GW2AR_18C = Part(name="GW2AR-18C", family="gowin", option="GW2A-18C",
                 luts=20_736, registers=15_552, rams=46, multipliers=48)  # fmt: skip
