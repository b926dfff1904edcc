"""Training that goes on after anything: checkpoints of a run, and runs from checkpoints.

Between two slices of a run a board's couplings, state and registers decide all that it will learn. So a
run that is resumed there, on this board or another, ends with the couplings and predictions of one
that was never interrupted, bit for bit. Only cycles, and inputs that changed, are counted anew for the
first sample (`relaxon.training.Run.resumed`).
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon import checkpoint
from relaxon.board import Board
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.data import Dataset
from relaxon.errors import ConfigError, DataError
from relaxon.folder import CHECKPOINT
from relaxon.training import Plan, Run

NAME = CHECKPOINT
"""Of the file in a run's folder."""
EVERY = 60.0
"""Seconds from one checkpoint to the next, at least."""

_ARRAYS = ("state", "prediction", "right", "slices", "test_prediction")
_VALUES: dict[str, Any] = {
    "samples": int, "seconds": int | float, "epoch_ends": list, "train_accuracy": list,
    "cycles_per_inference": int | float | None, "counters": dict, "resumed": list,
}  # fmt: skip
"""Members of a run's account that JSON holds as they are."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written; the one before it is still there."""


class Keeper:
    """Writes checkpoints of a run while it goes on; to be passed as `keep` to `training.train`.

    Parameters
    ----------
    path
        The file; whoever looks sees a whole checkpoint in it, the last one or the one before.
    board, data, plan
        Those of the run, before it begins.
    told
        Values that JSON can hold, for whoever resumes.
    every
        Seconds from one checkpoint to the next; 0 writes one after each slice.

    Raises
    ------
    DataError
        At the first checkpoint: it cannot be written. Later ones that cannot be written are told
        (`CheckpointWarning`), and training goes on.
    """

    def __init__(
        self, path: Path, board: Board, data: Dataset, plan: Plan, told: Mapping[str, Any], *,
        every: float = EVERY,
    ):  # fmt: skip
        self.path, self._board, self._every = path, board, every
        self._config = board.config
        self._told = {"plan": asdict(plan), "samples": fingerprint(data), "told": dict(told)}
        self._last = -np.inf

    def __call__(self, run: Run) -> None:
        """Write a checkpoint if it is time."""
        if time.monotonic() - self._last < self._every:
            return
        try:
            self.save(run)
        except DataError as error:
            if self._last == -np.inf:
                raise
            warnings.warn(
                f"{error}; training goes on, the checkpoint before it is kept", CheckpointWarning,
                stacklevel=2,
            )  # fmt: skip
        self._last = time.monotonic()

    def save(self, run: Run) -> None:
        """Write a checkpoint."""
        names = list(run.counters)
        slices = np.array([[grown[n] for n in names] for grown in run.slices], np.int64)
        checkpoint.save(
            self.path, self._config, self._board.couplings(), **self._told,
            state=self._board.read("state"),
            prediction=_joined(run.prediction, np.uint8), right=_joined(run.right, np.bool_),
            slices=slices.reshape(-1, len(names)), test_prediction=run.test_prediction,
            run={name: getattr(run, name) for name in _VALUES},
            test_accuracy=list(run.test_accuracy.items()),
        )  # fmt: skip

    def finished(self) -> None:
        """Remove the file: there is nothing left to resume."""
        checkpoint.remove(self.path)


@dataclass(frozen=True)
class Kept:
    """A run in a checkpoint.

    Attributes
    ----------
    path
        The file.
    config, couplings, state
        The machine as it was.
    plan, run
        Of the training, and how far it came; `run` goes on where it is passed to `training.train`.
    told
        See `Keeper`.
    fingerprint
        Of the samples.
    """

    path: Path
    config: Config
    couplings: Couplings
    state: npt.NDArray[Any]
    plan: Plan
    run: Run
    told: dict[str, Any]
    fingerprint: str

    def check(self, data: Dataset) -> None:
        """`DataError` unless these are the samples it was trained on."""
        if fingerprint(data) != self.fingerprint:
            raise DataError(
                f"{self.path} is of a run on other samples than {data.name} has now: have the data "
                "changed, or the library that makes them?"
            )

    def held(self, board: Board) -> str:
        """What the board holds, in words, compared with the checkpoint."""
        if board.fresh:
            return "it was powered up or reset since, and has learned nothing"
        more = board.counters()["samples"] - self.run.counters["samples"]
        if any(board.couplings().differences(self.couplings).values()):
            return f"it holds other couplings ({more:+,} samples by its counter)"
        return "it still holds the couplings of the checkpoint"

    def restore(self, board: Board) -> Run:
        """Give couplings and state to the board; the account to go on with."""
        board.load(self.couplings)
        board.write("state", self.state)
        self.run.resumed.append(len(self.run.slices))
        return self.run


def load(path: Path) -> Kept:
    """Read a run's checkpoint.

    Raises
    ------
    DataError
        No such file, damaged, or no checkpoint of a run; says which.
    """
    held = checkpoint.load(path)
    extra, arrays = held.extra, held.arrays
    missing = [n for n in ("plan", "samples", "told", "run", "test_accuracy") if n not in extra]
    missing += [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise DataError(f"{path} is no checkpoint of a run: it has no {', '.join(missing)}")
    try:
        plan = Plan(**extra["plan"])
        if not all(isinstance(each, int) and each >= 0 for each in vars(plan).values()):
            raise ValueError("its plan makes no sense")
        run, told = _account(extra, arrays), dict(extra["told"])
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} holds no account of a run: {error!r}") from None
    if not arrays["prediction"].shape == arrays["right"].shape == (run.samples,):
        raise DataError(f"{path} does not have one prediction for each of {run.samples} samples")
    return Kept(
        path, held.config, held.couplings, arrays["state"], plan, run, told, str(extra["samples"]),
    )  # fmt: skip


def fingerprint(data: Dataset) -> str:
    """Of all samples and labels."""
    digest = hashlib.sha256()
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _account(extra: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Run:
    """The run of a checkpoint."""
    values = {name: extra["run"][name] for name in _VALUES}
    wrong = [name for name, kind in _VALUES.items() if not isinstance(values[name], kind)]
    if wrong:
        raise ValueError(f"wrong kinds of values ({', '.join(wrong)})")
    listed = values["train_accuracy"] + values["epoch_ends"]
    if not all(isinstance(each, int) for each in values["counters"].values()) or not all(
        isinstance(each, int | float) for each in listed
    ):
        raise ValueError("wrong kinds of values in lists")
    names = list(values["counters"])
    return Run(
        **values,
        prediction=[arrays["prediction"]], right=[arrays["right"]],
        slices=[dict(zip(names, map(int, row), strict=True)) for row in arrays["slices"]],
        test_accuracy={int(epoch): float(value) for epoch, value in extra["test_accuracy"]},
        test_prediction=arrays["test_prediction"],
    )  # fmt: skip


def _joined(parts: list[Any], kind: Any) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)
