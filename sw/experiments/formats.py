"""How many bits do couplings need, and how large may a step be?

Entangled MNIST, N = 100, 32 gated modules of 32, tested on the last 10 000 training images, which are
held out. The widths of J, W and O are changed one by one, and those of J and W together. Below 8 bits
the spread of fresh couplings shrinks with the range, so that a step of 1 LSB is a larger part of it;
above, it stays, and only the range grows; the unit of the readout's margins shrinks with the range of O.
Then the step: the spread of fresh J and W is changed at 8 bits and, to tell it from the range, at 12.
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import learn
from relaxon.experiments.results import band, images, summary
from relaxon.figures import Figure

BITS = tuple(range(4, 13))
READOUT_BITS = (6, 8, 9, 10, 11, 12, 13, 14, 15, 16)
SPREADS = (4, 8, 16, 24, 32, 48, 64)
FORMAT = dict(weight_bits=8, recurrent_bits=8, readout_bits=14, readout_unit=256.0, spread=32)
"""Of the preset."""
SCANS = ("J and W", "J", "W", "O", "step, 8 bits", "step, 12 bits")


def changes() -> list[tuple[str, float, Point]]:
    """(scan, value, what is changed); the value is a width, or the step in parts of the spread."""
    found: list[tuple[str, float, Point]] = []
    for bits in BITS:
        found.append(("J and W", bits, dict(weight_bits=bits, recurrent_bits=bits)))
        found.append(("J", bits, dict(recurrent_bits=bits)))
        found.append(("W", bits, dict(weight_bits=bits)))
    for bits in READOUT_BITS:
        unit = 256 * 2.0 ** min(0, bits - 14)
        found.append(("O", bits, dict(readout_bits=bits, readout_unit=unit)))
    for spread in SPREADS:
        for bits in (8, 12):
            change = dict(weight_bits=bits, recurrent_bits=bits, spread=spread)
            found.append((f"step, {bits} bits", 1 / spread, change))
    return found


def points(form: Form) -> list[Point]:
    """Every change, with every seed."""
    much = form.of(
        dict(modules=2, samples=200, tested=200, epochs=1), dict(modules=16, samples=5000, epochs=3),
        dict(modules=32, epochs=6),
    )  # fmt: skip
    common = dict(task="mnist", inputs=100, split="validation", preset="modules", neurons=32) | much
    chosen = changes()[:: form.of(9, 4, 1)]
    return [
        common | FORMAT | change | dict(seed=seed, told=dict(scan=scan, value=value))
        for scan, value, change in chosen
        for seed in range(form.of(1, 1, 3))
    ]


def measure(point: Point, lab: Lab) -> Figures:
    """Accuracy, and what part of each array is at the end of its range."""
    return learn(point, lab)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy, and what saturates, for every width and step."""
    found = summary(frame, ["scan", "value"], "accuracy")
    for array in ("recurrent", "input", "readout"):
        part = summary(frame, ["scan", "value"], f"{array}_at_limit")["mean"]
        found[f"{array}_at_limit"] = part.round(4)
    return found


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """Accuracy against widths, against the step, and what is at the end of its range."""
    widths, step, limit = figure.subplots(1, 3)
    figure.set_size_inches(12, 4)
    found = table(frame)
    for scan in SCANS:
        rows = found[found["scan"] == scan].sort_values("value")
        band(step if scan.startswith("step") else widths, rows, "value", fmt="o-", label=scan)
    for scan, array in (("J", "recurrent"), ("W", "input"), ("O", "readout")):
        rows = found[found["scan"] == scan].sort_values("value")
        limit.plot(rows["value"], rows[f"{array}_at_limit"], "o-", lw=1, label=scan)
    widths.set(xlabel="bits", ylabel="validation accuracy")
    step.set(xlabel="step / spread of fresh couplings", ylabel="validation accuracy", xscale="log")
    step.set_xticks([1 / s for s in SPREADS], [f"1/{s}" for s in SPREADS], fontsize=7)
    step.minorticks_off()
    limit.set(xlabel="bits", ylabel="part at the end of its range")
    for axes in (widths, step, limit):
        axes.legend()


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """The accuracy at every width."""
    found, said = table(frame), []
    for scan, rows in found.groupby("scan", sort=False):
        values = (f"{r.value:.3g}: {r.mean:.3f}" for r in rows.sort_values("value").itertuples())
        said.append(f"{scan}: {', '.join(values)}")
    return "; ".join(said)
