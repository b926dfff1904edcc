"""Real digits on the simulated chip, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relaxon import Config, Couplings
from relaxon.cli import app
from relaxon.data import load
from relaxon.layout import Layout
from relaxon.sim.modelboard import ModelBoard
from relaxon.training import Plan


def test_two_thousand_entangled_digits_train_exactly_as_on_the_model(
    data_folder: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    command = (
        f"train --board sim --data mnist:{data_folder / 'mnist'} --entangle 100 --preset paper "
        f"--neurons 256 --lanes 32 --samples 2000 --epochs 1 --seed 0 --check "
        f"--out {tmp_path} --json {figures}"
    )
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["equal_to_model"] is True
    assert found["train_samples"] == 2000
    assert found["test_accuracy"] > 0.6
    assert found["saturations"] > 0
    assert found["cycles_per_sample"] > found["cycles_per_inference"] > 0


# modules, neurons, lanes; cycles per training sample; part of the cycles that use the weight memory
TARGETS = [
    (1, 256, 32, 1600, 0.85), (1, 256, 64, 900, None), (1, 512, 64, 2500, None),
    (32, 32, 32, 2700, 0.85), (32, 32, 64, 1600, None),
]  # fmt: skip


@pytest.mark.parametrize("modules, neurons, lanes, cycles, busy", TARGETS)
def test_cycles_of_entangled_digits_stay_within_the_target(
    modules: int, neurons: int, lanes: int, cycles: int, busy: float | None, data_folder: Path
) -> None:
    """On the model, whose cycles are the gateware's (test_gateware.py)."""
    data = load(f"mnist:{data_folder / 'mnist'}", entangle=100, seed=0)
    order = Plan(epochs=1, seed=0).order(len(data.x_train), 0)
    preset = "paper" if modules == 1 else "modules"
    config = Config.preset(preset, modules=modules, neurons=neurons, inputs=100, lanes=lanes)
    board = ModelBoard(config)
    board.load(Couplings.fresh(config, 0, preset))
    counters = [board.counters()]
    for part in (slice(2000), slice(2000, 4000), slice(4000, 10_000)):
        board.train(data.x_train[order[part]], data.y_train[order[part]])
        counters.append(board.counters())
    assert counters[2]["cycles"] - counters[1]["cycles"] <= cycles * 2000
    if busy is not None:
        used, strips = counters[3]["weight_accesses"], Layout(config).strips
        assert used >= busy * counters[3]["cycles"] * strips
