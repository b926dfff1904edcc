"""The command ``relaxon experiment``."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relaxon import report
from relaxon.cli_options import DIFFERENT, INTERRUPTED, BoardOption
from relaxon.errors import ConfigError, ToolError
from relaxon.experiments import NAMES, Form, find, key, question
from relaxon.experiments.lab import Lab
from relaxon.folder import Folder

if TYPE_CHECKING:
    from relaxon.experiments.sweep import Sweep

NEEDED = ("dask", "distributed", "pandas", "scipy", "tabulate", "threadpoolctl")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(experiment)


def experiment(
    name: Annotated[str, typer.Argument(help="An experiment, all, or list.")],
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Only to see that it works.")] = False,
    data: Annotated[
        Path,
        typer.Option(
            help="Folder with mnist and fashion-mnist, IDX files; of a cluster, as its workers see it.",
            metavar="DIR",
        ),
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
    A real board measures the points of its own sizes and widths, and refuses the others one by one.
    """
    if missing := [package for package in NEEDED if importlib.util.find_spec(package) is None]:
        raise ToolError(
            f"experiments need {', '.join(missing)}: pip install 'relaxon[experiments]'"
        )
    if name == "list":
        for each in NAMES:
            report.out.say(f"{each:<14}{question(find(each))}")
        return
    if quick and smoke:
        raise ConfigError("choose --quick or --smoke, not both")
    form = Form.QUICK if quick else Form.SMOKE if smoke else Form.FULL
    names = NAMES if name == "all" else (name,)
    lab = Lab(board, data if scheduler else data.expanduser().resolve())
    if repeat is not None:
        if name == "all":
            raise ConfigError("--repeat is for a point of one experiment: name it, not all")
        if scheduler or workers:
            raise ConfigError("--repeat measures one point, here: leave out --scheduler and --workers")
        _repeat(name, lab, out / form / name, repeat)
        return
    _run(names, form, lab, out / form, scheduler, workers)


def _run(
    names: tuple[str, ...], form: Form, lab: Lab, out: Path, scheduler: str | None,
    count: int | None,
) -> None:  # fmt: skip
    """Sweep experiment after experiment, and write what each came to."""
    from relaxon.experiments import results

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(Folder(out / name, results.files(name)))
        _sweep(names, form, lab, out, scheduler, count)


def _sweep(
    names: tuple[str, ...], form: Form, lab: Lab, out: Path, scheduler: str | None,
    count: int | None,
) -> None:  # fmt: skip
    """The same in folders that nobody else uses."""
    from relaxon.experiments import results, sweep

    failed: list[str] = []
    sweeps = [sweep.Sweep(name, find(name).points(form), out / name) for name in names]
    _refuse_others(sweeps, lab.board)
    wanted = [point for points in sweeps for point in points.missing()]
    tasks = {point["task"] for point in wanted if "task" in point}
    if scheduler is None:
        lab.look(tasks)
    with sweep.workers(lab, scheduler, count) if wanted else nullcontext() as client:
        if client and scheduler:
            sweep.look(client, lab, tasks)
        for points in sweeps:
            name, script = points.name, find(points.name)
            missing = len(points.missing())
            report.out.say(
                f"{name}: {question(script)} ({len(points)} points, {len(points) - missing} finished "
                "before)"
            )
            try:
                with report.counting(name, missing, "points") as progress:
                    wrong = points.run(lab, client, progress) if client else []
            except KeyboardInterrupt:
                report.err.say("broken off; finished points are kept: the same command goes on")
                raise typer.Exit(INTERRUPTED) from None
            for line in wrong:
                report.fail(line)
            if len(sources := {made for _, made in points.origins()}) > 1:
                report.warn(
                    f"these points were made by different sources ({'; '.join(sorted(sources))}): if "
                    "what they compute has changed, begin anew with another --out"
                )
            if wrong:
                failed.append(name)
                continue
            frame = points.frame()
            verdict = results.write(name, script, frame, out / name)
            try:
                results.draw(name, script, frame, out / name)
            except Exception as error:  # noqa: BLE001 - a figure that fails ends no sweep
                report.warn(f"the figure of {name} could not be made ({error}); its points are kept")
            report.out.say(f"  {verdict}")
            report.out.say(f"  written to {out / name}/")
            report.out.kept = f"the points are safe in {out}"
    if failed:
        report.err.say(f"not finished: {', '.join(failed)}; the same command tries again")
        raise typer.Exit(DIFFERENT)


def _refuse_others(sweeps: list[Sweep], board: str) -> None:
    """`ConfigError` if finished points were measured on another board: they are not this one's."""
    for points in sweeps:
        if others := {made_on for made_on, _ in points.origins()} - {board}:
            raise ConfigError(
                f"{points.folder} has points that were measured on {', '.join(sorted(others))}: choose "
                f"another --out for {board}, or measure one of them again with --repeat KEY"
            )


def _repeat(name: str, lab: Lab, folder: Path, wanted: str) -> None:
    """Measure a finished point again, and say what differs."""
    from relaxon.experiments import sweep

    kept = sweep.load(folder / "points" / f"{wanted}.json")
    report.out.say(f"{name} {key(kept['point'])}: {kept['point']}")
    report.out.say(f"measured on {kept['made_by']['board']}, again on {lab.board}")
    if not any("config" in figures for figures in kept["figures"]):
        report.out.say("no machine takes part in this point: it is computed here, on any board")
    differences = sweep.repeat(name, kept, lab)
    for line in differences:
        report.out.say(f"differs {line}", "bold red")
    if differences:
        raise typer.Exit(DIFFERENT)
    report.out.say("IDENTICAL: every figure", "bold green")
