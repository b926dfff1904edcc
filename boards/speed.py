"""How many cycles a sample takes, and what happens in it: counted by the exact model of the cycles.

The model takes exactly the cycles of the gateware (`tests/test_gateware.py`), and is quick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.data import load
from relaxon.errors import DataError
from relaxon.sim.modelboard import ModelBoard
from relaxon.training import Plan

FIRST, COUNTED = 2000, 2000
"""Training samples before those that are counted, and those; the first ones are the slowest."""
SEED = 0


@dataclass(frozen=True)
class Workload:
    """Samples to train on: a source (`relaxon.data`), projected to as many bits as there are inputs."""

    source: str = "digits"

    def __str__(self) -> str:
        name = self.source.partition(":")[0]
        return f"Entangled {name}, training samples {FIRST:,} to {FIRST + COUNTED:,}"


def activity(config: Config, workload: Workload) -> dict[str, float]:
    """Mean of every counter over the training samples that are counted.

    A dataset with fewer samples is gone through again, in another order. Raises `DataError` if it has
    more classes than the machine.
    """
    data = load(workload.source, entangle=config.inputs, seed=SEED)
    if data.classes > config.classes:
        raise DataError(
            f"{workload.source} has {data.classes} classes, the machine {config.classes}"
        )
    n = len(data.x_train)
    plan = Plan(epochs=-(-(FIRST + COUNTED) // n), seed=SEED)
    order = np.concatenate([plan.order(n, epoch) for epoch in range(plan.epochs)])
    board = ModelBoard(config)
    preset = "paper" if config.modules == 1 else "modules"
    board.load(Couplings.fresh(config, SEED, preset))
    first, counted = order[:FIRST], order[FIRST : FIRST + COUNTED]
    board.train(data.x_train[first], data.y_train[first])
    board.clear_counters()
    board.train(data.x_train[counted], data.y_train[counted])
    return {name: value / COUNTED for name, value in board.counters().items()}
