"""How does accuracy grow with size, and what do others reach on the same bits?

The paper's Figure 2: test accuracy against the number of couplings that learn, for one module of H
neurons and for M modules of 32, on Entangled MNIST (N = 100 and 784), MNIST pixels and Entangled
Fashion-MNIST. Beside it, of the same number of neurons: *random features* (J = 0, W frozen) and a
*reservoir* (J and W frozen), whose readouts learn by the same rule on the chip; a linear readout of
the bits (logistic regression); and a network of binary neurons taught by backpropagation, with as
many neurons, and with as many parameters (of 32 bits), for twice as many epochs. The machine's are J, W
and O, of 8, 8 and 12 to 14 bits; its fixed F is not counted. The input field is 5 K if it can be: a
shift makes it, so that it is 3.5 K or 7 K for some H.
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.baselines import LINEAR, binarised_mlp, linear, mlp_of, mlp_parameters
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import FROZEN, learn, machine, samples_of, trainable
from relaxon.experiments.results import images, summary
from relaxon.figures import Figure

TASKS: dict[str, Point] = {
    "Entangled MNIST, N = 100": dict(task="mnist", inputs=100),
    "Entangled MNIST, N = 784": dict(task="mnist", inputs=784),
    "MNIST pixels": dict(task="mnist"),
    "Entangled Fashion-MNIST, N = 784": dict(task="fashion", inputs=784),
}
LEARNERS: dict[str, Point] = {
    "relaxon": {},
    "random features": dict(wiring="no recurrence", **FROZEN),
    "reservoir": FROZEN,
    LINEAR: {},
    "MLP, as many neurons": {},
    "MLP, as many parameters": {},
}
MLP_EPOCHS = 2
"""For each of the machine's."""


def points(form: Form) -> list[Point]:
    """Every task, shape, learner and seed; a linear readout has no shape. With 784 inputs fewer shapes
    and epochs, which still are hours."""
    found = []
    for task in list(TASKS.values())[: form.of(1, None, None)]:
        small = task.get("inputs") == 100
        single = form.of([32], [64, 256], [64, 128, 256, 512, 1024] if small else [64, 256, 1024])
        several = form.of([4], [8, 32], [4, 8, 16, 32, 64] if small else [4, 16, 64])
        shapes = [dict(preset="paper", modules=1, neurons=h) for h in single]
        shapes += [dict(preset="modules", modules=m, neurons=32) for m in several]
        much = form.of(
            dict(samples=200, tested=200, epochs=1), dict(samples=5000, epochs=3),
            dict(epochs=8 if small else 4),
        )  # fmt: skip
        for seed in range(form.of(1, 1, 3)):
            common = task | much | dict(seed=seed)
            if seed == 0 or "inputs" in task or "samples" in much:  # pixels of all images: no draw
                found.append(common | dict(learner=LINEAR))
            for learner, changes in LEARNERS.items():
                if learner != LINEAR:
                    found += [common | shape | changes | dict(learner=learner) for shape in shapes]
    return sorted(found, key=lambda p: -p.get("modules", 0) * p.get("neurons", 0))  # longest first


def measure(point: Point, lab: Lab) -> Figures:
    """Accuracy, and the number of couplings that learn."""
    learner = point["learner"]
    if learner in ("relaxon", "random features", "reservoir"):
        return learn(point, lab)
    data = samples_of(point, lab)
    if learner == LINEAR:
        return linear(data) | {"trainable": (data.inputs + 1) * data.classes}
    config = machine(point, data.inputs, data.classes).config
    hidden = config.total_neurons
    if learner == "MLP, as many parameters":
        hidden = mlp_of(trainable(config), data.inputs, data.classes)
    return {
        "accuracy": binarised_mlp(data, hidden, MLP_EPOCHS * point["epochs"], point["seed"]),
        "trainable": mlp_parameters(hidden, data.inputs, data.classes),
        "hidden": hidden,
    }


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """With columns for the task's name, and for the shape: "1 × 256", "32 × 32"."""
    names = {(t["task"], t.get("inputs")): name for name, t in TASKS.items()}
    inputs = frame.get("inputs", pd.Series(None, index=frame.index, dtype=float))
    keys = zip(frame["task"], inputs.astype(object).where(inputs.notna(), None))
    machine = frame["modules"].map("{:.0f}".format) + " × " + frame["neurons"].map("{:.0f}".format)
    return frame.assign(
        named=[names[key] for key in keys], total=frame["modules"] * frame["neurons"],
        machine=machine.where(frame["learner"] != LINEAR, "–")
    )


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for every task and shape: mean accuracy of every learner, the machine's deviation too."""
    found = _means(frame)
    by = ["task", "machine"]
    machines = found[found["learner"] == "relaxon"]
    wide = found.pivot_table("mean", by, "learner", observed=True).reset_index()
    linear = found[found["learner"] == LINEAR].set_index("task")["mean"]
    columns = [*by, "neurons", "trainable", "deviation", "seeds"]
    rows = machines[columns].astype({"neurons": int, "trainable": int}).merge(wide, on=by)
    rows[LINEAR] = rows["task"].astype(str).map(linear.rename(index=str))
    told = [*columns[:4], "relaxon", *columns[4:]]
    return rows[[*told, *(c for c in LEARNERS if c in rows and c not in told)]]


def _means(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy of every task, learner and shape, a row each."""
    named = _named(frame)
    by = ["named", "learner", "machine"]
    found = summary(named, by, "accuracy").merge(
        named.groupby(by, as_index=False)[["total", "trainable"]].first(), on=by
    )
    order = [list(TASKS), list(LEARNERS)]
    for column, names in zip(by, order, strict=False):
        found[column] = pd.Categorical(found[column], names)
    found = found.sort_values(["named", "learner", "trainable"])
    return found.rename(columns={"named": "task", "total": "neurons"})


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """Accuracy against trainable parameters, a panel for each task."""
    found = _means(frame)
    tasks = list(found["task"].unique())
    figure.set_size_inches(11, 3.6 * -(-len(tasks) // 2))
    panels = figure.subplots(-(-len(tasks) // 2), 2, squeeze=False).ravel()
    for axes, task in zip(panels, tasks, strict=False):
        rows = found[found["task"] == task]
        for color, learner in enumerate(LEARNERS):
            mine = rows[rows["learner"] == learner]
            if learner == LINEAR:
                axes.axhline(mine["mean"].mean(), color="grey", ls="--", lw=1, label=LINEAR)
            kinds = [(mine["machine"].str.startswith("1 ×"), "one module", "o-"),
                     (~mine["machine"].str.startswith("1 ×"), "modules of 32", "s--")]  # fmt: skip
            for which, kind, marks in kinds if learner != LINEAR else []:
                line = mine[which]
                if len(line):
                    axes.errorbar(
                        line["trainable"], line["mean"], line["deviation"], fmt=marks,
                        color=f"C{color}", lw=1, label=f"{learner}, {kind}",
                    )  # fmt: skip
        axes.set(xscale="log", xlabel="trainable parameters", ylabel="test accuracy", title=task)
    for axes in panels[len(tasks) :]:
        axes.axis("off")
    panels[0].legend(loc="lower right", ncols=2, fontsize=6)


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """The largest machine of each task beside its rivals of the same shape, and its lead over those
    whose readout alone learns, in every shape."""
    found, said = _means(frame), []
    for task, rows in found.groupby("task", observed=True):
        largest = rows[rows["learner"] == "relaxon"].sort_values("neurons").iloc[-1]
        rivals = rows[(rows["machine"] == largest["machine"]) | (rows["learner"] == LINEAR)]
        others = ", ".join(
            f"{row.learner} {row.mean:.3f}" for row in rivals.itertuples() if row.learner != "relaxon"
        )
        said.append(f"{task}: {largest['machine']} reaches {largest['mean']:.3f} ({others})")
        means = rows.pivot_table("mean", "machine", "learner", observed=True)
        if {"random features", "reservoir"} <= set(means):
            lead = means["relaxon"] - means[["random features", "reservoir"]].max(axis=1)
            said[-1] += (
                f"; ahead of random features and reservoir by {lead.min():.3f} ({lead.idxmin()}) to "
                f"{lead.max():.3f} ({lead.idxmax()})"
            )
    return ". ".join(said)
