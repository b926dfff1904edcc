"""The command line: ``relaxon predict``, ``info``, ``serve``, ``verify``, ``selftest``, ``doctor``.

The commands that train are in `relaxon.cli_train`, experiments in `relaxon.cli_experiment`, those
for FPGA boards in `relaxon.cli_boards`.

Results go to standard output, progress and errors to standard error. docs/command-line.md has the table
of exit codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.text import Text

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
    given,
    machine_of,
    preset_name,
)
from relaxon.coding import Bits, Signs, unknown_size
from relaxon.couplings import Couplings
from relaxon.data import features_of, load, load_samples
from relaxon.errors import ConfigError, DataError, RelaxonError
from relaxon.files import probe, write_csv, write_json
from relaxon.samples import Codes, Encoder, encoder_from_dict, labels_from


class Group(typer.core.TyperGroup):
    """Turns expected errors of any command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RelaxonError as error:
            report.fail(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            report.err.say("interrupted")
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
    encoder, x, truth = _samples_for(machine, file, data)
    for path in (out, json_file):
        if path is not None:
            probe(path)
    with Board.open(board, machine.config) as opened:
        opened.load(machine.couplings)
        with report.progress("predicting", len(x)) as advance:
            outcomes = opened.infer(x, progress=advance)
    predicted = encoder.named(outcomes.prediction).tolist()
    if out is not None:
        known = [""] * len(x) if truth is None else encoder.named(truth).tolist()
        rows = zip(range(len(x)), predicted, known, strict=True)
        write_csv(out, ("index", "predicted", "label"), rows)
        report.out.kept = f"the predictions are in {out}"
    accuracy = None
    if truth is not None and len(x):
        accuracy = float((outcomes.prediction == truth).mean())
    if json_file is not None:
        write_json(json_file, {"samples": len(x), "accuracy": accuracy, "board": board})
    if out is None and truth is None:
        for label in predicted:
            report.out.data(str(label))
    if accuracy is not None:
        report.out.say(f"accuracy {accuracy:.4f} on {len(x):,} samples")


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
        values = [(n, str(v)) for n, v in machine.extra.items() if not isinstance(v, dict | list)]
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
    serve_board(config, tcp=address, pty=wanted, link=link, chaos=faults, announce=report.out.say)


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
    report.out.say(f"{file} on board {board}:")
    if not report.show_findings(findings):
        report.out.say("DOES NOT AGREE", "bold red")
        raise typer.Exit(DIFFERENT)
    report.out.say("AGREES in everything recorded")


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
    with report.status(f"opening board {board}"):
        opened = Board.open(board, wanted)
    with opened, report.status("the board tests itself"):
        tested = opened.self_test(timeout=timeout)
        told = opened.build_info()
        signature = expected(opened.config).signature
    report.out.say(f"{board}: {', '.join(f'{k} {v}' for k, v in told.items())}")
    report.out.say(f"signature {tested.signature:#010x}, the model's {signature:#010x}")
    if tested.signature != signature:
        _verdict("FAILED", "bold red", ": the board does not compute what the model does")
    elif not tested.passed:
        _verdict("FAILED", "bold red", ": right, but the board expects another signature")
    else:
        _verdict("PASSED", "bold green")
        return
    raise typer.Exit(DIFFERENT)


@app.command(name="doctor")
def doctor_command() -> None:
    """Say what is installed, what is missing, and how to get it."""
    checks = list(doctor.examine())
    for check in checks:
        mark, style = ("MISSING", "bold red") if check.needed else ("-   ", "")
        if check.found:
            mark, style = "ok  ", "green"
        detail = check.found or f"for {check.purpose}; {check.advice}"
        _verdict(mark, style, f" {check.name}: {detail}")
    if not doctor.healthy(checks):
        raise typer.Exit(DIFFERENT)
    report.out.say("everything needed is there")


cli_boards.register(app)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        report.out.say(f"relaxon {__version__}")
        raise typer.Exit


# ---- helpers ------------------------------------------------------------------------------------


def _samples_for(
    machine: checkpoint.Checkpoint, file: Path, data: str | None
) -> tuple[Encoder, Signs, Codes | None]:
    """What codes samples for a machine, its inputs, and their classes where they are known."""
    extra, config = machine.extra, machine.config
    source = data or extra.get("data")
    if not isinstance(source, str):
        raise DataError(f"{file} does not say what it was trained on: name the samples with --data")
    seed = extra.get("seed", 0)
    if not isinstance(seed, int) or seed < 0:
        raise DataError(f"{file}: seed must be a whole number of 0 or more, not {seed!r}")
    whole = data is not None and data.endswith(".npz")
    try:
        known = labels_from(extra, config)
        if "coding" in extra:
            encoder = encoder_from_dict(extra, config, _features(extra, source))
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    if "coding" not in extra and whole:
        encoder = Encoder(Bits(config.inputs), known)
    elif "coding" not in extra:
        own = load(source, seed=seed)
        own.encoder.check(config, source, len(own.x_test))
        encoder = Encoder(own.coding, known)
    if whole:
        return encoder, *load_samples(source, encoder)
    loaded = load(source, seed=seed, coding=encoder.coding, known=known)
    return encoder, loaded.x_test, loaded.y_test


def _features(extra: Mapping[str, Any], source: str) -> int | None:
    """How many features a sample of a projection had that does not tell it (version 0.1): as many as
    one of what it was trained on; if that is gone, as many as these samples, which is told."""
    if not isinstance(extra["coding"], dict) or not unknown_size(extra["coding"]):
        return None
    try:
        return features_of(str(extra["data"]))
    except (DataError, KeyError):
        found = features_of(source)
        report.warn(
            "the machine does not tell of how many values its projection is, and what it was trained "
            f"on is not there: it is taken to be of {found}, as these samples are"
        )
        return found


def _verdict(mark: str, style: str, rest: str = "") -> None:
    report.out.print(Text.assemble((mark, style), rest), soft_wrap=True)


def _address(text: str) -> tuple[str, int]:
    """Host and port of ``[HOST:]PORT``."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"tcp must be [HOST:]PORT with a port up to 65535, not {text!r}")
    return host or "127.0.0.1", int(port)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command; returns its exit code."""
    try:
        return int(app(arguments, prog_name="relaxon", standalone_mode=False) or 0)
    except typer.TyperException as error:  # a command line that is not understood
        told = getattr(error, "ctx", None)
        help_of = f" ({told.command_path} --help tells more)" if told is not None else ""
        if error.format_message():  # none where nothing was asked: the help has been shown
            report.fail(f"{error.format_message()}{help_of}")
        return error.exit_code


if __name__ == "__main__":
    from relaxon.entry import main

    main()
