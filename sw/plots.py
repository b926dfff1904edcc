"""Pictures of a run: the accuracy curve, and the couplings before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.figures import Figure, FigureCanvasAgg
from relaxon.files import replacing
from relaxon.training import Run

TITLES = {"recurrent": "recurrent J", "input": "input W", "readout": "readout O"}


def plot_accuracy(run: Run, path: Path, title: str, baseline: float | None = None) -> None:
    """Accuracy over training samples: running (slice by slice), and on the test set where taken."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    right = np.concatenate(run.right) if run.right else np.zeros(0)
    if right.size:
        window = max(1, min(1000, right.size // 20))
        ends = np.arange(window, right.size + 1, max(1, window // 2))
        sums = np.concatenate([[0], np.cumsum(right)])
        label = f"while training (last {window:,} samples)"
        axes.plot(ends, (sums[ends] - sums[ends - window]) / window, lw=1, label=label)
    if run.test_accuracy:
        at = [run.epoch_ends[epoch] for epoch in run.test_accuracy]
        tested = list(run.test_accuracy.values())
        axes.plot(at, tested, "o-", label=f"test set (last: {tested[-1]:.4f})")
    if baseline is not None:
        axes.axhline(baseline, color="grey", ls="--", lw=1,
                     label=f"logistic regression, test set: {baseline:.4f}")  # fmt: skip
    axes.set(xlabel="training samples", ylabel="accuracy", title=title)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")
    _save(figure, path)


def plot_couplings(config: Config, before: Couplings, after: Couplings, path: Path) -> None:
    """Histograms of J (without its diagonal), W and O before and after, on one scale of counts."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    off_diagonal = ~np.eye(config.neurons, dtype=bool)
    for axes, (name, title) in zip(figure.subplots(1, 3), TITLES.items(), strict=True):
        arrays = [getattr(before, name), getattr(after, name)]
        if name == "recurrent":
            arrays = [array[:, off_diagonal] for array in arrays]
        limit = max(config.weight_max, config.recurrent_max)
        if name == "readout":
            limit = max(1, *(int(np.abs(array).max(initial=0)) for array in arrays))
        step = max(1, 2 * limit // 64)
        bins = np.arange(-limit - 0.5, limit + step, step)
        for array, label in zip(arrays, ("before", "after"), strict=True):
            axes.hist(array.ravel(), bins, histtype="stepfilled", alpha=0.5, label=label)
        axes.set(title=title, xlabel="LSB", yscale="log")
    figure.axes[0].set_ylabel("couplings")
    figure.axes[0].legend()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """Write a figure. `DataError` if it cannot be written."""
    with replacing(path) as file:
        figure.savefig(file, dpi=120)
