"""How many cycles a sample takes, and what happens in it: counted by the exact model of the cycles.

The model takes exactly the cycles of the gateware (`tests/test_gateware.py`), and is quick.
"""

from __future__ import annotations

from dataclasses import dataclass

from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.data import load
from relaxon.errors import DataError
from relaxon.sim.modelboard import ModelBoard
from relaxon.training import Plan

LEAST = 4000
"""Training samples that are counted, at least: whole epochs from the very first sample on, where most
is learned and a sample takes longest."""
SEED = 0


@dataclass(frozen=True)
class Workload:
    """Samples to train on: a source (`relaxon.data`), projected to as many bits as there are inputs."""

    source: str = "digits"

    def __str__(self) -> str:
        name = self.source.partition(":")[0]
        return f"Entangled {name}, training: one epoch, or as many as make {LEAST:,} samples"


def activity(config: Config, workload: Workload) -> dict[str, float]:
    """Mean of every counter over the training samples that are counted.

    Raises `DataError` if they have more classes than the machine.
    """
    data = load(workload.source, entangle=config.inputs, seed=SEED)
    if data.classes > config.classes:
        raise DataError(
            f"{workload.source} has {data.classes} classes, the machine {config.classes}"
        )
    n = len(data.x_train)
    plan = Plan(epochs=-(-LEAST // n), seed=SEED)
    board = ModelBoard(config)
    preset = "paper" if config.modules == 1 else "modules"
    board.load(Couplings.fresh(config, SEED, preset))
    board.clear_counters()
    for epoch in range(plan.epochs):
        order = plan.order(n, epoch)
        board.train(data.x_train[order], data.y_train[order])
    return {name: value / (n * plan.epochs) for name, value in board.counters().items()}
