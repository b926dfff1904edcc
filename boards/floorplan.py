"""Where the block RAMs go, for placers that would crowd them.

nextpnr puts each block RAM as near as it can to what it is connected with. On a large ECP5 this fills
some rows of them to the last and leaves others nearly empty; all wires of the weight memory's banks
then meet along two lines of the chip, and its router may never come to an end. Here every row gets
its equal share, the blocks of a memory side by side.
"""

from __future__ import annotations

import re
from typing import Any

from relaxon.boards.parts import Part
from relaxon.errors import ConfigError

BLOCKS = 8
"""A memory of more blocks may be taken apart."""


def spread_rams(netlist: dict[str, Any], cell_type: str, part: Part) -> None:
    """Give every block RAM its place.

    Parameters
    ----------
    netlist
        Yosys' JSON, flattened, which is changed.
    cell_type
        Its block RAMs: ``"DP16KD"``.
    part
        The FPGA, whose `ram_rows` they are dealt to.

    Raises
    ------
    ConfigError
        There are more of them than places, or it is not known where these are.
    """
    rows = part.ram_rows
    (top,) = (m for m in netlist["modules"].values() if int(m["attributes"].get("top", "0"), 2))
    memories: dict[str, list[str]] = {}
    for name in sorted(top["cells"], key=_natural):
        if top["cells"][name]["type"] == cell_type:
            memories.setdefault(re.sub(r"(\.\d+)+$", "", name), []).append(name)
    groups = []
    for blocks in memories.values():
        groups += [blocks] if len(blocks) <= BLOCKS else [[block] for block in blocks]
    count = sum(map(len, groups))
    if count > sum(map(len, rows)):
        raise ConfigError(
            f"{count} block RAMs cannot be dealt to {sum(map(len, rows))} places that are known of "
            f"the {part.name} (ram_rows in boards/parts.py)"
        )

    # Whole memories first, into the row with most room; single blocks level the rows.
    shares: list[list[str]] = [[] for _ in rows]
    for blocks in sorted(groups, key=len, reverse=True):
        emptiest = max(range(len(rows)), key=lambda row: len(rows[row]) - len(shares[row]))
        shares[emptiest] += blocks
    for row, share in zip(rows, shares, strict=True):
        for at, name in enumerate(share):
            top["cells"][name]["attributes"]["BEL"] = row[at * len(row) // len(share)]


def _natural(name: str) -> list[tuple[int, str]]:
    """`bank2` before `bank10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
