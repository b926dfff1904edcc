"""Where a point is measured: on which board, with which data."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from relaxon.board import Board
from relaxon.coding import Thermometer
from relaxon.config import Config
from relaxon.data import Dataset, load
from relaxon.errors import DataError

TRAINING, TEST = 60_000, 10_000
"""Samples of MNIST, and of Fashion-MNIST."""
VALIDATION = 10_000
"""Training samples, the last ones, that are held out to choose settings by."""


@dataclass(frozen=True)
class Lab:
    """A board, and a folder of datasets.

    Parameters
    ----------
    board
        Where machines run, as in `Board.open`.
    data
        Folder with ``mnist`` and ``fashion-mnist``, each with its four IDX files.
    """

    board: str = "model"
    data: Path = Path("data")

    def machine(self, config: Config) -> Board:
        """The board, opened as this machine."""
        return Board.open(self.board, config)

    def dataset(
        self, task: str, seed: int, *, inputs: int | None = None, levels: int | None = None,
        samples: int | None = None, tested: int | None = None, validation: bool = False,
    ) -> Dataset:  # fmt: skip
        """The samples of a task, as bits.

        Parameters
        ----------
        task
            ``mnist`` or ``fashion``.
        seed
            Of the projection, and of the choice of samples.
        inputs
            Project the images to so many bits ("entangled").
        levels
            A bit for each pixel and so many levels, at equal distances; 1 if neither is given.
        samples
            Train on so many only, drawn by the seed.
        tested
            Test on so many only, the first ones.
        validation
            Hold out the last `VALIDATION` training samples instead of the test set, which is not
            looked at.
        """
        data = _load(task, str(self.folder(task)), inputs, levels, seed)
        if validation:
            data = replace(
                data, x_train=data.x_train[:-VALIDATION], y_train=data.y_train[:-VALIDATION],
                x_test=data.x_train[-VALIDATION:], y_test=data.y_train[-VALIDATION:],
            )  # fmt: skip
        data = replace(data, x_test=data.x_test[:tested], y_test=data.y_test[:tested])
        return data if samples is None else data.subset(samples, seed)

    def look(self, tasks: Iterable[str]) -> None:
        """`DataError` if the files of any of these tasks are not there."""
        for task in sorted(tasks):
            self.folder(task)

    def folder(self, task: str) -> Path:
        """Where the files of a task are. `DataError` if they are not there."""
        folder = self.data / {"mnist": "mnist", "fashion": "fashion-mnist"}[task]
        if not folder.is_dir():
            raise DataError(
                f"{folder} is missing: --data must name a folder that has mnist and fashion-mnist, "
                "each with the dataset's four IDX files (yann.lecun.com/exdb/mnist, "
                "github.com/zalandoresearch/fashion-mnist)"
            )
        return folder


@functools.lru_cache(maxsize=2)
def _load(
    task: str, folder: str, inputs: int | None, levels: int | None, seed: int
) -> Dataset:
    coding = None
    if levels is not None:
        steps = [256 * (n + 1) / (levels + 1) - 0.5 for n in range(levels)]
        coding = functools.partial(Thermometer.even, levels=steps)
    return load(f"{task}:{folder}", entangle=inputs, seed=seed, coding=coding)
