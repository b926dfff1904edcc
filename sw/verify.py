"""Does a board compute what it should? Against recorded runs, and against the model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon import checkpoint
from relaxon.board import Board, Progress
from relaxon.checkpoint import Checkpoint
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.data import Dataset
from relaxon.errors import DataError
from relaxon.protocol import CHIP_COUNTERS
from relaxon.samples import codes, signs
from relaxon.training import Observer, Plan, Run, train

RECORDED = ("x", "y", "prediction", "recurrent_out", "input_out", "readout_out")
"""What a recorded run must hold beside the machine; `state_out` and `prediction_after` may."""


@dataclass(frozen=True)
class Finding:
    """Of `total` values of something, `differ` were not what they should be."""

    what: str
    differ: int
    total: int

    @property
    def agrees(self) -> bool:
        """Nothing differs."""
        return self.differ == 0


def load_run(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a recorded run (a golden file). `DataError` if the file holds none."""
    run = checkpoint.load(path)
    missing = [name for name in RECORDED if name not in run.arrays]
    if missing:
        raise DataError(f"{path} is no recorded run: it has no {', '.join(missing)}")
    after = run.arrays.get("prediction_after")
    if after is not None and after.ndim != 1:
        raise DataError(f"{path}: prediction_after must be one class a sample, not {after.shape}")
    try:
        x = signs(run.config, run.arrays["x"])
        codes(run.config, run.arrays["y"], len(x))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return run


def replay(board: Board, run: Checkpoint, progress: Progress | None = None) -> list[Finding]:
    """Load a recorded run's couplings, train on its samples, and compare everything it recorded."""
    recorded = run.arrays
    board.load(run.couplings)
    outcomes = board.train(recorded["x"], recorded["y"], progress=progress)
    findings = [_compare("prediction in training", outcomes.prediction, recorded["prediction"])]
    learned = board.couplings()
    for name in Couplings.NAMES:
        wanted = recorded.get(f"{name}_out", getattr(run.couplings, name))
        findings.append(_compare(name, getattr(learned, name), wanted))
    if "state_out" in recorded:
        findings.append(_compare("state", board.read("state"), recorded["state_out"]))
    if "prediction_after" in recorded:
        after = recorded["prediction_after"]
        again = board.infer(recorded["x"][: len(after)], progress=progress)
        findings.append(_compare("prediction afterwards", again.prediction, after))
    return findings


def against_model(
    config: Config,
    start: Couplings,
    data: Dataset,
    plan: Plan,
    run: Run,
    learned: Couplings,
    observe: Observer | None = None,
    *,
    fast: bool = False,
) -> list[Finding]:
    """Repeat a finished run on the model and compare couplings, predictions and counters.

    `start` and `learned` are the board's couplings before and after `run`. A run of the model's
    fast path (`fast`) is repeated on the reference model itself, sample by sample.
    """
    with _reference(config) if fast else Board.open("model", config) as model:
        model.load(start)
        wanted = train(model, data, plan, observe, anew=run.resumed)
        couplings = model.couplings()
    if wanted.interrupted:
        raise KeyboardInterrupt
    findings = [
        _compare(name, getattr(learned, name), getattr(couplings, name)) for name in Couplings.NAMES
    ]
    pairs = ((run.prediction, wanted.prediction), ([run.test_prediction], [wanted.test_prediction]))
    for what, (got, due) in zip(("training", "testing"), pairs, strict=True):
        findings.append(_compare(f"prediction in {what}", np.concatenate(got), np.concatenate(due)))
    for name in CHIP_COUNTERS:
        findings.append(Finding(f"counter {name}", run.counters[name] != wanted.counters[name], 1))
    return findings


def _reference(config: Config) -> Board:
    from relaxon.sim.reference import ReferenceBoard

    return ReferenceBoard(config)


def _compare(what: str, got: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Finding:
    if got.shape != wanted.shape:
        return Finding(
            f"{what} (of shape {got.shape}, not {wanted.shape})", wanted.size, wanted.size
        )
    return Finding(what, int(np.count_nonzero(got != wanted)), wanted.size)
