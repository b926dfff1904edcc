"""What is left of the first digits when others have been learned since?

Entangled MNIST, N = 100, in five tasks: digits 0 and 1, then 2 and 3, …, 8 and 9, each for an epoch of
its own. After each, the accuracy on the test images of every task, always among all ten classes.
Beside the gated machine: one that is not gated, one whose readout alone learns (a reservoir), a
linear readout taught sample by sample (perceptron), and the gated machine on the same samples
shuffled. All of them have a readout of ten classes that hears of two at a time; the reservoir shows how
much of the forgetting is the readout's, since its J and W cannot change.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import Perceptron  # type: ignore[import-untyped]

from relaxon.data import Dataset
from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import FROZEN, machine, samples_of
from relaxon.experiments.results import images, summary
from relaxon.figures import Figure

TASKS = tuple((first, first + 1) for first in range(0, 10, 2))
LEARNERS: dict[str, Point] = {
    "gated": dict(preset="modules"),
    "not gated": dict(preset="modules", gate_enable=0),
    "reservoir": dict(preset="modules") | FROZEN,
    "perceptron": {},
    "gated, all shuffled": dict(preset="modules"),
}


def points(form: Form) -> list[Point]:
    """Every learner, with every seed."""
    much = form.of(dict(samples=200, tested=200, modules=2), dict(samples=10_000, modules=16),
                   dict(modules=32))  # fmt: skip
    return [
        dict(task="mnist", inputs=100, neurons=32, learner=name, seed=seed) | changes | much
        for name, changes in LEARNERS.items()
        for seed in range(form.of(1, 1, 5))
    ]


def measure(point: Point, lab: Lab) -> list[Figures]:
    """Accuracy on every task, after every task."""
    data = samples_of(point, lab)
    rng = np.random.default_rng(point["seed"])
    stages = [rng.permutation(np.flatnonzero(np.isin(data.y_train, task))) for task in TASKS]
    if point["learner"] == "gated, all shuffled":
        stages = np.array_split(rng.permutation(np.concatenate(stages)), len(stages))
    if point["learner"] == "perceptron":
        return _perceptron(data, stages)
    made = machine(point, data.inputs, data.classes)
    figures = []
    with lab.machine(made.config) as board:
        board.load(made.couplings)
        for stage, rows in enumerate(stages):
            board.train(data.x_train[rows], data.y_train[rows])
            figures += _tried(stage, board.infer(data.x_test).prediction, data.y_test)
    return [row | made.recorded() for row in figures]


def _perceptron(data: Dataset, stages: list[np.ndarray]) -> list[Figures]:
    """The same figures of a linear readout, taught sample by sample."""
    pupil, figures = Perceptron(shuffle=False), []
    for stage, rows in enumerate(stages):
        pupil.partial_fit(data.x_train[rows], data.y_train[rows], classes=np.arange(10))
        figures += _tried(stage, pupil.predict(data.x_test), data.y_test)
    return figures


def _tried(stage: int, prediction: np.ndarray, truth: np.ndarray) -> list[Figures]:
    """A row for each task's test images."""
    rows = []
    for task, digits in enumerate(TASKS):
        which = np.isin(truth, digits)
        right = float((prediction[which] == truth[which]).mean())
        rows.append({"after": stage, "digits": task, "accuracy": right})
    return rows


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy on every task after every task."""
    return summary(frame, ["learner", "after", "digits"], "accuracy")


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """A panel for each learner: how every task's accuracy goes."""
    found = table(frame)
    figure.set_size_inches(12, 3.4)
    for axes, learner in zip(figure.subplots(1, len(LEARNERS), sharey=True), LEARNERS):
        for digits, rows in found[found["learner"] == learner].groupby("digits"):
            label = "{} and {}".format(*TASKS[digits])
            axes.errorbar(rows["after"] + 1, rows["mean"], rows["deviation"], fmt="o-",
                          lw=1, label=label)  # fmt: skip
        axes.set(title=learner, xlabel="tasks learned", ylim=(-0.02, 1.02))
    figure.axes[0].set_ylabel("test accuracy, of ten classes")
    figure.axes[-1].legend(title="digits")


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """Of each learner: mean accuracy at the end, and on what it had learned just before."""
    found, said = table(frame), []
    for learner, rows in found.groupby("learner", sort=False):
        end = rows[rows["after"] == len(TASKS) - 1]
        fresh = rows[rows["after"] == rows["digits"]]["mean"].mean()
        old = end[end["digits"] < len(TASKS) - 1]["mean"].mean()
        if learner == "gated, all shuffled":
            said.append(f"{learner}: {end['mean'].mean():.3f}")
            continue
        said.append(
            f"{learner}: {end['mean'].mean():.3f} in the end, {old:.3f} on all tasks but the last, "
            f"{fresh:.3f} on a task just learned"
        )
    return "; ".join(said)
