"""How many random patterns can be stored, against the neurons of a module, and against depth?

P random inputs of 100 bits, each with one of ten labels drawn at random, are learned again and again
until all of them are answered right, or for 200 epochs; what counts is the best epoch. There is
nothing to generalise: what is stored is stored. Shapes: one module of H; chains of modules of 32 with
λ = K/4 between neighbours (and κ = J_D + λ + K/2, as by default); and as many modules that are alone.

Recall need not fall with the load. J and W learn where a neuron is unstable, not where an answer is
wrong: with few patterns all neurons are soon stable, and the readout alone goes on. `unstable` tells how
many neurons still learned per pattern, in the last epoch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import machine, trainable
from relaxon.figures import Figure

INPUTS, CLASSES = 100, 10
SHAPES = {
    "one module": lambda n: dict(modules=1, neurons=n),
    "chain of modules of 32": lambda n: dict(modules=n // 32, neurons=32, chain_coupling=0.25),
    "modules of 32, alone": lambda n: dict(modules=n // 32, neurons=32),
}
COLORS = {32: "C3", 64: "C0", 128: "C1", 256: "C2"}
LEVELS = (0.99, 0.9)
"""Parts of the patterns."""


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
    """Patterns recalled after the last epoch and after the best one, how many epochs there were, and
    how many neurons learned in the last one."""
    rng = np.random.default_rng([point["seed"], point["patterns"]])
    x = np.where(rng.random((point["patterns"], INPUTS)) < 0.5, -1, 1).astype(np.int8)
    y = rng.integers(CLASSES, size=int(point["patterns"])).astype(np.uint8)
    made = machine(point, INPUTS, CLASSES)
    recalled = best = epochs = unstable = 0
    with lab.machine(made.config) as board:
        board.load(made.couplings)
        while recalled < len(x) and epochs < point["epochs"]:
            order = rng.permutation(len(x))
            unstable = int(board.train(x[order], y[order]).unstable.sum())
            recalled = int((board.infer(x).prediction == y).sum())
            best = max(best, recalled)
            epochs += 1
    return {
        "recalled": recalled, "recalled_best": best, "epochs_taken": epochs,
        "unstable": unstable, "trainable": trainable(made.config), **made.recorded(),
    }  # fmt: skip


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """For every shape and size: up to how many patterns 99 % are recalled, and 90 %, with their
    deviations over seeds; and where recall is lowest between loads at which it is higher."""
    found = []
    frame = frame.assign(total=frame["modules"] * frame["neurons"])
    for (shape, total), rows in frame.groupby(["shape", "total"], sort=False):
        row: dict[str, Any] = {"shape": shape, "neurons": total}
        for level in LEVELS:
            seeds = [_up_to(level, each) for _, each in rows.groupby("seed")]
            name = f"recalled_{level:.0%}".rstrip("%")
            row |= {name: np.mean(seeds), f"deviation_{name[-2:]}": pd.Series(seeds).std()}
        part = _part(rows)
        dip = (part - part[::-1].cummax()[::-1]).idxmin()
        unstable = rows.loc[rows["patterns"] == dip, "unstable"].mean() / dip
        row |= {"dip_at": dip, "dip": part[dip], "beyond_it": part.loc[dip:].max()}
        row |= {"unstable_at_dip": unstable, "seeds": rows["seed"].nunique()}
        found.append(row)
    return pd.DataFrame(found).round(3)


def _part(rows: pd.DataFrame) -> pd.Series:
    """The part recalled of so many patterns, at the best epoch, mean over seeds."""
    return (rows["recalled_best"] / rows["patterns"]).groupby(rows["patterns"]).mean()


def _up_to(level: float, rows: pd.DataFrame) -> float:
    """The load at which less than this part is recalled for the first time, interpolated between those
    tried; 0 if it is at the smallest one already, the largest one if it is at none."""
    part = _part(rows)
    short = part[part < level]
    if short.empty:
        return float(part.index[-1])
    before = part.loc[: short.index[0]].iloc[:-1]
    if before.empty:
        return 0.0
    low, high = before.index[-1], short.index[0]
    return float(low + (high - low) * (part[low] - level) / (part[low] - part[high]))


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """What is recalled against the load, and where 90 % no longer are, against the neurons."""
    figure.set_size_inches(12, 4.2)
    shapes = list(frame["shape"].unique())
    *panels, capacity = figure.subplots(1, len(shapes) + 1)
    frame = frame.assign(total=frame["modules"] * frame["neurons"])
    for axes, shape in zip(panels, shapes, strict=True):
        for total, rows in frame[frame["shape"] == shape].groupby("total"):
            part = rows["recalled_best"] / rows["patterns"]
            part = part.groupby(rows["patterns"]).agg(["mean", "std"]).fillna(0)
            axes.errorbar(part.index, part["mean"], part["std"], fmt="o-", color=COLORS[total], lw=1,
                          label=f"{total} neurons")  # fmt: skip
        axes.set(xlabel="patterns", title=shape, xscale="log", ylim=(0.3, 1.02))
        axes.legend()
    panels[0].set_ylabel("part recalled")
    for shape, rows in table(frame).groupby("shape", sort=False):
        capacity.errorbar(
            rows["neurons"], rows["recalled_90"], rows["deviation_90"], fmt="o-", lw=1, label=shape
        )
    capacity.set(xlabel="neurons", ylabel="patterns of which 90% are recalled")
    capacity.legend()


def counts(frame: pd.DataFrame) -> str:
    """How many seeds."""
    seeds = frame["seed"].nunique()
    return f"{seeds} seeds (couplings and patterns), error bars: ± their standard deviation"


def verdict(frame: pd.DataFrame) -> str:
    """Where 90 % and 99 % end; and the deepest dip, with the neurons that still learned there."""
    found, most = table(frame), frame["patterns"].max()
    values = (
        f"{r.shape} of {r.neurons}: {r.recalled_99:.0f} and "
        + f"{'≥ ' if r.recalled_90 >= most else ''}{r.recalled_90:.0f}"
        for r in found.itertuples()
    )
    said = f"99% and 90% are recalled of so many patterns: {', '.join(values)}"
    worst = found.loc[(found["beyond_it"] - found["dip"]).idxmax()]
    if worst["beyond_it"] <= worst["dip"]:
        return said
    return (
        f"{said}; recall need not fall with the load: {worst['shape']} of {worst['neurons']}: "
        f"{worst['dip']:.2f} of {worst['dip_at']} ({worst['unstable_at_dip']:.2g} neurons still learn "
        f"of each), up to {worst['beyond_it']:.2f} of more"
    )
