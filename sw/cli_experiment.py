"""The command ``relaxon experiment``."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from relaxon import report
from relaxon.cli_options import DIFFERENT, INTERRUPTED, BoardOption, escape
from relaxon.errors import ConfigError, ToolError
from relaxon.experiments import NAMES, Form, find, key, question
from relaxon.experiments.lab import Lab

NEEDED = ("dask", "distributed", "pandas", "scipy", "tabulate", "threadpoolctl")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(experiment)


def experiment(
    name: Annotated[str, typer.Argument(help="An experiment, all, or list.")],
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Only to see that it works.")] = False,
    data: Annotated[
        Path, typer.Option(help="Folder with mnist and fashion-mnist, IDX files.", metavar="DIR")
    ] = Path("data"),
    board: BoardOption = "model",
    scheduler: Annotated[
        str | None,
        typer.Option(help="Of a dask cluster, such as tcp://HOST:8786; this computer by default."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; as many as there are cores by default.", min=1)
    ] = None,
    out: Annotated[Path, typer.Option(help="Where results go.", metavar="DIR")] = Path(
        "runs/experiments"
    ),
    repeat: Annotated[
        str | None,
        typer.Option(help="Measure this finished point again, and compare.", metavar="KEY"),
    ] = None,
) -> None:
    """Repeat an experiment on the rule, and write its data, figure and verdict.

    Points that are finished are never measured again: the command goes on where it was broken off.
    """
    if missing := [package for package in NEEDED if importlib.util.find_spec(package) is None]:
        raise ToolError(
            f"experiments need {', '.join(missing)}: pip install 'relaxon[experiments]'"
        )
    if name == "list":
        for each in NAMES:
            report.out.print(f"{each:<14}{question(find(each))}", soft_wrap=True)
        return
    if quick and smoke:
        raise ConfigError("choose --quick or --smoke, not both")
    form = Form.QUICK if quick else Form.SMOKE if smoke else Form.FULL
    lab = Lab(board, data)
    names = NAMES if name == "all" else (name,)
    for each in names:  # before anything is begun
        for task in {point["task"] for point in find(each).points(form) if "task" in point}:
            lab.folder(task)
    if repeat is not None:
        if name == "all":
            raise ConfigError("--repeat is for a point of one experiment: name it, not all")
        _repeat(name, lab, out / form / name, repeat)
        return
    _run(names, form, lab, out / form, scheduler, workers)


def _run(
    names: tuple[str, ...], form: Form, lab: Lab, out: Path, scheduler: str | None,
    count: int | None,
) -> None:  # fmt: skip
    """Sweep experiment after experiment, and write what each came to."""
    from relaxon.experiments import results, sweep

    failed: list[str] = []
    sweeps = [sweep.Sweep(name, find(name).points(form), out / name) for name in names]
    missing_any = any(points.missing() for points in sweeps)
    with sweep.workers(lab, scheduler, count) if missing_any else nullcontext() as client:
        for points in sweeps:
            name, script = points.name, find(points.name)
            missing = len(points.missing())
            report.out.print(
                f"[bold]{name}[/]: {question(script)} "
                f"({len(points)} points, {len(points) - missing} finished before)",
                soft_wrap=True,
            )
            try:
                with report.counting(name, missing, "points") as progress:
                    wrong = points.run(lab, client, progress) if client else []
            except KeyboardInterrupt:
                report.err.print("broken off; finished points are kept: the same command goes on")
                raise typer.Exit(INTERRUPTED) from None
            for line in wrong:
                report.err.print(f"[bold red]failed[/] {escape(line)}", soft_wrap=True)
            if len(origins := points.origins()) > 1:
                report.err.print(
                    f"these points were made by different sources or boards ({'; '.join(origins)}): if "
                    "what they compute has changed, begin anew with another --out",
                    soft_wrap=True, markup=False,
                )  # fmt: skip
            if wrong:
                failed.append(name)
                continue
            verdict = results.write(name, script, points.frame(), out / name)
            report.out.print(f"  {escape(verdict)}", soft_wrap=True)
            report.out.print(f"  written to {out / name}/", soft_wrap=True)
    if failed:
        report.err.print(f"not finished: {', '.join(failed)}; the same command tries again")
        raise typer.Exit(DIFFERENT)


def _repeat(name: str, lab: Lab, folder: Path, wanted: str) -> None:
    """Measure a finished point again, and say what differs."""
    from relaxon.experiments import sweep

    kept = sweep.load(folder / "points" / f"{wanted}.json")
    report.out.print(f"{name} {key(kept['point'])}: {kept['point']}", soft_wrap=True, markup=False)
    report.out.print(f"measured on {kept['made_by']['board']}, again on {lab.board}", markup=False)
    differences = sweep.repeat(name, kept, lab)
    for line in differences:
        report.out.print(f"[bold red]differs[/] {escape(line)}", soft_wrap=True)
    if differences:
        raise typer.Exit(DIFFERENT)
    report.out.print("[bold green]IDENTICAL[/]: every figure")
