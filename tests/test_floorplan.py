"""Block RAMs get places of their own, row by row, and nextpnr takes them."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth import ClockSignal, Instance, Module, Signal
from bare_design import BareDesign

from relaxon.boards import flow
from relaxon.boards.floorplan import spread_rams
from relaxon.boards.parts import ECP5_25F, ECP5_85F
from relaxon.boards.target import Nextpnr
from relaxon.errors import ConfigError
from relaxon.sim import cache

PART = replace(ECP5_85F, ram_rows=(("a0", "a1", "a2", "a3", "a4"), ("b0", "b1", "b2", "b3", "b4")))


def netlist(**memories: int) -> dict[str, Any]:
    """So many block RAMs of each memory, the last in a module of its own, and something else."""
    cells = {
        name: {
            f"{name}.0.{n}": {"type": "DP16KD", "attributes": {}} for n in reversed(range(blocks))
        }
        for name, blocks in memories.items()
    }
    *_, last = cells
    part = {"attributes": {"keep_hierarchy": "1"}, "cells": cells.pop(last)}
    flat = {name: cell for memory in cells.values() for name, cell in memory.items()}
    flat["lut"] = {"type": "LUT4", "attributes": {}}
    library = {"attributes": {"blackbox": "1"}, "cells": {}}
    return {"modules": {"DP16KD": library, f"top.{last}": part, "top": {"cells": flat}}}


def places(design: dict[str, Any]) -> dict[str, str | None]:
    """The place of each cell."""
    cells = [cell for module in design["modules"].values() for cell in module["cells"].items()]
    return {name: about["attributes"].get("BEL") for name, about in cells}


def test_rows_get_equal_shares_and_what_belongs_together_lies_together() -> None:
    design = netlist(bank10=2, bank2=2, part=1)
    spread_rams(design, "DP16KD", PART)
    assert places(design) == {
        # to and fro; `bank2` before `bank10`
        "bank2.0.0": "a0", "bank2.0.1": "a2", "bank10.0.0": "a4", "bank10.0.1": "b3",
        "part.0.0": "b1", "lut": None,
    }  # fmt: skip


def test_every_place_is_dealt_once() -> None:
    design = netlist(large=9, part=1)
    spread_rams(design, "DP16KD", PART)
    dealt = [place for place in places(design).values() if place]
    assert sorted(dealt) == sorted(place for row in PART.ram_rows for place in row)


def test_what_has_no_place_is_refused() -> None:
    with pytest.raises(ConfigError, match="11 block RAMs cannot be dealt to 10 places"):
        spread_rams(netlist(large=11), "DP16KD", PART)
    with pytest.raises(ConfigError, match="0 places that are known of the LFE5U-25F"):
        spread_rams(netlist(small=1), "DP16KD", ECP5_25F)


class Memories(BareDesign):
    """All block RAMs of a part, one after another."""

    def fill(self, m: Module, uart: Any) -> None:
        """From the link's input to its output."""
        data = uart.rx.i
        for number in range(self.target.part.rams):
            found = Signal()
            m.submodules[f"ram{number}"] = Instance(
                "DP16KD",
                i_CLKA=ClockSignal(), i_CEA=1, i_OCEA=1, i_ADA13=data, o_DOA0=found,
            )  # fmt: skip
            data = found
        m.d.comb += uart.tx.o.eq(data)


def test_nextpnr_knows_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    design = Memories.on("ulx3s-85f", Nextpnr(floorplan=True))
    part = design.target.part
    with gzip.open(flow.placed(design, 1) / "placed.json.gz") as file:
        cells = json.load(file)["modules"]["top"]["cells"].values()
    used = [cell["attributes"]["NEXTPNR_BEL"] for cell in cells if cell["type"] == "DP16KD"]
    known = [place for row in part.ram_rows for place in row]
    assert len(used) == part.rams and sorted(used) == sorted(known)
