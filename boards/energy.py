"""An estimate of the energy of a sample, from what the counters count and published figures.

It covers reading and writing weights, and the additions to the fields: what the machine is for. It
leaves out the clock, control, link, static power and the board, so the supply gives more. It is a
scale for comparing machines, good to a factor of a few, and not a measurement.

Sources:

* M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9
  (45 nm, 0.9 V): an 8-bit addition .03 pJ and a 32-bit one .1 pJ, a 64-bit read of an 8 KB memory
  10 pJ. ECP5 and iCE40UP are of 40 nm, the Gowin parts of 55 nm.
* I. Kuon and J. Rose, "Measuring the gap between FPGAs and ASICs", IEEE TCAD 26(2), 2007: logic in
  LUTs takes about 14 times the dynamic power of the same logic in standard cells. Block RAM is hard
  memory and is not scaled.
"""

from __future__ import annotations

from typing import Any

from relaxon.config import Config
from relaxon.layout import Layout

READ_PJ_PER_BIT = 10 / 64
"""A bit of a memory access (Horowitz)."""
ADD_PJ = {8: 0.03, 32: 0.1}
"""Additions of that many bits (Horowitz); in between in proportion."""
FABRIC = 14
"""LUTs against standard cells, dynamic (Kuon, Rose)."""
SOURCE = "Horowitz, ISSCC 2014 (45 nm), and Kuon and Rose, IEEE TCAD 26(2), 2007 (FPGA fabric)"


def estimate(config: Config, means: dict[str, float]) -> dict[str, Any]:
    """Energy of a training sample from the means of its counters (`relaxon.boards.speed.activity`).

    Every cycle in which a strip's weight memory is used reads (or, learning, writes) `columns` words
    of the strip, and each of these elements is added to a field or to itself.
    """
    layout = Layout(config)
    elements = means["weight_accesses"] * layout.strip_lanes * layout.columns
    memory = elements * layout.element_bits * READ_PJ_PER_BIT
    lanes = elements * _addition(config.field_bits) * FABRIC
    return {
        "microjoules_per_sample": round((memory + lanes) / 1e6, 4),
        "of_which_weight_memory": round(memory / 1e6, 4),
        "of_which_lanes": round(lanes / 1e6, 4),
        "weights_moved_per_sample": round(elements),
        "estimate": True,
        "covers": "weight memory and additions of the lanes; no clock, control, link or static power",
        "source": SOURCE,
    }


def _addition(bits: int) -> float:
    (narrow, least), (wide, most) = ADD_PJ.items()
    return least + (most - least) * (bits - narrow) / (wide - narrow)
