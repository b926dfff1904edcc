"""Training on any board: epochs, shuffling, and an account of what happened. Nothing is printed."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon.board import Board
from relaxon.config import Config, Registers
from relaxon.data import Dataset
from relaxon.errors import ConfigError, DataError
from relaxon.layout import Layout
from relaxon.protocol import PHASES

SLICE = 500
"""Samples given to the board at once: the account is written up after each slice."""
RECENT = 1000
"""Samples over which the running accuracy is taken."""
_ORDER = 4
"""Keeps the random numbers of the order apart from others made from the same seed."""

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Plan:
    """How to train: `epochs` passes, each in an order of its own that `seed` decides.

    `test_epochs`: try the test set after every epoch (cheap on the model), not only after the last.
    `settle`: in so many of the last epochs the readout alone learns (registers `learn_recurrent`
    and `learn_input` are 0), so that it ends at the final representation instead of chasing it; by
    default a fifth of the epochs. On Entangled MNIST this is worth .3 points.
    """

    epochs: int
    seed: int
    test_epochs: bool = False
    settle: int | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigError(f"epochs must be at least 1, not {self.epochs}")
        if self.settle is None:
            object.__setattr__(self, "settle", self.epochs // 5)
        elif not 0 <= self.settle <= self.epochs:
            raise ConfigError(f"settle must be 0 to {self.epochs} epochs, not {self.settle}")

    def registers(self, registers: Registers, epoch: int) -> Registers:
        """The registers of an epoch (counted from 0), given those of the machine."""
        if epoch < self.epochs - (self.settle or 0):
            return registers
        return registers.replace(learn_recurrent=0, learn_input=0)

    def order(self, n: int, epoch: int) -> npt.NDArray[np.int64]:
        """The order of the n samples in an epoch (counted from 0)."""
        return np.random.default_rng([_ORDER, self.seed, epoch]).permutation(n)

    def slices(self, n: int) -> Iterator[tuple[int, slice]]:
        """(epoch, part of its order) of all slices; one ends exactly at half of the run."""
        half = self.epochs * n // 2
        for epoch in range(self.epochs):
            cuts = {*range(0, n, SLICE), n} | ({half - epoch * n} & {*range(n)})
            edges = sorted(cuts)
            yield from ((epoch, slice(*pair)) for pair in itertools.pairwise(edges))


@dataclass
class Run:
    """The account of a run, up to date after every slice.

    Attributes
    ----------
    samples
        Training samples so far, over all epochs; after an interrupt, those of the broken-off
        slice, too, of which nothing else is known.
    seconds
        Wall-clock time the board took for them.
    prediction, right
        Per training sample, in the order trained: the class predicted, and whether it was right.
    slices
        How far the board's counters came in each slice, by their names.
    epoch_ends
        `samples` after each whole epoch.
    train_accuracy, test_accuracy
        Of each whole epoch: accuracy while training in it; after it on the test set, by epoch.
    testing, tested
        Whether it is looking at the test set, and how many test samples it has tried so far.
    test_prediction
        Of the last look at the test set.
    cycles_per_inference
        Mean of the last look at the test set.
    counters
        The board's, when last read.
    interrupted
        Ctrl-C ended it.
    resumed
        Numbers of slices before which it went on from a checkpoint (`relaxon.resume`): couplings and
        state were written then, so the next sample made its fields anew, which takes more cycles.
    """

    samples: int = 0
    seconds: float = 0.0
    prediction: list[Labels] = field(default_factory=list)
    right: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    slices: list[dict[str, int]] = field(default_factory=list)
    epoch_ends: list[int] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_accuracy: dict[int, float] = field(default_factory=dict)
    testing: bool = False
    tested: int = 0
    test_prediction: Labels = field(default_factory=lambda: np.zeros(0, np.uint8))
    cycles_per_inference: float | None = None
    counters: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False
    resumed: list[int] = field(default_factory=list)

    def count(self, board: Board) -> dict[str, int]:
        """Read the counters; returns how far they came since they were last read."""
        before, self.counters = self.counters, board.counters()
        return {name: value - before[name] for name, value in self.counters.items()}

    @property
    def running_accuracy(self) -> float | None:
        """Part of the last `RECENT` training samples that were predicted right."""
        recent: list[npt.NDArray[np.bool_]] = []
        for part in reversed(self.right):
            recent.append(part)
            if sum(map(len, recent)) >= RECENT:
                break
        return float(np.concatenate(recent[::-1])[-RECENT:].mean()) if recent else None

    @property
    def second_half(self) -> dict[str, int]:
        """How far the counters came in the second half of the run: in the slices that begin there.

        Empty if there are none.
        """
        start, sums = 0, Counter[str]()
        for grown in self.slices:
            if 2 * start >= self.samples - 1:
                sums.update(grown)
            start += grown["samples"]
        return dict(sums)

    @property
    def cycles_per_sample(self) -> float | None:
        """Mean over the second half of the run."""
        half = self.second_half
        return half["cycles"] / half["samples"] if half else None

    @property
    def cycles_per_phase(self) -> dict[str, float] | None:
        """The same by phase (`relaxon.protocol.PHASES`)."""
        half = self.second_half
        return {p: half[f"cycles_{p}"] / half["samples"] for p in PHASES} if half else None

    def weight_memory_busy(self, config: Config) -> float | None:
        """Part of those cycles in which the weight memory was used, mean over the strips."""
        half = self.second_half
        return half["weight_accesses"] / (half["cycles"] * Layout(config).strips) if half else None

    @property
    def wall_samples_per_second(self) -> float | None:
        """Training samples per second of wall-clock time, link included."""
        return self.samples / self.seconds if self.seconds else None


Observer = Callable[[Run, int], object]
"""Called now and then with the run and the number of training samples finished since."""


def train(
    board: Board, data: Dataset, plan: Plan, observe: Observer | None = None, *,
    run: Run | None = None, keep: Callable[[Run], object] | None = None,
    anew: Collection[int] = (),
) -> Run:  # fmt: skip
    """Train a board on a dataset, then test it; its counters are cleared first.

    The registers are those of `Plan.registers` while training, and at the end what they were.

    Ctrl-C (`KeyboardInterrupt`) ends the run early; the board can be read afterwards.

    Parameters
    ----------
    board, data, plan
        What to train, on what, and how.
    observe
        Hears of what is done.
    run
        The account of a run to go on with (`relaxon.resume`); its counters are given to the board.
    keep
        Called with the account before the first slice and after each; the board is at rest then,
        and holds what it has learned so far.
    anew
        Numbers of slices before which couplings and state are read and written again: what a run
        that was resumed there did (`Run.resumed`), for comparison.
    """
    run, registers = run or Run(), board.registers
    board.set_counters(run.counters)
    run.counters = run.counters or board.counters()
    try:
        _train(board, data, plan, run, observe, keep or (lambda run: None), anew)
    except KeyboardInterrupt:
        run.interrupted = True
        grown = run.count(board)
        run.samples += 0 if run.testing else grown["samples"]
    board.registers = registers
    return run


def _train(
    board: Board, data: Dataset, plan: Plan, run: Run, observe: Observer | None,
    keep: Callable[[Run], object], anew: Collection[int],
) -> None:  # fmt: skip
    n, registers = len(data.x_train), board.registers
    done, order = len(run.slices), np.arange(n)
    keep(run)
    for number, (epoch, part) in enumerate(plan.slices(n)):
        if number < done:
            continue
        if part.start == 0 or number == done:
            order = plan.order(n, epoch)
            board.registers = plan.registers(registers, epoch)
        if number in anew:
            board.load(board.couplings())
            board.write("state", board.read("state"))
        which = order[part]
        started = time.perf_counter()
        outcomes = board.train(
            data.x_train[which], data.y_train[which],
            progress=None if observe is None else lambda done: observe(run, done),
        )  # fmt: skip
        run.seconds += time.perf_counter() - started
        run.slices.append(run.count(board))
        run.samples += run.slices[-1]["samples"]
        run.prediction.append(outcomes.prediction)
        run.right.append(outcomes.prediction == data.y_train[which])
        if part.stop == n:
            seen = np.concatenate(run.right)[-n:]
            run.epoch_ends.append(run.samples)
            run.train_accuracy.append(float(seen.mean()))
            if plan.test_epochs or epoch == plan.epochs - 1:
                _test(board, data, run, epoch, observe)
            if observe is not None:
                observe(run, 0)
        keep(run)


def _test(board: Board, data: Dataset, run: Run, epoch: int, observe: Observer | None) -> None:
    """Try the test set."""
    if len(data.x_test) == 0:
        return

    def progress(done: int) -> None:
        run.tested += done
        if observe is not None:
            observe(run, 0)

    run.testing = True
    run.test_prediction = board.infer(data.x_test, progress=progress).prediction
    grown = run.count(board)
    run.testing, run.tested = False, 0
    run.test_accuracy[epoch] = float((run.test_prediction == data.y_test).mean())
    run.cycles_per_inference = grown["cycles"] / grown["samples"]


def baseline_accuracy(data: Dataset) -> float:
    """Test accuracy of logistic regression on the same bits.

    `DataError` where it cannot be fitted or tested: samples of one class, or none to test.
    """
    from sklearn.linear_model import LogisticRegression

    if len(set(data.y_train.tolist())) < 2 or not len(data.x_test):
        raise DataError(
            "logistic regression takes training samples of two classes or more, and test samples: there "
            f"are {len(data.x_train)} to train on, of {len(set(data.y_train.tolist()))} classes, and "
            f"{len(data.x_test)} to test; take more --samples, or leave out --baseline"
        )
    fitted = LogisticRegression(max_iter=1000).fit(data.x_train, data.y_train)
    return float((fitted.predict(data.x_test) == data.y_test).mean())


def metrics(run: Run, config: Config, clock_mhz: float) -> dict[str, Any]:
    """The figures of a machine's run, for people and for JSON; None where there is nothing to tell.

    `cycles_per_sample`, `cycles_per_phase` and `weight_memory_busy` are of the second half of the
    training. `samples_per_second` is what `cycles_per_sample` makes at the clock; `field_bits_used`
    the width, sign included, that holds every field seen; no |field| was above
    `largest_field_bound`.
    `test_accuracy` is that of the final couplings, hence None after an interrupt.
    """
    cycles, envelope = run.cycles_per_sample, run.counters.get("field_envelope", 0)
    tested = list(run.test_accuracy.values())
    return {
        "test_accuracy": tested[-1] if tested and not run.interrupted else None,
        "samples_trained": run.samples,
        "accuracy_per_epoch": {
            "train": run.train_accuracy,
            "test": [run.test_accuracy.get(e) for e in range(len(run.train_accuracy))],
        },
        "cycles_per_sample": cycles,
        "cycles_per_phase": run.cycles_per_phase,
        "weight_memory_busy": run.weight_memory_busy(config),
        "cycles_per_inference": run.cycles_per_inference,
        "clock_mhz": clock_mhz,
        "samples_per_second": clock_mhz * 1e6 / cycles if cycles else None,
        "wall_samples_per_second": run.wall_samples_per_second,
        "saturations": run.counters.get("saturations"),
        "readout_saturations": run.counters.get("readout_saturations"),
        "field_bits_used": 1 + envelope.bit_length(),
        "largest_field_bound": envelope + 1,
        "counters": run.counters,
        "interrupted": run.interrupted,
    }
