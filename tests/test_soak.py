"""Board and model side by side over many samples: every weight compared, again and again.

``make soak`` runs it over 100 000 samples of each machine.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from relaxon import Config, Couplings
from relaxon.data import load
from relaxon.linkboard import LinkBoard
from relaxon.protocol import CHIP_COUNTERS
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.simulated import SimulatedTransport
from relaxon.training import Plan

EVERY = 1000
"""Samples from one comparison to the next."""
MACHINES = {
    "paper": dict(modules=1, neurons=256, lanes=32),
    "modules": dict(modules=16, neurons=32, lanes=32),
    "modules-column": dict(modules=4, neurons=32, lanes=32, store="column"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_entangled_digits_train_in_lock_step(name: str, data_folder: Path, long: bool) -> None:
    if not long and name != "paper":
        pytest.skip("make soak runs it; the other machine is test_mnist.py's, built already")
    preset = name.partition("-")[0]
    data = load(f"mnist:{data_folder / 'mnist'}", entangle=100, seed=0)
    config = Config.preset(preset, inputs=100, **MACHINES[name])
    start = Couplings.fresh(config, 0, preset)
    total = 100_000 if long else 3000
    n = len(data.x_train)
    epochs = range(-(-total // n))
    order = np.concatenate([Plan(len(epochs), 0).order(n, epoch) for epoch in epochs])[:total]
    seconds = compared = 0.0
    with LinkBoard(SimulatedTransport(config), config) as board, ModelBoard(config) as model:
        for each in (board, model):
            each.load(start)
            each.clear_counters()
        for first in range(0, total, EVERY):
            which = order[first : first + EVERY]
            began = time.perf_counter()
            got = board.train(data.x_train[which], data.y_train[which])
            seconds += time.perf_counter() - began
            want = model.train(data.x_train[which], data.y_train[which])
            here = f"in samples {first} to {first + EVERY}"
            for field in vars(want):
                assert np.array_equal(getattr(got, field), getattr(want, field)), f"{field} {here}"
            learned = board.couplings()
            differences = learned.differences(model.couplings())
            assert not any(differences.values()), f"{differences} {here}"
            assert np.array_equal(board.read("state"), model.read("state")), f"state {here}"
            counted, due = board.counters(), model.counters()
            assert {c: counted[c] for c in CHIP_COUNTERS} == due, f"counters {here}"
            compared += sum(array.size for array in vars(learned).values())
    assert due["updates"] > total
    assert due["saturations"] > 0
    print(
        f"\n{name}: {total:,} samples in lock-step, {total // EVERY} comparisons, {compared:,.0f} "
        f"couplings compared, 0 differences; {due['updates']:,} unstable neurons learned, "
        f"{due['saturations']:,} + {due['readout_saturations']:,} saturations, "
        f"{due['cycles']:,} cycles; {total / seconds:,.0f} samples/s on the board"
    )
