"""What an experiment came to, for people: a tidy CSV, a small table, a figure, a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relaxon.experiments import Script
from relaxon.experiments.lab import TEST, TRAINING, VALIDATION
from relaxon.figures import Figure, FigureCanvasSVG, matplotlib
from relaxon.files import replacing, write_text

STYLE: Any = {
    "svg.hashsalt": "relaxon",  # the same figure is the same file
    "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False,
    "font.size": 10, "legend.fontsize": 8, "errorbar.capsize": 2, "lines.markersize": 4,
}  # fmt: skip


def files(name: str) -> tuple[str, str, str]:
    """What an experiment writes beside its points: all rows, the small table, the figure."""
    return f"{name}.csv", f"{name}-table.csv", f"{name}.svg"


def write(name: str, script: Script, frame: pd.DataFrame, folder: Path) -> str:
    """Write ``NAME.csv`` (every row) and ``NAME-table.csv`` (the small table) into the folder; returns
    the verdict. `DataError` if they cannot be written."""
    rows, table, _ = files(name)
    write_text(folder / rows, frame.to_csv(index=False))
    write_text(folder / table, script.table(frame).to_csv(index=False))
    return script.verdict(frame)


def draw(name: str, script: Script, frame: pd.DataFrame, folder: Path) -> None:
    """Write the figure, ``NAME.svg``, into the folder. `DataError` if it cannot be written."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.5), layout="constrained")
        FigureCanvasSVG(figure)
        script.draw(frame, figure)
        figure.supxlabel(script.counts(frame), fontsize=8, color="0.4")
        with replacing(folder / files(name)[-1]) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})


def summary(frame: pd.DataFrame, by: list[str], figure: str) -> pd.DataFrame:
    """Mean of a figure over seeds, its standard deviation (n − 1) and n, for every value of `by`."""
    groups = frame.groupby(by, sort=False, dropna=False)[figure]
    return groups.agg(mean="mean", deviation="std", seeds="count").reset_index()


def against(frame: pd.DataFrame, by: list[str], reference: dict[str, str]) -> pd.DataFrame:
    """`summary` of the accuracy, and how far it is from the reference's: mean of the differences seed
    by seed, and their standard deviation.

    A seed decides projection and order, whatever else is changed: differences vary less than
    accuracies do. The reference has these values in some columns of `by`, a row's own in the others.
    """
    same = [column for column in by if column not in reference]
    told = (frame[column] == value for column, value in reference.items())
    base = frame[np.logical_and.reduce(list(told))][[*same, "seed", "accuracy"]]
    pairs = frame.merge(base, on=[*same, "seed"], suffixes=("", "_reference"))
    pairs["difference"] = pairs["accuracy"] - pairs["accuracy_reference"]
    differences = pairs.groupby(by, sort=False)["difference"]
    found = differences.agg(difference="mean", its_deviation="std").reset_index()
    return summary(frame, by, "accuracy").merge(found, on=by, how="left")


def plus_minus(mean: float, deviation: float) -> str:
    """A difference with its deviation, if there is one."""
    return f"{mean:+.3f}" + (f" ± {deviation:.3f}" if pd.notna(deviation) else "")


def images(frame: pd.DataFrame, bars: bool = True) -> str:
    """What a frame of machines that learned is of: seeds, epochs, images to learn from and to test;
    and what the error `bars` are, if there are any."""
    seeds = frame["seed"].nunique()
    held_out = "split" in frame and (frame["split"] == "validation").any()
    learned = _span(frame, "samples", TRAINING - VALIDATION * held_out)
    tested = _span(frame, "tested", VALIDATION if held_out else TEST)
    epochs = f", {_span(frame, 'epochs')} epochs" if "epochs" in frame else ""
    spread = ", error bars: ± their standard deviation" if seeds > 1 and bars else ""
    kind = "validation" if held_out else "test"
    return (
        f"{seeds} seed{'s' * (seeds > 1)}{spread}; {learned} training images{epochs}; "
        f"{tested} {kind} images"
    )


def _span(frame: pd.DataFrame, column: str, otherwise: int | None = None) -> str:
    """The one value of a column, or its ends; where it has none, another, if any."""
    values = frame[column] if column in frame else pd.Series([otherwise])
    values = values.dropna() if otherwise is None else values.fillna(otherwise)
    ends = dict.fromkeys((int(values.min()), int(values.max())))
    return " to ".join(f"{end:,}".replace(",", "\u202f") for end in ends)


def band(axes, table: pd.DataFrame, x: str, **style) -> None:  # type: ignore[no-untyped-def]
    """Means with error bars of one standard deviation, over the column `x` of a `summary`."""
    axes.errorbar(table[x], table["mean"], yerr=table["deviation"], **style)
