"""Which bits of an image serve best: its pixels, more levels of them, or projections?

MNIST and Fashion-MNIST, 32 gated modules of 32, tested on the last 10 000 training images, which are
held out. A pixel is a bit, or has two or three levels (thermometer), or all of them are projected to as
many random bits ("entangled") as there are pixels, or twice as many. Beside it a linear readout of the
same bits (logistic regression), of one seed.
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.baselines import LINEAR, learn_or_fit
from relaxon.experiments.lab import Lab
from relaxon.experiments.results import images, summary
from relaxon.figures import Figure

TASKS = {"MNIST": "mnist", "Fashion-MNIST": "fashion"}
CODES: dict[str, Point] = {
    "pixels, 1 level": dict(levels=1),
    "pixels, 2 levels": dict(levels=2),
    "pixels, 3 levels": dict(levels=3),
    "784 projections": dict(inputs=784),
    "1568 projections": dict(inputs=1568),
}
LEARNERS = ("relaxon", LINEAR)


def points(form: Form) -> list[Point]:
    """Every task, code and learner, with every seed."""
    much = form.of(
        dict(modules=2, samples=200, tested=200, epochs=1),
        dict(modules=16, samples=3000, tested=5000, epochs=2), dict(modules=32, epochs=4),
    )  # fmt: skip
    machine = dict(preset="modules", neurons=32)
    codes = list(CODES.values())[:: form.of(3, 3, 1)]
    found = []
    for task in list(TASKS.values())[: form.of(1, 2, 2)]:
        for code in codes:
            for seed in range(form.of(1, 1, 3)):
                common = dict(task=task, split="validation", seed=seed) | much | code
                found.append(common | machine | dict(learner="relaxon"))
                if seed == 0:  # minutes each, and the seeds agree to some thousandths
                    found.append(common | dict(learner=LINEAR))
    return found


def measure(point: Point, lab: Lab) -> Figures:
    """Accuracy."""
    return learn_or_fit(point, lab)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy of every task, code and learner."""
    columns = {name: frame.get(name) for name in ("levels", "inputs")}
    given = pd.DataFrame(columns, index=frame.index)
    names = {next(iter(code.items())): name for name, code in CODES.items()}
    named = [
        names["inputs", row["inputs"]] if row["inputs"] > 0 else names["levels", row["levels"]]
        for row in given.astype(float).fillna(0).to_dict("records")
    ]
    tasks = {value: name for name, value in TASKS.items()}
    told = frame.assign(code=named, task=frame["task"].map(tasks))
    return summary(told, ["task", "code", "learner"], "accuracy")


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """A panel for each task, a row for each code."""
    found = table(frame)
    codes = [code for code in reversed(CODES) if code in set(found["code"])]
    panels = figure.subplots(1, found["task"].nunique(), sharey=True, squeeze=False)[0]
    for axes, (task, rows) in zip(panels, found.groupby("task", sort=False)):
        for learner, marks in zip(LEARNERS, ("o", "s")):
            mine = rows[rows["learner"] == learner]
            where = [codes.index(code) for code in mine["code"]]
            axes.errorbar(mine["mean"], where, xerr=mine["deviation"], fmt=marks, label=learner)
        axes.set(xlabel="validation accuracy", title=task)
        axes.set_yticks(range(len(codes)), codes)
    panels[0].legend()


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """Every code: the machine, and a linear readout."""
    said = []
    for task, rows in table(frame).groupby("task", sort=False):
        wide = rows.pivot(index="code", columns="learner", values="mean").reindex(CODES).dropna()
        pairs = zip(wide.index, wide["relaxon"], wide[LINEAR], strict=True)
        each = (f"{code} {ours:.3f} (linear {theirs:.3f})" for code, ours, theirs in pairs)
        said.append(f"{task}: {', '.join(each)}")
    return "; ".join(said)
