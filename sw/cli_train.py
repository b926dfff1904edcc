"""The commands that train: ``relaxon train``, and ``relaxon resume``, which goes on with a run."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from relaxon import interrupts, report, resume, verify
from relaxon.board import Board
from relaxon.cli_options import (
    DIFFERENT,
    INTERRUPTED,
    BoardOption,
    ChaosOption,
    DataOption,
    EntangleOption,
    JsonOption,
    LanesOption,
    ModulesOption,
    NeuronsOption,
    PresetOption,
    StoreOption,
    machine_of,
    preset_name,
)
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.data import Dataset, load
from relaxon.errors import ConfigError, DataError, LinkError
from relaxon.files import probe, write_json
from relaxon.folder import COUPLINGS, METRICS, RESULTS, Folder
from relaxon.training import Plan, Run, baseline_accuracy, metrics
from relaxon.training import train as run_training

CheckOption = Annotated[
    bool, typer.Option("--check", help="Repeat it on the model and compare everything.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Begin anew where the folder has a run already.")
]
CheckpointOption = Annotated[
    float,
    typer.Option(
        "--checkpoint-every", metavar="SECONDS", min=0,
        help="Write checkpoint.npz so often, for relaxon resume; 0: after each 500 samples.",
    ),
]  # fmt: skip


_TOLD: dict[str, Any] = {
    "preset": str, "data": str, "entangle": int | None, "seed": int, "subset": int | None,
    "clock_mhz": float, "baseline_accuracy": float | None, "board": str,
}  # fmt: skip
"""What a checkpoint tells of its run for `resume`."""


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(train)
    app.command(name="resume")(resume_command)


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
    check: CheckOption = False,
    clock: Annotated[float, typer.Option(help="MHz, for the samples/s figure.", min=0.001)] = 50.0,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Fit logistic regression on the same bits, too.")
    ] = False,
    checkpoint_every: CheckpointOption = resume.EVERY,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a machine on a dataset and test it.

    Writes couplings.npz, metrics.json, accuracy.png and couplings.png; meanwhile checkpoint.npz, from
    which relaxon resume goes on, whatever happened. Ctrl-C ends early and still writes them.
    """
    told: dict[str, Any] = {
        "preset": preset_name(preset, modules, neurons), "data": data, "entangle": entangle,
        "seed": seed, "subset": samples, "clock_mhz": clock,
    }  # fmt: skip
    dataset = _dataset(told)
    config = machine_of(
        told["preset"], dataset.inputs, dataset.classes, modules, neurons, lanes, store
    )
    plan = Plan(epochs, seed, test_epochs=board == "model", settle=settle)
    folder = out if out is not None else Path("runs") / _run_name(dataset, config, board, seed)
    with _folder(folder, json_file):
        if not overwrite:
            _refuse_to_overwrite(folder)
        told["baseline_accuracy"] = None
        if baseline:
            with report.status("fitting logistic regression"):
                told["baseline_accuracy"] = baseline_accuracy(dataset)
        job = _Job(folder, board, dataset, config, plan, told, check, json_file, checkpoint_every)
        with job.open(chaos) as opened:
            opened.load(job.start)
            job.carry_out(opened, Run())


def resume_command(
    folder: Annotated[Path, typer.Argument(help="Of a run that did not end.", metavar="DIR")],
    board: Annotated[
        str | None, typer.Option(help="Go on there; on the board of before by default.", metavar="URL")
    ] = None,
    chaos: ChaosOption = None,
    json_file: JsonOption = None,
    check: CheckOption = False,
    checkpoint_every: CheckpointOption = resume.EVERY,
) -> None:
    """Go on with a training run from its checkpoint, to what it would have come to.

    Whatever ended it: Ctrl-C, a killed program, a power cut of the board, a pulled cable.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist, or is no folder: name the folder of a run")
    with _folder(folder, json_file):
        if not (folder / resume.NAME).exists() and (folder / COUPLINGS).exists():
            _say_finished(folder)
            return
        kept = resume.load(folder / resume.NAME)
        told = kept.told
        _check(told, kept.path)
        where = str(board or told["board"])
        dataset = _dataset(told)
        kept.check(dataset)
        job = _Job(
            folder, where, dataset, kept.config, kept.plan, told, check, json_file, checkpoint_every
        )
        with job.open(chaos) as opened:
            report.out.say(f"{kept.run.samples:,} samples are in the checkpoint")
            report.out.say(f"board {where}: {kept.held(opened)}")
            job.carry_out(opened, kept.restore(opened))


@contextlib.contextmanager
def _folder(folder: Path, json_file: Path | None) -> Iterator[None]:
    """A run's folder, which it has to itself; whatever will be written has been tried."""
    with Folder(folder):
        if json_file is not None:
            probe(json_file)
        yield


def _refuse_to_overwrite(folder: Path) -> None:
    """`DataError` if there is a run in a folder."""
    if (folder / resume.NAME).exists():
        try:
            done = f"{resume.load(folder / resume.NAME).run.samples:,} samples"
        except DataError as error:
            done = f"its checkpoint cannot be read: {error}"
        raise DataError(
            f"{folder} has a run that is not finished ({done}): go on with relaxon resume {folder}, "
            "begin anew with --overwrite, or choose another folder with --out"
        )
    if any((folder / name).exists() for name in RESULTS):
        raise DataError(
            f"{folder} has a finished run: choose another folder with --out, or replace it with "
            "--overwrite"
        )


def _check(told: dict[str, Any], path: Path) -> None:
    """`DataError` unless a checkpoint tells how its run was started."""
    wrong = [n for n, kind in _TOLD.items() if n not in told or not isinstance(told[n], kind)]
    wrong += [n for n in _TOLD if isinstance(told.get(n), bool)]
    if wrong or told["seed"] < 0:
        raise DataError(f"{path} does not tell {', '.join(wrong) or 'the seed'} of its run")


def _say_finished(folder: Path) -> None:
    """What a finished run came to, as far as its files tell."""
    told = ""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        figures = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        told = f": {figures['samples_trained']:,} samples, test accuracy {figures['test_accuracy']}"
    report.out.say(f"the run in {folder} is finished{told}")
    report.out.say(f"its couplings are in {folder / COUPLINGS}")


@dataclass(frozen=True)
class _Job:
    """A run, and what to do with it."""

    folder: Path
    board: str
    data: Dataset
    config: Config
    plan: Plan
    told: dict[str, Any]
    check: bool
    json_file: Path | None
    every: float

    @property
    def start(self) -> Couplings:
        """The couplings before the first sample."""
        return Couplings.fresh(self.config, self.told["seed"], self.told["preset"])

    @property
    def total(self) -> int:
        """Training samples of the whole run."""
        return self.plan.epochs * len(self.data.x_train)

    def open(self, chaos: str | None) -> Board:
        """The board, at the end of a link that goes wrong if chaos is asked for."""
        with report.status(f"opening board {self.board}"):
            if chaos is None:
                return Board.open(self.board, self.config)
            return _faulty(self.board, self.config, chaos)

    def carry_out(self, opened: Board, run: Run) -> None:
        """Train from where `run` is, save what was learned, then do all that may fail: write the
        figures, compare, show what came out, draw."""
        told = self.told | {"board": self.board}
        keeper = resume.Keeper(
            self.folder / resume.NAME, opened, self.data, self.plan, told, every=self.every
        )
        try:
            with report.training_progress("training", self.total, start=run.samples) as observe:
                run = run_training(opened, self.data, self.plan, observe, run=run, keep=keeper)
            with interrupts.waiting():
                learned = opened.couplings()
                figures = self._figures(run)
                self._save(learned, run, figures)
                if not run.interrupted:
                    self._forget(keeper)
        except LinkError as error:
            raise type(error)(f"{error}; then go on with: relaxon resume {self.folder}") from None
        self._write_figures(figures)
        if run.interrupted:
            report.err.say(f"to go on: relaxon resume {self.folder}")
        elif self.check:
            self._compare(run, learned, figures)
            self._write_figures(figures)
        report.show_run(self.data, self.config, figures, self.folder)
        with self._or_told("the plots"):
            report.draw_run(
                self.folder, self.data, self.config, self.start, learned, run, figures
            )
        if figures["equal_to_model"] is False:
            raise typer.Exit(DIFFERENT)
        if run.interrupted:
            raise typer.Exit(INTERRUPTED)

    @property
    def safe(self) -> str:
        """Where the couplings are."""
        return f"the couplings are safe in {self.folder / COUPLINGS}"

    def _save(self, learned: Couplings, run: Run, figures: dict[str, Any]) -> None:
        """Write the couplings: into the run's folder, or else, so that they are not lost, into a
        temporary one. `DataError` if they are not where they should be; it tells where they are."""
        try:
            report.save_couplings(
                self.folder / COUPLINGS, self.data, self.config, learned, run, figures
            )
        except DataError as error:
            try:
                other = Path(tempfile.mkdtemp(prefix="relaxon-")) / COUPLINGS
                report.save_couplings(other, self.data, self.config, learned, run, figures)
            except (OSError, DataError) as again:
                raise DataError(
                    f"{error}; nor elsewhere ({again}). The last checkpoint is kept: when there is "
                    f"room, go on with relaxon resume {self.folder}"
                ) from None
            raise DataError(f"{error}; the couplings are safe in {other}") from None
        report.out.kept = self.safe

    def _forget(self, keeper: resume.Keeper) -> None:
        try:
            keeper.finished()
        except OSError as error:
            report.warn(f"{keeper.path} could not be removed ({error.strerror}); {self.safe}")

    def _write_figures(self, figures: dict[str, Any]) -> None:
        for path in (self.folder / METRICS, self.json_file):
            if path is not None:
                with self._or_told(str(path)):
                    write_json(path, figures)

    @contextlib.contextmanager
    def _or_told(self, what: str) -> Iterator[None]:
        """If what comes after the couplings fails, say so, and go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - nothing that is drawn or told may end a run
            name = "" if isinstance(error, DataError) else f"{type(error).__name__}: "
            report.warn(f"{what} could not be made ({name}{error}); {self.safe}")

    def _figures(self, run: Run) -> dict[str, Any]:
        told = self.told
        return metrics(run, self.config, told["clock_mhz"]) | {
            "train_samples": len(self.data.x_train),
            "test_samples": len(self.data.x_test),
            "epochs": self.plan.epochs,
            "settle": self.plan.settle,
            "equal_to_model": None,
            **{n: told[n] for n in ("baseline_accuracy", "preset", "data", "entangle", "seed")},
            "board": self.board,
            "config": self.config.structure(), "registers": self.config.registers.as_dict(),
        }  # fmt: skip

    def _compare(self, run: Run, learned: Couplings, figures: dict[str, Any]) -> None:
        """Repeat the run on the model; what differs goes into `figures`."""
        with report.training_progress("on the model", self.total, lines=False) as observe:
            findings = verify.against_model(
                self.config, self.start, self.data, self.plan, run, learned, observe,
                fast=self.board == "model",
            )
        figures["equal_to_model"] = all(f.agrees for f in findings)
        figures["differences"] = {f.what: f.differ for f in findings if not f.agrees}
        report.out.say("compared with the reference model after the same samples:")
        report.show_findings(findings)


def _faulty(board: str, config: Config, spec: str) -> Board:
    """The simulated board, at the end of a link that goes wrong."""
    if board != "sim":
        raise ConfigError(f"--chaos is for the simulated board: say --board sim, not {board}")
    from relaxon.linkboard import LinkBoard
    from relaxon.sim.chaos import Chaos, ChaosTransport
    from relaxon.sim.simulated import SimulatedTransport

    chaos = Chaos.parse(spec)
    transport = ChaosTransport(SimulatedTransport(config), chaos, report.err.say)
    return LinkBoard(transport, config, url=board)


def _dataset(told: dict[str, Any]) -> Dataset:
    """The samples of a run."""
    dataset = load(told["data"], entangle=told["entangle"], seed=told["seed"])
    return dataset if told["subset"] is None else dataset.subset(told["subset"], told["seed"])


def _run_name(data: Dataset, config: Config, board: str, seed: int) -> str:
    kind = board.partition(":")[0]
    return f"{data.name}-n{data.inputs}-{config.modules}x{config.neurons}-{kind}-seed{seed}"


__all__ = ["register"]
