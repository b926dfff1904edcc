"""What the command line shows: progress bars and tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from relaxon.errors import DataError
from relaxon.training import Observer, Run
from relaxon.verify import Finding

out = Console(highlight=False)
"""Results."""
err = Console(stderr=True, highlight=False)
"""Progress and errors."""


class _Speed(ProgressColumn):
    """Samples per second."""

    def render(self, task: Task) -> Text:
        speed = task.completed / task.finished_time if task.finished_time else task.speed
        return Text("" if speed is None else f"{speed:,.0f} samples/s")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), _Speed(),
        TextColumn("{task.fields[note]}"), TimeRemainingColumn(compact=True), console=err,
    )  # fmt: skip


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over `total` samples with samples/s; call what it yields with every few finished."""
    with _bar() as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda done: bar.advance(task, done)


@contextmanager
def training_progress(what: str, total: int, *, lines: bool = True) -> Iterator[Observer]:
    """A bar for `relaxon.training.train` with the running accuracy, and a line after each epoch."""
    shown = 0
    with _bar() as bar:
        task = bar.add_task(what, total=total, note="")

        def observe(run: Run, done: int) -> None:
            nonlocal shown
            accuracy = run.running_accuracy
            note = "" if accuracy is None else f"accuracy {accuracy:.3f}"
            if run.tested:
                note = f"testing: {run.tested:,}"
            bar.update(task, advance=done, note=note)
            if lines and len(run.train_accuracy) > shown:
                shown = len(run.train_accuracy)
                line = f"epoch {shown}: accuracy while training {run.train_accuracy[-1]:.4f}"
                test = run.test_accuracy.get(shown - 1)
                bar.console.print(line + ("" if test is None else f", on the test set {test:.4f}"))

        yield observe


def show_figures(title: str, rows: Sequence[tuple[str, Any]]) -> None:
    """A table of names and values; values of None are left out."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in rows:
        if value is not None:
            table.add_row(name, f"{value:,.1f}" if isinstance(value, float) else str(value))
    out.print(title, style="bold", soft_wrap=True, markup=False)
    out.print(table)


def show_findings(findings: Sequence[Finding]) -> bool:
    """A line for everything compared; returns whether all agree."""
    for finding in findings:
        if finding.agrees:
            verdict = "equal" if finding.total == 1 else f"all {finding.total:,} equal"
        else:
            verdict = f"[bold red]{finding.differ:,} of {finding.total:,} differ[/]"
        out.print(f"  {finding.what:<28}{verdict}")
    return all(finding.agrees for finding in findings)


def make_folder(path: Path) -> None:
    """Make a folder and those it lies in. `DataError` if that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path} cannot be made: {error.strerror}") from None


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values as JSON, making the folder. `DataError` if that cannot be done."""
    make_folder(path.parent)
    try:
        path.write_text(json.dumps(values, indent=2) + "\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None
