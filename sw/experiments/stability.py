"""How stable are the states before learning and after it?

Entangled MNIST, N = 100: the stability s·h of every neuron in the states that test samples relax to,
in units of K (the spread of a fresh recurrent field), before the first training sample and after the
last one. Of a training sample that gets as far as learning, neurons at or below κ = J_D + K/2 learn. One
module of 256, not gated, and 32 gated modules of 32.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from relaxon.board import Board
from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import Machine, machine, samples_of, teach
from relaxon.experiments.results import images
from relaxon.figures import Figure

MACHINES = {
    "1 × 256": dict(preset="paper", modules=1, neurons=256),
    "32 × 32, gated": dict(preset="modules", modules=32, neurons=32),
}
EDGES = np.arange(-8, 65) / 4
"""Of the histogram, in K; what lies beyond counts in the outermost bins."""
MARGIN = 1.0
"""κ, in K."""


def points(form: Form) -> list[Point]:
    """Both machines, with every seed."""
    much = form.of(
        dict(samples=200, epochs=1, tested=20), dict(samples=5000, epochs=3, tested=200),
        dict(epochs=6, tested=1000),
    )  # fmt: skip
    return [
        dict(task="mnist", inputs=100, machine=name, seed=seed) | shape | much
        for name, shape in list(MACHINES.items())[: form.of(1, 2, 2)]
        for seed in range(form.of(1, 1, 3))
    ]


def measure(point: Point, lab: Lab) -> list[Figures]:
    """A row for each bin of both histograms."""
    data = samples_of(point, lab)
    made = machine(point, data.inputs, data.classes)
    with lab.machine(made.config) as board:
        board.load(made.couplings)
        before = _stabilities(board, made, data.x_test)
        teach(board, data, point)
        after = _stabilities(board, made, data.x_test)
    return [
        {"when": when, "bin": float(edge), "neurons_in_bin": int(count), "within": within}
        | made.recorded()
        for when, (counts, within) in (("before", before), ("after", after))
        for edge, count in zip(EDGES, counts, strict=False)
    ]


def _stabilities(board: Board, made: Machine, x: np.ndarray) -> tuple[np.ndarray, int]:
    """Histogram of s·h / K over all neurons and samples, and how many are at or below κ, from
    couplings and states read back."""
    c, r, k = board.couplings(), made.config.registers, made.settings.k(made.config)
    recurrent, weights = c.recurrent.astype(np.int64), c.input.astype(np.int64)
    counts, within = np.zeros(len(EDGES) - 1, np.int64), 0
    for sample in x:
        board.infer(sample[None])
        s = board.read("state").astype(np.int64)
        h = np.einsum("mij,mj->mi", recurrent, s) + (weights @ sample << r.input_shift)
        h += r.self_coupling * s
        within += int(np.count_nonzero(s * h <= r.margin))
        counts += np.histogram(np.clip(s * h / k, EDGES[0], EDGES[-1] - 1e-9), EDGES)[0]
    return counts, within


def _parts(frame: pd.DataFrame) -> pd.DataFrame:
    """With the part of all neurons that is in each bin, mean over seeds."""
    by = ["machine", "when", "bin"]
    found = frame.groupby(by, sort=False)[["neurons_in_bin", "within"]].sum().reset_index()
    totals = found.groupby(["machine", "when"])["neurons_in_bin"].transform("sum")
    return found.assign(part=found["neurons_in_bin"] / totals)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Median and tenths of s·h / K (interpolated in the histogram; none beyond its ends), and the parts
    below 0 and at or below κ."""
    found = []
    for (name, when), rows in _parts(frame).groupby(["machine", "when"], sort=False):
        below = rows["part"].cumsum().to_numpy()
        upper = rows["bin"].to_numpy() + EDGES[1] - EDGES[0]
        quantile = {q: float(np.interp(q, below, upper)) for q in (0.1, 0.5, 0.9)}
        # Nothing is known of the outermost bins but how much is in them.
        quantile = {q: v if upper[0] < v <= upper[-2] else np.nan for q, v in quantile.items()}
        found.append(
            {
                "machine": name, "when": when, "tenth": quantile[0.1], "median": quantile[0.5],
                "ninth_tenth": quantile[0.9],
                "unstable": float(rows.loc[rows["bin"] < 0, "part"].sum()),
                "within_margin": float(rows["within"].iloc[0] / rows["neurons_in_bin"].sum()),
                "neurons": int(rows["neurons_in_bin"].sum()),
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """Both histograms of each machine."""
    found = _parts(frame)
    names = list(found["machine"].unique())
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for when, rows in found[found["machine"] == name].groupby("when", sort=False):
            axes.stairs(rows["part"], EDGES, label=f"{when} learning", fill=True, alpha=0.5)
        axes.axvline(MARGIN, color="grey", ls="--", lw=1, label="margin κ")
        axes.set(title=name, xlabel="stability s·h / K (last bin: and more)",
                 ylabel="part of the neurons")  # fmt: skip
        axes.legend()


def counts(frame: pd.DataFrame) -> str:
    """How many seeds and images."""
    return images(frame, bars=False)


def verdict(frame: pd.DataFrame) -> str:
    """The part at or below κ, before and after, and the median."""
    rows = table(frame).itertuples()
    return "; ".join(
        f"{r.machine}, {r.when}: median {r.median:.1f} K, {r.within_margin:.1%} within the margin"
        for r in rows
    )
