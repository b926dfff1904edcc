"""What do the presets reach on test images?

The presets `modules` and `tuned`, trained on all 60 000 images and tested on the 10 000 test images:
Entangled MNIST of 100 and 784 bits, MNIST pixels and Fashion-MNIST, with J and W of 8 bits. Both were
chosen beforehand, on validation images of Entangled MNIST of 100 bits: `modules` in an earlier study,
`tuned` by `search`. Beside them a linear readout of the same bits (logistic regression).
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.baselines import LINEAR, learn_or_fit
from relaxon.experiments.lab import Lab
from relaxon.experiments.results import against, images, plus_minus, summary
from relaxon.figures import Figure

TASKS: dict[str, Point] = {
    "Entangled MNIST, N = 100": dict(task="mnist", inputs=100),
    "Entangled MNIST, N = 784": dict(task="mnist", inputs=784),
    "MNIST pixels, N = 784": dict(task="mnist"),
    "Fashion-MNIST pixels, N = 784": dict(task="fashion"),
    "Entangled Fashion-MNIST, N = 784": dict(task="fashion", inputs=784),
}
TRIALS = {
    "Entangled MNIST, N = 100": (("modules", 32, 10), ("modules", 32, 30), ("modules", 64, 30),
                                 ("tuned", 32, 10), ("tuned", 32, 30), ("tuned", 64, 30)),
}  # fmt: skip
"""(preset, modules of 32, epochs) of a task …"""
OTHERS = (("modules", 32, 20), ("tuned", 32, 20))
"""… and of the others."""


def points(form: Form) -> list[Point]:
    """Every task and trial, with every seed."""
    found = []
    for name, task in list(TASKS.items())[: form.of(1, None, None)]:
        few = form.of(dict(samples=200, tested=200), dict(samples=5000), {})
        for seed in range(form.of(1, 1, 3)):
            common = task | few | dict(name=name, seed=seed)
            if seed == 0 or "inputs" in task:  # pixels of all images: no draw
                found.append(common | dict(learner=LINEAR))
            trials = TRIALS.get(name, OTHERS) if form is Form.FULL else OTHERS
            for preset, modules, epochs in trials[form.of(-1, 0, 0) :]:
                shape = dict(preset=preset, modules=form.of(2, modules // 4, modules), neurons=32)
                much = dict(epochs=form.of(1, 3, epochs), learner=preset)
                found.append(common | shape | much)
    return found


def measure(point: Point, lab: Lab) -> Figures:
    """Test accuracy."""
    return learn_or_fit(point, lab)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy of every task, learner and size."""
    return summary(frame, ["name", "learner", "modules", "epochs"], "accuracy")


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """A panel for each task, a row for each learner."""
    found = table(frame)
    figure.set_size_inches(7.5, 1 + 0.35 * len(found))
    heights = found.groupby("name", sort=False).size()
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, rows) in zip(panels, found.groupby("name", sort=False), strict=True):
        where = range(len(rows), 0, -1)
        axes.errorbar(rows["mean"], where, xerr=rows["deviation"], fmt="o")
        axes.set_yticks(where, rows.apply(_trial, axis=1))
        axes.set_ylim(0.5, len(rows) + 0.5)
        axes.set_title(name, loc="left", fontsize=9)
    panels[-1].set_xlabel("test accuracy")


def _trial(row: pd.Series) -> str:
    """A row of the table, in words."""
    if pd.isna(row["modules"]):
        return str(row["learner"])
    return f"{row['learner']} {row['modules']:.0f} × 32, {row['epochs']:.0f} epochs"


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """Every task: what each reaches."""
    said = []
    for name, rows in table(frame).groupby("name", sort=False):
        each = (f"{_trial(row)} {row['mean']:.4f}" for _, row in rows.iterrows())
        said.append(f"{name}: {'; '.join(each)}")
    both = frame[frame["learner"].isin(["modules", "tuned"])]
    differences = against(both, ["name", "modules", "epochs", "learner"], {"learner": "modules"})
    ahead = [
        f"{r.name}, {r.modules:.0f} × 32, {r.epochs:.0f} epochs: "
        + plus_minus(r.difference, r.its_deviation)
        for r in differences[differences["learner"] == "tuned"].itertuples(index=False)
        if pd.notna(r.difference)
    ]
    if ahead:
        said.append(f"Seed by seed tuned is ahead of modules by: {'; '.join(ahead)}")
    return ". ".join(said)
