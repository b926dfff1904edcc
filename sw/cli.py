"""The command line: ``relaxon train``, ``predict``, ``info``, ``serve``, ``verify``, ``selftest``,
``doctor``.

The commands for FPGA boards are in `relaxon.cli_boards`.

Results go to standard output, progress and errors to standard error. An expected error
(`RelaxonError`) ends with its own exit code, 2 to 7; 1 says that a comparison failed, 130 is Ctrl-C.
"""

from __future__ import annotations

import enum
import functools
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import typer.core

from relaxon import __version__, checkpoint, cli_boards, doctor, report, verify
from relaxon.board import Board
from relaxon.config import PRESETS, Config
from relaxon.couplings import Couplings
from relaxon.data import Dataset, load, load_unlabelled
from relaxon.errors import ConfigError, DataError, RelaxonError
from relaxon.greys import Coding, coding_from_dict
from relaxon.protocol import STORES
from relaxon.training import Plan, baseline_accuracy, metrics
from relaxon.training import train as run_training

DIFFERENT = 1
INTERRUPTED = 130


class Group(typer.core.TyperGroup):
    """Turns expected errors of any command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RelaxonError as error:
            report.err.print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            report.err.print("interrupted")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Train and run machines that learn without backpropagation.",
)  # fmt: skip

PresetName = enum.Enum("PresetName", {name: name for name in PRESETS}, type=str)  # type: ignore[misc]

StoreName = enum.Enum("StoreName", {name: name for name in STORES}, type=str)  # type: ignore[misc]

PresetOption = Annotated[
    PresetName | None,
    typer.Option(
        help="Registers: one module (paper) or many small gated ones (modules). By default the "
        "latter, unless --neurons is given without --modules."
    ),
]
BoardOption = Annotated[
    str, typer.Option(help="model, sim, serial:PORT[@BAUD] or tcp:HOST:PORT.", metavar="URL")
]
DataOption = Annotated[
    str, typer.Option(help="digits, mnist:DIR, fashion:DIR or FILE.npz.", metavar="SOURCE")
]
EntangleOption = Annotated[
    int | None, typer.Option(help="Project the samples to N bits.", metavar="N", min=1)
]
ModulesOption = Annotated[int | None, typer.Option(help="Modules; the preset's by default.")]
NeuronsOption = Annotated[int | None, typer.Option(help="Neurons per module.")]
LanesOption = Annotated[int | None, typer.Option(help="Neurons computed per clock cycle.")]
StoreOption = Annotated[
    StoreName | None,
    typer.Option(
        help="Weight store: skewed (the default; true dual-port memory, fast) or column "
        "(single-port memory). Results do not depend on it, cycles do."
    ),
]
ChaosOption = Annotated[
    str | None,
    typer.Option(
        help="Faults on the simulated board's link, to see them survived: 0.01 flips a bit in 1 % of "
        "bytes and drops and duplicates 1 % of frames; or such as flip=0.01,stall=0.002,seed=3.",
        metavar="SPEC",
    ),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures there, too.")]
CheckpointArgument = Annotated[Path, typer.Argument(help="A checkpoint, such as couplings.npz.")]


@app.command()
def train(
    preset: PresetOption = None,
    board: BoardOption = "model",
    data: DataOption = "digits",
    entangle: EntangleOption = None,
    modules: ModulesOption = None,
    neurons: NeuronsOption = None,
    lanes: LanesOption = None,
    store: StoreOption = None,
    chaos: ChaosOption = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.", min=1)] = 10,
    settle: Annotated[
        int | None,
        typer.Option(help="Last epochs in which the readout alone learns; a fifth by default.", min=0),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Train on so many of the training samples only.", min=1)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Couplings, order, projection and what is held out.", min=0)
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Where results go; runs/… by default.", metavar="DIR")
    ] = None,
    json_file: JsonOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Repeat it on the model and compare everything.")
    ] = False,
    clock: Annotated[float, typer.Option(help="MHz, for the samples/s figure.", min=0.001)] = 50.0,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Fit logistic regression on the same bits, too.")
    ] = False,
) -> None:
    """Train a machine on a dataset and test it.

    Writes couplings.npz, metrics.json, accuracy.png and couplings.png. Ctrl-C ends early and still
    writes them.
    """
    dataset = load(data, entangle=entangle, seed=seed)
    if samples is not None:
        dataset = dataset.subset(samples, seed)
    chosen = _preset(preset, modules, neurons)
    config = _machine(chosen, dataset.inputs, dataset.classes, modules, neurons, lanes, store)
    plan = Plan(epochs, seed, test_epochs=board == "model", settle=settle)
    start = Couplings.fresh(config, seed, chosen)
    total = epochs * len(dataset.x_train)

    reached = None
    if baseline:
        with report.err.status("fitting logistic regression"):
            reached = baseline_accuracy(dataset)
    with report.err.status(f"opening board {board}"):
        opened = Board.open(board, config) if chaos is None else _faulty(board, config, chaos)
    with opened:
        opened.load(start)
        with report.training_progress("training", total) as observe:
            run = run_training(opened, dataset, plan, observe)
        learned = opened.couplings()
    figures = metrics(run, config, clock) | {
        "train_samples": len(dataset.x_train),
        "test_samples": len(dataset.x_test),
        "epochs": epochs,
        "settle": plan.settle,
        "equal_to_model": None,
        "baseline_accuracy": reached,
        "preset": chosen, "board": board, "data": data, "entangle": entangle, "seed": seed,
        "config": config.structure(), "registers": config.registers.as_dict(),
    }  # fmt: skip
    folder = out if out is not None else Path("runs") / _run_name(dataset, config, board, seed)
    report.write_run(folder, dataset, config, start, learned, run, figures)
    if check and not run.interrupted:
        with report.training_progress("on the model", total, lines=False) as observe:
            findings = verify.against_model(
                config, start, dataset, plan, run, learned, observe, fast=board == "model"
            )
        figures["equal_to_model"] = all(f.agrees for f in findings)
        figures["differences"] = {f.what: f.differ for f in findings if not f.agrees}
        report.out.print("compared with the reference model after the same samples:")
        report.show_findings(findings)
    for path in (folder / "metrics.json", json_file):
        if path is not None:
            report.write_json(path, figures)
    report.show_run(dataset, config, figures, folder)
    if figures["equal_to_model"] is False:
        raise typer.Exit(DIFFERENT)
    if run.interrupted:
        raise typer.Exit(INTERRUPTED)


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
        chosen = _preset(preset, modules, neurons)
        config = _machine(chosen, inputs, classes, modules, neurons, lanes, store)
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
    config = recorded.config.replace(**_given(lanes=lanes, store=store))
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

    chosen = _preset(preset, modules, neurons)
    wanted = _machine(chosen, inputs, 10, modules, neurons, lanes, store) if board == "sim" else None
    with report.err.status(f"opening board {board}"):
        opened = Board.open(board, wanted)
    with opened, report.err.status("the board tests itself"):
        tested = opened.self_test(timeout=timeout)
        told = opened.build_info()
        signature = expected(opened.config).signature
    report.out.print(f"{board}: {_escape(', '.join(f'{k} {v}' for k, v in told.items()))}")
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
        report.out.print(f"{mark} {check.name}: {_escape(detail)}", soft_wrap=True)
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


def _preset(given: Any, modules: int | None, neurons: int | None) -> str:
    """The preset asked for; one module of so many neurons if that is all that was said."""
    if given is not None:
        return str(given.value)
    return "paper" if neurons is not None and modules is None else "modules"


def _machine(
    preset: str, inputs: int, classes: int,
    modules: int | None, neurons: int | None, lanes: int | None, store: Any,
) -> Config:  # fmt: skip
    """The preset's configuration for these sizes; None leaves a size to the preset."""
    sizes = _given(modules=modules, neurons=neurons, lanes=lanes, store=store)
    return Config.preset(preset, inputs=inputs, classes=classes, **sizes)


def _given(**options: Any) -> dict[str, Any]:
    """Those options that were given, names of an enumeration as plain text."""
    return {
        name: value.value if isinstance(value, enum.Enum) else value
        for name, value in options.items()
        if value is not None
    }


def _run_name(data: Dataset, config: Config, board: str, seed: int) -> str:
    kind = board.partition(":")[0]
    return f"{data.name}-n{data.inputs}-{config.modules}x{config.neurons}-{kind}-seed{seed}"


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


def _faulty(board: str, config: Config, spec: str) -> Board:
    """The simulated board, at the end of a link that goes wrong."""
    if board != "sim":
        raise ConfigError(f"--chaos is for the simulated board: say --board sim, not {board}")
    from relaxon.linkboard import LinkBoard
    from relaxon.sim.chaos import Chaos, ChaosTransport
    from relaxon.sim.simulated import SimulatedTransport

    chaos = Chaos.parse(spec)
    announce = functools.partial(report.err.print, soft_wrap=True)
    return LinkBoard(ChaosTransport(SimulatedTransport(config), chaos, announce), config, url=board)


def _address(text: str) -> tuple[str, int]:
    """Host and port of ``[HOST:]PORT``."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"tcp must be [HOST:]PORT with a port up to 65535, not {text!r}")
    return host or "127.0.0.1", int(port)


def _escape(text: str) -> str:
    """Square brackets are not markup."""
    return text.replace("[", r"\[")


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
