"""Samples per second of the reference model and of its fast path, side by side.

Run it with ``python benchmarks/model_speed.py``. Both train on the same random samples from the
same couplings on one core, in turns, and must end with the same couplings and counters.
"""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console
from rich.table import Table

from relaxon import Config, Couplings
from relaxon.sim.fast import FastModel
from relaxon.sim.model import Model

ROUNDS = 3
SHAPES = {
    "one module of 256": Config.preset("paper", neurons=256, inputs=100),
    "8 modules of 32": Config.preset("modules", modules=8, inputs=128),
    "32 modules of 32": Config.preset("modules", modules=32, inputs=100),
}


def compare(config: Config, samples: int = 300, more: int = 20) -> tuple[float, float]:
    """Samples per second (model, fast path); the fast path gets `more` times the samples a round."""
    rng = np.random.default_rng(1)
    patterns = rng.choice([-1, 1], (config.classes, config.inputs))
    y = rng.integers(0, config.classes, ROUNDS * samples * more).astype(np.uint8)
    noise = rng.choice([-1, 1], (len(y), config.inputs), p=[0.2, 0.8])
    x = (patterns[y] * noise).astype(np.int8)

    start = Couplings.fresh(config, seed=1)
    FastModel(config, start).train(x[:2], y[:2])  # compiles
    model, fast, check = (kind(config, start) for kind in (Model, FastModel, FastModel))
    spent = {"model": 0.0, "fast": 0.0}
    for r in range(ROUNDS):
        part = slice(r * samples, (r + 1) * samples)
        begin = time.perf_counter()
        for a, b in zip(x[part], y[part], strict=True):
            model.train_one(a, int(b))
        spent["model"] += time.perf_counter() - begin
        check.train(x[part], y[part])

        part = slice(r * samples * more, (r + 1) * samples * more)
        begin = time.perf_counter()
        fast.train(x[part], y[part])
        spent["fast"] += time.perf_counter() - begin
    if check.counters != model.counters or not all(
        np.array_equal(array, getattr(model, name)) for name, array in vars(check.couplings).items()
    ):
        raise SystemExit("the fast path and the model disagree: do not use these figures")
    return ROUNDS * samples / spent["model"], ROUNDS * samples * more / spent["fast"]


def main() -> None:
    """Print the table."""
    table = Table("machine", "model", "fast path", "ratio", title="training, samples per second")
    for name, config in SHAPES.items():
        model, fast = compare(config)
        table.add_row(name, f"{model:,.0f}", f"{fast:,.0f}", f"{fast / model:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
