"""What the benchmarks share: machines, samples, means per sample, options and the last line."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from relaxon import Config, Couplings
from relaxon.data import load
from relaxon.errors import RelaxonError
from relaxon.layout import Layout
from relaxon.sim.modelboard import ModelBoard
from relaxon.training import Plan

ROOT = Path(__file__).resolve().parent.parent
MNIST = ROOT.parent / "shared" / "data" / "mnist"
INPUTS = 100
"""Every dataset is projected to so many bits ("entangled")."""
SEED = 0
"""Of couplings, projection and order."""

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


@dataclass(frozen=True)
class Machine:
    """Modules of neurons, on lanes, with the preset that suits the shape."""

    modules: int
    neurons: int
    lanes: int

    @property
    def shape(self) -> str:
        """Its size in words."""
        if self.modules == 1:
            return f"one module of {self.neurons}"
        return f"{self.modules} modules of {self.neurons}"

    @property
    def preset(self) -> str:
        """Named set of registers."""
        return "paper" if self.modules == 1 else "modules"

    def sizes(self, samples: Samples) -> dict[str, int]:
        """Sizes as `Config.preset` takes them."""
        return dict(
            modules=self.modules, neurons=self.neurons, lanes=self.lanes,
            inputs=samples.x.shape[1], classes=samples.classes,
        )  # fmt: skip

    def config(self, samples: Samples, store: str = "skewed") -> Config:
        """Its configuration for samples of this size."""
        return Config.preset(self.preset, **self.sizes(samples), store=store)

    def board(self, samples: Samples, store: str = "skewed") -> ModelBoard:
        """The model of it, with fresh couplings."""
        config = self.config(samples, store)
        board = ModelBoard(config)
        board.load(Couplings.fresh(config, SEED, self.preset))
        return board


class Samples(NamedTuple):
    """Training samples in the order they are given, and inputs to infer."""

    x: npt.NDArray[np.int8]
    y: npt.NDArray[np.uint8]
    x_test: npt.NDArray[np.int8]
    classes: int


def samples(source: str) -> Samples:
    """The samples of a source (`relaxon.data`), projected, in the order of a first epoch."""
    try:
        data = load(source, entangle=INPUTS, seed=SEED)
    except RelaxonError as error:
        raise SystemExit(
            f"no samples: {error}\nGive --data mnist:DIR, DIR being the folder of MNIST's four IDX "
            "files, or --data digits, which needs no files (but gives other figures)."
        ) from None
    order = Plan(epochs=1, seed=SEED).order(len(data.x_train), 0)
    return Samples(data.x_train[order], data.y_train[order], data.x_test, data.classes)


class Trainable(Protocol):
    """What is measured: a board, or one of the foundation's."""

    def train(self, x: Any, y: Any) -> Any:
        """Train on samples in order."""

    def infer(self, x: Any) -> Any:
        """Relax and read out samples."""

    def counters(self) -> dict[str, int]:
        """Every counter."""


@dataclass(frozen=True)
class Span:
    """Samples that are trained first, those measured in training after them, and in inference."""

    first: int = 2000
    trained: int = 2000
    inferred: int = 1000

    def __str__(self) -> str:
        end = self.first + self.trained
        return f"training samples {self.first:,} to {end:,}, then {self.inferred:,} inferences"


QUICK = Span(30, 30, 20)
"""For a smoke run."""


class Means(NamedTuple):
    """Mean per sample of every counter, in training and in inference."""

    train: dict[str, float]
    infer: dict[str, float]


def measure(board: Trainable, data: Samples, span: Span) -> Means:
    """Train, train on while counting, infer while counting."""
    end = span.first + span.trained
    board.train(data.x[: span.first], data.y[: span.first])
    train = _per_sample(
        board, lambda: board.train(data.x[span.first : end], data.y[span.first : end])
    )
    infer = _per_sample(board, lambda: board.infer(data.x_test[: span.inferred]))
    return Means(train, infer)


def _per_sample(board: Trainable, run: Callable[[], Any]) -> dict[str, float]:
    before = board.counters()
    run()
    grown = {name: value - before[name] for name, value in board.counters().items()}
    return {name: value / grown["samples"] for name, value in grown.items()}


def busy(config: Config, means: dict[str, float]) -> float:
    """Part of the cycles in which the weight memory was used."""
    return means["weight_accesses"] / (means["cycles"] * Layout(config).strips)


# ---- options and output -------------------------------------------------------------------------


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--data", default=f"mnist:{os.path.relpath(MNIST)}", metavar="SOURCE",
        help="mnist:DIR (by default the folder shared/data/mnist beside the repository) or digits",
    )  # fmt: skip
    options.add_argument(
        "--quick", action="store_true", help="tiny machines and few samples: does it run at all?"
    )
    return options


def table(title: str, words: Sequence[str], figures: Sequence[str]) -> Table:
    """An empty table: columns of words, then columns of figures."""
    made = Table(title=title)
    for name in words:
        made.add_column(name, no_wrap=True)
    for name in figures:
        made.add_column(name, justify="right")
    return made


def sign_off() -> None:
    """The last line: the command that printed all this."""
    name = Path(sys.argv[0]).name
    console.print(f"made by: python benchmarks/{name} {shlex.join(sys.argv[1:])}".rstrip())
