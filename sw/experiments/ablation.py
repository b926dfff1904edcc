"""What matters: which arrays learn, sweeps, margins, couplings, the label, the order of updates?

Entangled MNIST, N = 100, one change at a time from the preset, for 32 gated modules of 32 and for
one module of 256 that is not gated, tested on the last 10 000 training images, which are held out.
*Order* is block-sequential in blocks of so many neurons (the lanes), 0 is synchronous, and so are
whole modules in turn where λ = 0. *State kept* starts every sample from the last one's state, not from
rest. While J_D is scanned κ − J_D stays. O starts at 0: frozen, it cannot tell classes apart.
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import learn, preset_values
from relaxon.experiments.results import against, band, images, plus_minus
from relaxon.figures import Figure

MACHINES: dict[str, Point] = {
    "32 × 32, gated": dict(preset="modules", modules=32, neurons=32),
    "1 × 256": dict(preset="paper", modules=1, neurons=256),
}
SWITCHES: dict[str, Point] = {
    "preset": {},
    "not gated": dict(gate=None),
    "J frozen": dict(learn_recurrent=0),
    "W frozen": dict(learn_input=0),
    "J and W frozen": dict(learn_recurrent=0, learn_input=0),
    "O frozen": dict(learn_readout=0),
    "no recurrence": dict(wiring="no recurrence", learn_recurrent=0),
    "label never clamped": dict(sweeps_clamped=0),
    "state kept": dict(keep_state=1),
}
"""Either done or not."""
SCANS = {
    "J_D / K": ("self_coupling", (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)),
    "(κ − J_D) / K": ("margin", (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.5)),
    "feedback / K": ("feedback", (0.25, 0.5, 0.9, 1.2, 1.8)),
    "gate, readout units": ("gate", (0.0, 1.0, 2.0, 4.0, 8.0)),
    "sweeps clamped": ("sweeps_clamped", (1, 2, 4)),
    "sweeps released": ("sweeps_released", (0, 1, 2, 4)),
    "sweeps of inference": ("sweeps_infer", (0, 1, 2, 4, 8)),
    "order: neurons at a time": ("lanes", (0, 2, 8, 32)),
}
"""Axis → the parameter, and its values."""


def points(form: Form) -> list[Point]:
    """Every switch and every value of every scan, with every seed."""
    much = form.of(dict(samples=200, tested=200, epochs=1), dict(samples=4000, epochs=3), dict(epochs=4))
    common = dict(task="mnist", inputs=100, split="validation") | much
    scanned = [parameter for parameter, _ in SCANS.values() if parameter != "lanes"]
    changes: list[tuple[str, str | float, Point]] = [
        ("switch", name, change) for name, change in SWITCHES.items()
    ]
    for axis, (parameter, values) in SCANS.items():
        for value in values:
            order = dict(sequential=1, lanes=value) if value else {}
            changes.append((axis, value, order if parameter == "lanes" else {parameter: value}))
    machines = list(MACHINES.items())[: form.of(1, 2, 2)]
    return [
        common | machine | preset_values(machine["preset"], scanned) | change
        | dict(seed=seed, told=dict(machine=name, axis=axis, value=value))
        for name, machine in machines
        for axis, value, change in changes[:: form.of(9, 1, 1)]
        if change.get("lanes") != machine["neurons"]
        for seed in range(form.of(1, 1, 3))
    ]


def measure(point: Point, lab: Lab) -> Figures:
    """Accuracy, and what the machine came to."""
    return learn(point, lab)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy of every change, and how far it is from the preset's."""
    return against(frame, ["machine", "axis", "value"], {"axis": "switch", "value": "preset"})


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """A panel for the switches, and one for each scan."""
    figure.set_size_inches(11, 9)
    panels = figure.subplots(3, 3).ravel()
    found = table(frame)
    for axes, axis in zip(panels, ["switch", *SCANS]):
        for shift, (machine, rows) in enumerate(found[found["axis"] == axis].groupby("machine")):
            if axis == "switch":
                where = [at + 0.2 * shift for at in range(len(rows))]
                axes.errorbar(rows["mean"], where, xerr=rows["deviation"], fmt="o")
                axes.set_yticks(range(len(rows)), rows["value"], fontsize=6)
            else:
                band(axes, rows.assign(value=rows["value"].astype(float)), "value", fmt="o-",
                     label=machine)  # fmt: skip
            axes.set(xlabel=axis, ylabel="validation accuracy")
    panels[0].set(xlabel="validation accuracy", ylabel="")
    panels[1].set_ylim(0, 1)
    panels[1].legend(loc="lower right")
    fine = found[~found["axis"].isin(["switch", next(iter(SCANS))])]
    if len(fine):
        ends = (fine["mean"] - fine["deviation"].fillna(0)).min(), fine["mean"].max() + 0.02
        for axes in panels[2:]:
            axes.set_ylim(*ends)


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """What every switch does to the preset."""
    found = table(frame)
    said = []
    for machine, rows in found[found["axis"] == "switch"].groupby("machine", sort=False):
        preset = rows.loc[rows["value"] == "preset", "mean"].iloc[0]
        changes = ", ".join(
            f"{r.value} {plus_minus(r.difference, r.its_deviation)}"
            for r in rows.itertuples()
            if r.value != "preset"
        )
        said.append(f"{machine}: {preset:.3f}; {changes}")
    return "; ".join(said)
