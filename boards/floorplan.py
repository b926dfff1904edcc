"""Where the block RAMs go, for placers that would crowd them.

nextpnr puts each block RAM as near as it can to what it is connected with. On a large ECP5 this fills
some rows of them to the last and leaves others nearly empty; all wires of the weight memory's banks
then meet along two lines of the chip, and its router may never come to an end. Here they are laid out
in the order of their names, to and fro over all rows, evenly: every row gets its equal share, and what
belongs together lies together.
"""

from __future__ import annotations

import re
from typing import Any

from relaxon.boards.parts import Part
from relaxon.errors import ConfigError


def spread_rams(netlist: dict[str, Any], cell_type: str, part: Part) -> None:
    """Give every block RAM its place.

    Parameters
    ----------
    netlist
        Yosys' JSON, which is changed. A module in it may be used once.
    cell_type
        Its block RAMs: ``"DP16KD"``.
    part
        The FPGA, whose `ram_rows` they are dealt to.

    Raises
    ------
    ConfigError
        There are more of them than places, or it is not known where these are.
    """
    places: list[str] = []
    for number, row in enumerate(part.ram_rows):
        places += reversed(row) if number % 2 else row
    blocks = {
        f"{name}.{cell}": about["attributes"]
        for name, module in netlist["modules"].items()
        for cell, about in module["cells"].items()
        if about["type"] == cell_type
    }
    if len(blocks) > len(places):
        raise ConfigError(
            f"{len(blocks)} block RAMs cannot be dealt to {len(places)} places that are known of "
            f"the {part.name} (ram_rows in boards/parts.py)"
        )
    for at, name in enumerate(sorted(blocks, key=_natural)):
        blocks[name]["BEL"] = places[at * len(places) // len(blocks)]


def _natural(name: str) -> list[tuple[int, str]]:
    """`bank2` before `bank10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
