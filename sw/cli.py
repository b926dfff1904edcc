"""The command line: ``relaxon predict``, ``info``, ``serve``, ``verify``, ``selftest``, ``doctor``.

The commands that train are in `relaxon.cli_train`, experiments in `relaxon.cli_experiment`, those
for FPGA boards in `relaxon.cli_boards`.

Results go to standard output, progress and errors to standard error. An expected error
(`RelaxonError`) ends with its own exit code, 2 to 7; 1 says that a comparison failed, 130 is Ctrl-C.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import typer.core

from relaxon import (
    __version__,
    checkpoint,
    cli_boards,
    cli_experiment,
    cli_train,
    doctor,
    report,
    verify,
)
from relaxon.board import Board
from relaxon.cli_options import (
    DIFFERENT,
    INTERRUPTED,
    BoardOption,
    ChaosOption,
    CheckpointArgument,
    JsonOption,
    LanesOption,
    ModulesOption,
    NeuronsOption,
    PresetOption,
    StoreOption,
    escape,
    given,
    machine_of,
    preset_name,
)
from relaxon.couplings import Couplings
from relaxon.data import load, load_unlabelled
from relaxon.errors import ConfigError, DataError, RelaxonError
from relaxon.greys import Coding, coding_from_dict


class Group(typer.core.TyperGroup):
    """Turns expected errors of any command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RelaxonError as error:
            report.err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            report.err.print("interrupted")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Train and run machines that learn without backpropagation.",
)  # fmt: skip


cli_train.register(app)
cli_experiment.register(app)


@app.command()
def predict(
    file: CheckpointArgument,
    board: BoardOption = "model",
    data: Annotated[
        str | None,
        typer.Option(
            help="As for train (its test set), or an .npz of x; by default as trained.",
            metavar="SOURCE",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write index,predicted,label lines.")] = None,
    json_file: JsonOption = None,
) -> None:
    """Predict with a trained machine; tells the accuracy where labels are known."""
    machine = checkpoint.load(file)
    x, truth, labels = _samples_for(machine, file, data)
    config = machine.config
    with Board.open(board, config) as opened:
        opened.load(machine.couplings)
        with report.progress("predicting", len(x)) as advance:
            outcomes = opened.infer(x, progress=advance)
    predicted = labels[outcomes.prediction]
    known = [""] * len(x) if truth is None else truth.tolist()
    if out is not None:
        lines = [f"{i},{p},{t}" for i, (p, t) in enumerate(zip(predicted, known, strict=True))]
        try:
            out.write_text("\n".join(["index,predicted,label", *lines]) + "\n")
        except OSError as error:
            raise DataError(f"{out} cannot be written: {error.strerror}") from None
    elif truth is None:
        for label in predicted.tolist():
            report.out.print(label)
    accuracy = None
    if truth is not None and len(x):
        accuracy = float((predicted.astype(str) == truth.astype(str)).mean())
        report.out.print(f"accuracy {accuracy:.4f} on {len(x):,} samples")
    if json_file is not None:
        report.write_json(json_file, {"samples": len(x), "accuracy": accuracy, "board": board})


@app.command()
def info(
    file: Annotated[Path | None, typer.Argument(help="A checkpoint or golden file.")] = None,
    board: Annotated[
        str | None, typer.Option(help="Ask this board instead.", metavar="URL")
    ] = None,
) -> None:
    """Show what a checkpoint or a board is: sizes, widths, registers, couplings or counters."""
    if (file is None) == (board is None):
        raise ConfigError("give info either a FILE or --board URL")
    if file is not None:
        machine = checkpoint.load(file)
        report.show_config(str(file), machine.config)
        report.show_figures(
            "couplings",
            [(n, report.describe(getattr(machine.couplings, n))) for n in Couplings.NAMES],
        )
        values = [(n, v) for n, v in machine.extra.items() if not isinstance(v, dict | list)]
        values += [(n, f"{a.dtype}{list(a.shape)}") for n, a in machine.arrays.items()]
        if values:
            report.show_figures("beside them", values)
    elif board is not None:
        with Board.open(board) as opened:
            report.show_config(board, opened.config)
            report.show_figures("build", list(opened.build_info().items()))
            report.show_figures("counters", list(opened.counters().items()))


@app.command()
def serve(
    preset: PresetOption = None,
    inputs: Annotated[int, typer.Option(help="Inputs of the machine.")] = 128,
    classes: Annotated[int, typer.Option(help="Classes of the machine.")] = 10,
    modules: ModulesOption = None,
    neurons: NeuronsOption = None,
    lanes: LanesOption = None,
    store: StoreOption = None,
    like: Annotated[
        Path | None, typer.Option(help="Take the machine of this checkpoint instead.")
    ] = None,
    tcp: Annotated[str | None, typer.Option(help="Listen there.", metavar="[HOST:]PORT")] = None,
    pty: Annotated[bool, typer.Option("--pty", help="Open a pseudo-terminal.")] = False,
    link: Annotated[Path | None, typer.Option(help="… and make a symbolic link to it.")] = None,
    chaos: ChaosOption = None,
) -> None:
    """Offer the simulated board on a pseudo-terminal (the default) or on TCP, until Ctrl-C."""
    from relaxon.sim.chaos import Chaos
    from relaxon.sim.serve import serve as serve_board

    faults = None if chaos is None else Chaos.parse(chaos)
    if like is not None:
        config = checkpoint.load(like).config
    else:
        chosen = preset_name(preset, modules, neurons)
        config = machine_of(chosen, inputs, classes, modules, neurons, lanes, store)
    address = None if tcp is None else _address(tcp)
    wanted = pty or link is not None or address is None
    announce = functools.partial(report.out.print, soft_wrap=True)
    serve_board(config, tcp=address, pty=wanted, link=link, chaos=faults, announce=announce)


@app.command(name="verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="A recorded run, such as a golden file.")],
    board: BoardOption = "model",
    lanes: LanesOption = None,
    store: StoreOption = None,
) -> None:
    """Replay a recorded run on a board; exit 0 only if every weight, state and prediction agrees."""
    recorded = verify.load_run(file)
    config = recorded.config.replace(**given(lanes=lanes, store=store))
    total = len(recorded.arrays["x"]) + len(recorded.arrays.get("prediction_after", ()))
    with Board.open(board, config) as opened, report.progress("replaying", total) as advance:
        findings = verify.replay(opened, recorded, advance)
    report.out.print(f"{file} on board {board}:")
    if not report.show_findings(findings):
        report.out.print("[bold red]DOES NOT AGREE[/]")
        raise typer.Exit(DIFFERENT)
    report.out.print("AGREES in everything recorded")


@app.command()
def selftest(
    board: Annotated[
        str, typer.Argument(help="sim, serial:PORT[@BAUD] or tcp:HOST:PORT.", metavar="URL")
    ],
    preset: PresetOption = None,
    inputs: Annotated[int, typer.Option(help="Inputs of a simulated machine.")] = 128,
    modules: ModulesOption = None,
    neurons: NeuronsOption = None,
    lanes: LanesOption = None,
    store: StoreOption = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait; ample for its size by default.", min=0.1)
    ] = None,
) -> None:
    """Let a board train a built-in set of vectors; exit 0 only if it does so as the model does.

    The sizes are those of a simulated board; others tell their own. Couplings are overwritten.
    """
    from relaxon.sim.selftest import expected

    chosen = preset_name(preset, modules, neurons)
    wanted = machine_of(chosen, inputs, 10, modules, neurons, lanes, store) if board == "sim" else None
    with report.err.status(f"opening board {board}"):
        opened = Board.open(board, wanted)
    with opened, report.err.status("the board tests itself"):
        tested = opened.self_test(timeout=timeout)
        told = opened.build_info()
        signature = expected(opened.config).signature
    report.out.print(f"{board}: {escape(', '.join(f'{k} {v}' for k, v in told.items()))}")
    report.out.print(f"signature {tested.signature:#010x}, the model's {signature:#010x}")
    if tested.signature != signature:
        report.out.print("[bold red]FAILED[/]: the board does not compute what the model does")
    elif not tested.passed:
        report.out.print("[bold red]FAILED[/]: right, but the board expects another signature")
    else:
        report.out.print("[bold green]PASSED[/]")
        return
    raise typer.Exit(DIFFERENT)


@app.command(name="doctor")
def doctor_command() -> None:
    """Say what is installed, what is missing, and how to get it."""
    checks = list(doctor.examine())
    for check in checks:
        mark = (
            "[green]ok[/]  " if check.found else "[bold red]MISSING[/]" if check.needed else "-   "
        )
        detail = check.found or f"for {check.purpose}; {check.advice}"
        report.out.print(f"{mark} {check.name}: {escape(detail)}", soft_wrap=True)
    if not doctor.healthy(checks):
        raise typer.Exit(DIFFERENT)
    report.out.print("everything needed is there")


cli_boards.register(app)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        report.out.print(f"relaxon {__version__}")
        raise typer.Exit


# ---- helpers ------------------------------------------------------------------------------------


def _samples_for(
    machine: checkpoint.Checkpoint, file: Path, data: str | None
) -> tuple[Any, Any, Any]:
    """Inputs, their labels (None where unknown), and the labels of the machine's classes."""
    extra = machine.extra
    labels = np.array(extra.get("labels", range(machine.config.classes)))
    source = data or extra.get("data")
    if source is None:
        raise DataError(f"{file} does not say what it was trained on: name the samples with --data")
    coding: Coding | None = coding_from_dict(extra["coding"]) if "coding" in extra else None
    if data is not None and data.endswith(".npz") and coding is not None:
        x, truth = load_unlabelled(data, coding)
        return x, truth, labels
    loaded = load(source, seed=extra.get("seed", 0), coding=coding)
    return loaded.x_test, np.array(loaded.labels)[loaded.y_test], labels


def _address(text: str) -> tuple[str, int]:
    """Host and port of ``[HOST:]PORT``."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"tcp must be [HOST:]PORT with a port up to 65535, not {text!r}")
    return host or "127.0.0.1", int(port)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
