"""What a machine takes of an FPGA is known before synthesis: block RAM exactly, LUTs about."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from relaxon import Config
from relaxon.boards import area, fit, registry
from relaxon.boards.area import Memory, blocks
from relaxon.boards.parts import ECP5_25F, ECP5_85F
from relaxon.errors import ConfigError
from relaxon.hw.collisions import unpromised
from relaxon.hw.machine import Machine
from relaxon.hw.verilog import YOSYS, rtlil_of
from relaxon.layout import Layout

BLOCKS = {
    "ecp5": ("DP16KD", "PDPW16KD"), "gowin": ("DPX9B", "SDPX9B", "SPX9", "DPB", "SDPB", "SP"),
    "ice40": ("SB_RAM40_4K",),
}  # fmt: skip


@pytest.mark.parametrize(
    "memory, ecp5, gowin, ice40",
    [  # counted by Yosys 0.70
        (Memory("bank", 8, 2928, 2), 2, 2, 12),
        (Memory("bank", 8, 4544, 2), 3, 3, 18),
        (Memory("frames", 8, 512, 1), 1, 1, 1),
        (Memory("replies", 8, 4096, 1), 2, 2, 8),
        (Memory("list", 70, 32, 1), 0, 0, 5),
        (Memory("states", 32, 32, 5), 0, 0, 10),
        (Memory("lane", 16, 64, 1), 0, 0, 1),
        (Memory("lane", 16, 128, 1), 1, 1, 1),
        (Memory("few", 66, 4, 1), 0, 0, 0),
        (Memory("lengths", 9, 15, 1), 0, 0, 1),
        (Memory("readout", 560, 256, 2, 4), 32, 32, 70),
        (Memory("readout", 280, 256, 2, 2), 16, 16, 36),
        (Memory("readout", 140, 64, 2), 8, 8, 18),
        (Memory("readout", 140, 1024, 1), 8, 8, 35),
        (Memory("columns", 64, 4544, 1), 18, 18, 72),
        (Memory("inputs", 32, 4, 1), 0, 0, 0),
        (Memory("about", 8, 256, 1, 0), 0, 0, 1),
        (Memory("columns", 64, 1136, 1), 6, 6, 20),
    ],
    ids=str,
)
def test_block_rams_of_a_memory(memory: Memory, ecp5: int, gowin: int, ice40: int) -> None:
    counted = {family: blocks(family, memory) for family in ("ecp5", "gowin", "ice40")}
    assert counted == {"ecp5": ecp5, "gowin": gowin, "ice40": ice40}


@pytest.mark.parametrize(
    "store, modules, inputs, families",
    # a readout of so many words takes twice the block RAM unless its port both reads and writes
    [("skewed", 3, 24, ["ecp5"]), ("skewed", 72, 300, ["ecp5"]), ("column", 3, 24, ["gowin", "ice40"])],
)
def test_block_rams_of_a_machine_are_those_of_synthesis(
    store: str, modules: int, inputs: int, families: list[str], tmp_path: Path
) -> None:
    config = Config.preset(
        "modules", modules=modules, neurons=8, inputs=inputs, classes=4, lanes=8, store=store
    )
    machine = Machine(Layout(config))
    (tmp_path / "top.il").write_text(unpromised(rtlil_of(machine, "top", reset=True)))
    script = "read_rtlil top.il; proc; flatten; opt_clean; design -save made; " + " ".join(
        f"design -load made; synth_{family} -top top -run begin:map_ffram; "
        f"tee -o {family}.json stat -json;"
        for family in families
    )
    subprocess.run(
        [sys.executable, "-c", YOSYS, "-q", "-p", script], cwd=tmp_path, check=True, timeout=600
    )
    counted = area.of_component(Machine(Layout(config)), "any")
    for family in families:
        cells = json.loads((tmp_path / f"{family}.json").read_text())["design"]["num_cells_by_type"]
        found = sum(count for cell, count in cells.items() if cell in BLOCKS[family])
        assert counted.of(family)["RAM"] == found > 0, family


def test_a_larger_machine_takes_more() -> None:
    small, large = (
        area.of_machine(Config.preset("modules", modules=m, lanes=p), "any").of("ecp5")
        for m, p in ((4, 8), (8, 16))
    )
    assert all(large[name] > small[name] for name in ("LUT", "FF", "RAM"))


def test_what_cannot_fit_is_refused_with_what_is_short_and_what_would_fit() -> None:
    target = registry.find("ulx3s-25f")
    config = Config.preset("modules", modules=100, lanes=8)
    with pytest.raises(ConfigError) as refusal:
        fit.check(target, config)
    message = str(refusal.value)
    (ram,) = [need for need in fit.needs(target.part, config) if need.resource == "RAM"]
    assert f"RAM: {ram.needed} of 56" in message and "100 × 32 neurons" in message
    modules = fit.largest(target.part, config)
    assert f"up to {modules} modules of 32 would fit" in message
    assert fit.fits(target.part, config.replace(modules=modules, field_bits=None))
    assert not fit.fits(target.part, config.replace(modules=modules + 1, field_bits=None))


def test_fewer_lanes_are_offered_where_these_do_not_fit() -> None:
    target = registry.find("ulx3s-25f")
    eight = area.of_machine(Config.preset("modules", modules=2, lanes=8), "LFE5U-25F").of("ecp5")
    small = replace(target, part=replace(target.part, luts=round(eight["LUT"] * 0.9)))
    with pytest.raises(ConfigError, match=r"LUT: about [\d,]+ of.* On 8 lanes, up to \d+ modules"):
        fit.check(small, Config.preset("modules", modules=2, lanes=32))


def test_nothing_is_offered_where_nothing_fits() -> None:
    target = registry.find("ulx3s-25f")
    with pytest.raises(ConfigError, match="Not even one module of 32 with 4096 inputs"):
        fit.check(target, Config.preset("modules", modules=2, inputs=4096, lanes=4, classes=64))


@pytest.mark.parametrize("part", [ECP5_25F, ECP5_85F], ids=lambda part: part.name)
def test_an_estimate_may_be_over_by_its_error_and_a_count_may_not(part) -> None:
    luts = part.available["LUT"]
    assert fit.Need("LUT", round(luts * 1.1), luts).fits
    assert not fit.Need("LUT", round(luts * 1.3), luts).fits
    assert fit.Need("RAM", part.rams, part.rams).fits
    assert not fit.Need("RAM", part.rams + 1, part.rams).fits
