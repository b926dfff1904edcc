"""How many random patterns can be stored, against the neurons of a module, and against depth?

P random inputs of 100 bits, each with one of ten labels drawn at random, are learned again and again
until all of them are answered right, or for 200 epochs. There is nothing to generalise: what is
stored is stored. Shapes: one module of H; chains of modules of 32 with λ = K/4 between neighbours
(and κ = J_D + λ + K/2, as by default); and as many modules that are alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import machine, trainable

INPUTS, CLASSES = 100, 10
SHAPES = {
    "one module": lambda n: dict(modules=1, neurons=n),
    "chain of modules of 32": lambda n: dict(modules=n // 32, neurons=32, chain_coupling=0.25),
    "modules of 32, alone": lambda n: dict(modules=n // 32, neurons=32),
}
RECALLED = 0.99
"""What counts as stored."""


def points(form: Form) -> list[Point]:
    """Every shape, number of neurons and number of patterns."""
    neurons = form.of((32,), (64, 128), (32, 64, 128, 256))
    patterns = form.of(
        (20, 100), (100, 200, 400, 800), (50, 100, 200, 300, 400, 600, 800, 1000, 1200, 1600, 2400)
    )
    found = []
    for shape, sizes in SHAPES.items():
        for size in neurons:
            if shape != "one module" and size == 32:
                continue
            for count in patterns:
                for seed in range(form.of(1, 1, 3)):
                    many = dict(patterns=count, seed=seed, epochs=form.of(10, 100, 200))
                    named = dict(preset="modules", told=dict(shape=shape))
                    found.append(many | named | sizes(size))
    return found


def measure(point: Point, lab: Lab) -> Figures:
    """Patterns recalled after the last epoch and after the best one, and how many there were."""
    rng = np.random.default_rng([point["seed"], point["patterns"]])
    x = np.where(rng.random((point["patterns"], INPUTS)) < 0.5, -1, 1).astype(np.int8)
    y = rng.integers(CLASSES, size=int(point["patterns"])).astype(np.uint8)
    made = machine(point, INPUTS, CLASSES)
    recalled = best = epochs = 0
    with lab.machine(made.config) as board:
        board.load(made.couplings)
        while recalled < len(x) and epochs < point["epochs"]:
            order = rng.permutation(len(x))
            board.train(x[order], y[order])
            recalled = int((board.infer(x).prediction == y).sum())
            best = max(best, recalled)
            epochs += 1
    return {
        "recalled": recalled, "recalled_best": best, "epochs_taken": epochs,
        "trainable": trainable(made.config), **made.recorded(),
    }  # fmt: skip


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """For every shape and size: the largest number of patterns of which nearly all are recalled,
    interpolated between those tried, and that number by neuron and by coupling that learns."""
    found = []
    frame = frame.assign(total=frame["modules"] * frame["neurons"])
    for (shape, total), rows in frame.groupby(["shape", "total"], sort=False):
        tried = rows.groupby("patterns")
        recall = tried["recalled"].mean() / tried["patterns"].first()
        enough = recall[recall >= RECALLED]
        stored = float(enough.index.max()) if len(enough) else 0.0
        beyond = recall[recall.index > stored]
        if len(beyond) and len(enough):
            low, high = recall[stored], beyond.iloc[0]
            stored += (beyond.index[0] - stored) * (low - RECALLED) / (low - high)
        found.append(
            {
                "shape": shape, "neurons": total, "stored": round(stored),
                "beyond_tried": len(beyond) == 0, "per_neuron": stored / total,
                "per_coupling": stored / rows["trainable"].iloc[0],
                "seeds": rows["seed"].nunique(),
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """What is recalled against the load, and the capacity against the neurons."""
    load, capacity = figure.subplots(1, 2)
    frame = frame.assign(
        total=frame["modules"] * frame["neurons"], part=frame["recalled"] / frame["patterns"]
    )
    one = frame[frame["shape"] == "one module"]
    for total, rows in one.groupby("total"):
        part = rows.groupby("patterns")["part"].agg(["mean", "std"]).fillna(0)
        per_neuron, name = part.index / total, f"H = {total}"
        load.errorbar(per_neuron, part["mean"], part["std"], fmt="o-", lw=1, label=name)
    load.set(xlabel="patterns per neuron, one module", ylabel="part recalled", xscale="log")
    load.legend()
    for shape, rows in table(frame).groupby("shape", sort=False):
        capacity.plot(rows["neurons"], rows["stored"], "o-", lw=1, label=shape)
    capacity.set(xlabel="neurons", ylabel=f"patterns recalled to {RECALLED:.0%}")
    capacity.legend()


def counts(frame: pd.DataFrame) -> str:
    """How many seeds."""
    return f"{frame['seed'].nunique()} seeds (couplings and patterns), error bars: ± their deviation"


def verdict(frame: pd.DataFrame) -> str:
    """Patterns by neuron."""
    rows, fewest = table(frame).itertuples(), frame["patterns"].min()
    values = ", ".join(
        f"{r.shape} {r.neurons}: "
        + (f"{'≥ ' * r.beyond_tried}{r.stored} ({r.per_neuron:.1f})" if r.stored else f"< {fewest}")
        for r in rows
    )
    return f"random patterns stored (by neuron): {values}"
