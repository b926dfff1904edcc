"""The fields that the lanes keep from sample to sample never drift (the testbench: bench_fields.py)."""

import pytest

from relaxon import Config
from relaxon.hw.core import Core
from relaxon.protocol import STORES
from relaxon.sim.testbench.runner import simulate

EVERY = 100
"""Samples from one look at all fields to the next."""
MACHINES = {
    # padded groups; narrow weights, which saturate
    "one-module": ("paper", dict(neurons=20, inputs=18, classes=4, lanes=8, weight_bits=6)),
    # modules side by side, the last group partly empty; most samples end at the gate
    "side-by-side": (
        "modules",
        dict(modules=5, neurons=6, inputs=18, classes=4, lanes=12, weight_bits=6),
    ),
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", MACHINES)
def test_kept_fields_never_drift(name: str, store: str, long: bool, tmp_path):
    preset, sizes = MACHINES[name]
    config = Config.preset(preset, **sizes, store=store)
    parameters = {
        "structure": config.structure(), "registers": config.registers.as_dict(),
        "samples": 2000 if long else 800, "every": EVERY,
    }  # fmt: skip
    core = Core(config)
    assert simulate(core, "bench_fields", "verilator", tmp_path, parameters=parameters) == 1
