"""What synthesis makes of the gateware learns like the model, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from recorded import random_samples
from test_gateware import MACHINES, assert_same

from relaxon import Couplings
from relaxon.boards.parts import ECP5_85F, ICE40_UP5K
from relaxon.errors import ConfigError
from relaxon.hw.core import Core
from relaxon.linkboard import LinkBoard
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.netlist import netlist
from relaxon.sim.selftest import expected
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.verilate import library_of

SAMPLES = 200


def test_an_ice40_netlist_trains_as_the_model_does() -> None:
    config = MACHINES["like-the-icebreaker"].replace(store="column")
    wanted = expected(config).signature
    verilog = netlist(Core(config, self_test=wanted), ICE40_UP5K)
    for cell in ("SB_LUT4", "SB_CARRY", "SB_MAC16", "SB_SPRAM256KA", "SB_RAM40_4K"):
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
    with pytest.raises(ConfigError, match="models of all cells for ice40 only, not for ecp5"):
        netlist(Core(config), ECP5_85F)
