"""How much is learned from few samples?

Entangled MNIST, N = 100: test accuracy against the number of training samples, 10 to 60 000, of 32
gated modules of 32, of its untaught J and W with a readout that learns (a reservoir), and of a linear
readout of the bits (logistic regression). The fewer samples, the more often each is seen: 100 times
at first, 10 times in the end.
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.baselines import LINEAR, learn_or_fit
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import FROZEN
from relaxon.experiments.results import band, images, summary
from relaxon.figures import Figure

LEARNERS: dict[str, Point] = {
    "relaxon": {},
    "reservoir": FROZEN,
    LINEAR: {},
}
SAMPLES = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 60_000)


def points(form: Form) -> list[Point]:
    """Every number of samples and learner, with every seed."""
    counts = form.of((10, 100), SAMPLES[:7:2], SAMPLES)
    common = dict(task="mnist", inputs=100) | form.of(dict(tested=200), {}, {})
    machine = dict(preset="modules", modules=form.of(2, 16, 32), neurons=32)
    found = []
    for count in reversed(counts):
        epochs = form.of(2, 20, min(100, max(10, 300_000 // count)))
        for name, changes in LEARNERS.items():
            taught = {} if name == LINEAR else machine | changes | dict(epochs=epochs)
            for seed in range(form.of(1, 2, 5)):
                found.append(common | taught | dict(learner=name, samples=count, seed=seed))
    return found


def measure(point: Point, lab: Lab) -> Figures:
    """Test accuracy."""
    return learn_or_fit(point, lab)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy of every learner for every number of samples."""
    found = summary(frame, ["learner", "samples"], "accuracy")
    return found.sort_values(["learner", "samples"])


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """The learning curves."""
    axes = figure.subplots()
    for learner, rows in table(frame).groupby("learner", sort=False):
        band(axes, rows, "samples", fmt="o-", label=learner)
    axes.set(xscale="log", xlabel="training samples", ylabel="test accuracy")
    axes.legend()


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """The curves, side by side."""
    wide = table(frame).pivot(index="samples", columns="learner", values="mean")
    return "; ".join(
        f"{count} samples: " + ", ".join(f"{name} {row[name]:.3f}" for name in LEARNERS)
        for count, row in wide.iterrows()
    )
