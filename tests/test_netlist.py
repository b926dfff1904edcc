"""What synthesis makes of the gateware learns like the model, bit for bit."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from recorded import random_samples
from test_gateware import MACHINES, assert_same

from relaxon import Couplings
from relaxon.boards.parts import ECP5_25F, GW2AR_18C, ICE40_UP5K
from relaxon.errors import ConfigError, ToolError
from relaxon.hw.core import Core
from relaxon.hw.verilog import YOSYS
from relaxon.linkboard import LinkBoard
from relaxon.sim.compiler import find_verilator
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.netlist import CELLS, netlist
from relaxon.sim.selftest import expected
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.verilate import library_of
from relaxon.tools import run

SAMPLES = 200
CASES = {
    "ice40": (
        ICE40_UP5K, MACHINES["like-the-icebreaker"].replace(store="column"),
        "SB_LUT4 SB_CARRY SB_MAC16 SB_SPRAM256KA SB_RAM40_4K",
    ),
    "ecp5": (
        ECP5_25F, MACHINES["padded"].replace(store="skewed"),
        "LUT4 PFUMX L6MUX21 CCU2C TRELLIS_FF TRELLIS_DPR16X4 DP16KD MULT18X18D",
    ),
}  # fmt: skip
"""Parts, machines, and the cells that the netlists must have."""


@pytest.mark.parametrize("family", CASES)
def test_a_netlist_trains_as_the_model_does(family: str) -> None:
    part, config, cells = CASES[family]
    wanted = expected(config).signature
    verilog = netlist(Core(config, self_test=wanted), part)
    for cell in cells.split():
        assert f"  {cell} " in verilog, cell
    start = Couplings.fresh(config, 3)
    x, y = random_samples(config, SAMPLES, seed=4)
    with (
        LinkBoard(SimulatedTransport(path=library_of(verilog)), config) as board,
        ModelBoard(config) as model,
    ):
        for each in (board, model):
            each.load(start)
        got, want = board.train(x, y), model.train(x, y)
        for field in ("prediction", "learned", "sweeps", "unstable"):
            assert np.array_equal(getattr(got, field), getattr(want, field)), field
        assert_same(board, model)
        assert np.array_equal(board.scores(x[:20]), model.scores(x[:20]))
        assert board.counters()["updates"] > 0
        tested = board.self_test()
        assert tested.passed and tested.signature == wanted


def test_a_family_without_models_is_refused() -> None:
    config = MACHINES["like-the-icebreaker"].replace(store="column")
    with pytest.raises(ConfigError, match="all cells for ice40 and ecp5 only, not for gowin"):
        netlist(Core(config), GW2AR_18C)


def test_ecp5_cells_do_what_yosys_maps_to_them(tmp_path: Path) -> None:
    written = Path(__file__).with_name("mapped.v").read_text()
    (tmp_path / "mapped.v").write_text(written)
    script = (
        "read_verilog -sv mapped.v; hierarchy -top mapped; proc; flatten; synth_ecp5 -top mapped; "
        "rename mapped netlist; write_verilog -noattr netlist.v"
    )
    run([sys.executable, "-c", YOSYS, "-q", "-p", script], cwd=tmp_path, what="synthesis")
    made = (tmp_path / "netlist.v").read_text()
    assert set(re.findall(r"DATA_WIDTH_[AB]\(32'd(\d+)\)", made)) == {"1", "4", "18", "36"}
    assert set(re.findall(r"SIGNEDA\(1'h(.)\)", made)) == {"0", "1"}
    path = library_of(CELLS["ecp5"].verilog() + made + written)
    with closing(SimulatedTransport(path=path)) as compared:
        same = b"".join(compared.read(1) for _ in range(10))
    assert len(same) > 10_000 and set(same) == {1}


@pytest.mark.parametrize(
    "cell, lacks",
    [
        ("DP16KD #(.DATA_WIDTH_A(8))", "DATA_WIDTH_of_DP16KD_is_not_modelled"),
        ("DP16KD #(.DATA_WIDTH_B(36))", "DATA_WIDTH_of_DP16KD_is_not_modelled"),
        ('DP16KD #(.WRITEMODE_B("FAST"))', "WRITEMODE_of_DP16KD_is_not_modelled"),
        ('DP16KD #(.REGMODE_A("OUTREG"))', "REGMODE_of_DP16KD_is_not_modelled"),
        ('DP16KD #(.CLKBMUX("INV"))', "CLKMUX_of_DP16KD_is_not_modelled"),
        ('DP16KD #(.CSDECODE_A("0b001"))', "CSDECODE_of_DP16KD_is_not_modelled"),
        ('MULT18X18D #(.REG_OUTPUT_CLK("CLK0"))', "REG_OUTPUT_CLK"),
    ],
)
def test_what_an_ecp5_cell_lacks_is_an_error(cell: str, lacks: str, tmp_path: Path) -> None:
    top = tmp_path / "top.v"
    top.write_text(f"{CELLS['ecp5'].verilog()}\nmodule top; {cell} cell_ (); endmodule\n")
    with pytest.raises(ToolError, match=lacks):
        find_verilator().translate(top, ())
