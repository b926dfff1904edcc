"""What the command line shows and writes: progress bars, tables, and the files of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

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

from relaxon import checkpoint, folder
from relaxon.config import Config
from relaxon.console import err, fail, out, warn
from relaxon.couplings import Couplings
from relaxon.data import Dataset
from relaxon.training import Observer, Run
from relaxon.verify import Finding

VERDICTS = {
    None: None, False: Text("NOT EQUAL after the same samples", "bold red"),
    True: "EQUAL, bit for bit: couplings, predictions, counters",
}  # fmt: skip


def status(what: str) -> AbstractContextManager[object]:
    """A word on what is being done, while it is."""
    return err.status(Text(what))


class _Speed(ProgressColumn):
    """How many a second."""

    def __init__(self, unit: str):
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.completed / task.finished_time if task.finished_time else task.speed
        if speed is None:
            return Text("")
        return Text(f"{speed:,.{2 if speed < 10 else 0}f} {self.unit}/s")


def _bar(unit: str = "samples") -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn(),
        _Speed(unit), TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(compact=True), console=err,
    )  # fmt: skip


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over `total` samples with samples/s; call what it yields with every few finished."""
    with counting(what, total, "samples") as advance:
        yield advance


@contextmanager
def counting(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar over `total` of anything; call what it yields with every few finished."""
    with _bar(unit) as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda done: bar.advance(task, done)


@contextmanager
def training_progress(
    what: str, total: int, *, start: int = 0, lines: bool = True
) -> Iterator[Observer]:
    """A bar for `relaxon.training.train` with the running accuracy, and a line after each epoch.

    `start` samples were done before.
    """
    shown = 0
    with _bar() as bar:
        task = bar.add_task(what, total=total, completed=start, note="")

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
            shown = f"{value:,.1f}" if isinstance(value, float) else value
            table.add_row(name, shown if isinstance(shown, Text) else Text(str(shown)))
    out.say(title, "bold")
    out.print(table)


def show_findings(findings: Sequence[Finding]) -> bool:
    """A line for everything compared; returns whether all agree."""
    for finding in findings:
        verdict, style = f"{finding.differ:,} of {finding.total:,} differ", "bold red"
        if finding.agrees:
            verdict = "equal" if finding.total == 1 else f"all {finding.total:,} equal"
            style = ""
        out.print(Text.assemble(f"  {finding.what:<28}", (verdict, style)), soft_wrap=True)
    return all(finding.agrees for finding in findings)


def save_couplings(
    path: Path, data: Dataset, config: Config, learned: Couplings, run: Run, figures: dict[str, Any]
) -> None:
    """Write what was learned, and what else `relaxon predict` needs. `DataError` if it cannot."""
    extra = {name: figures[name] for name in ("preset", "data", "entangle", "seed", "epochs")}
    checkpoint.save(
        path, config, learned,
        **extra, **data.encoder.to_dict(),
        samples_trained=run.samples, test_accuracy=figures["test_accuracy"],
    )  # fmt: skip


def draw_run(
    path: Path, data: Dataset, config: Config, start: Couplings, learned: Couplings, run: Run,
    figures: dict[str, Any],
) -> None:  # fmt: skip
    """Write both plots of a run into its folder."""
    from relaxon.plots import plot_accuracy, plot_couplings

    title = f"{data.name}, N = {data.inputs}, {config.modules} × {config.neurons} neurons"
    accuracy, couplings = folder.PLOTS
    plot_accuracy(run, path / accuracy, title, figures["baseline_accuracy"])
    plot_couplings(config, start, learned, path / couplings)


def show_run(data: Dataset, config: Config, figures: dict[str, Any], where: Path) -> None:
    """The figures of a run, as `relaxon train` ends with them."""
    f = figures
    bits, bound = f["field_bits_used"], f["largest_field_bound"]
    cycles, phases, busy = (
        f[name] for name in ("cycles_per_sample", "cycles_per_phase", "weight_memory_busy")
    )
    accuracy = f["test_accuracy"]
    baseline = f["baseline_accuracy"]
    show_figures(
        f"{data.name}: {config.modules} × {config.neurons} neurons, {data.inputs} inputs, "
        f"{config.lanes} lanes, {config.store} store, board {f['board']}, seed {f['seed']}",
        [
            ("test accuracy", accuracy and f"{accuracy:.4f} ({f['test_samples']:,} samples)"),
            ("logistic regression", baseline and f"{baseline:.4f} on the same bits"),
            ("samples trained", f"{f['samples_trained']:,}"),
            ("cycles per training sample", cycles and f"{cycles:,.0f} (second half of the run)"),
            ("… of which", phases and ", ".join(f"{n} {c:,.0f}" for n, c in phases.items())),
            ("weight memory busy", busy and f"{busy:.1%} of these cycles"),
            ("cycles per inference", f["cycles_per_inference"]),
            (
                f"samples/s at {f['clock_mhz']:g} MHz",
                cycles and f"{f['samples_per_second']:,.0f} in training",
            ),
            ("samples/s measured here", f["wall_samples_per_second"]),
            ("largest |field|", f"at most {bound:,}: {bits} of {config.field_bits} bits used"),
            ("saturated updates", f"{f['saturations']:,} (J, W), {f['readout_saturations']:,} (O)"),
            ("reference model", VERDICTS[f["equal_to_model"]]),
            ("written to", f"{where}/ (couplings.npz, metrics.json, two plots)"),
        ],
    )


def show_config(title: str, config: Config) -> None:
    """Sizes, widths and registers."""
    derived = {"score_bits": config.score_bits, "weights": config.total_neurons
               * (config.neurons - 1 + config.inputs)}  # fmt: skip
    show_figures(title, list((config.structure() | derived).items()))
    show_figures("registers", list(config.registers.as_dict().items()))


def describe(array: Any) -> str:
    """Shape, range and spread of a coupling array."""
    shape = " × ".join(map(str, array.shape))
    return f"{shape}, {array.min()} … {array.max()}, standard deviation {array.std():.1f}"


__all__ = ["err", "fail", "out", "warn"]
