"""One interface to a machine, whoever computes: a real board, the simulated one, or the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Callable, Self

import numpy as np
import numpy.typing as npt

from relaxon.config import Config, Registers
from relaxon.couplings import Couplings

Progress = Callable[[int], object]
"""Called now and then with the number of samples finished since the last call."""


@dataclass(frozen=True)
class Outcomes:
    """Per-sample results, each of shape (n,).

    `prediction` is the class with the highest score, `learned` 1 where the sample reached the
    learning step, `sweeps` the sweeps run (the free one included), `unstable` the neurons at or
    below the margin at the learning step (0 where it was not reached).
    """

    prediction: npt.NDArray[np.uint8]
    learned: npt.NDArray[np.uint8]
    sweeps: npt.NDArray[np.uint16]
    unstable: npt.NDArray[np.uint16]


class Board(ABC):
    """A machine: load couplings, stream samples through it, read everything back.

    `x` is always (n, N) of −1/+1 (int8), `y` (n,) of 0 … C−1. Use it as a context manager or
    call `close`.
    """

    url: str
    config: Config
    """Sizes and widths of the machine; its `registers` are those last written or read."""

    @staticmethod
    def open(url: str, config: Config | None = None, *, timeout: float = 5.0) -> Board:
        """Open ``model``, ``sim``, ``serial:PORT[@BAUD]`` or ``tcp:HOST:PORT``.

        `config` says which machine is wanted; with None, a real board's own is taken (``model``
        and ``sim`` need one). The registers of `config` are written to the board.
        """
        raise NotImplementedError

    @abstractmethod
    def train(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, progress: Progress | None = None
    ) -> Outcomes:
        """Train on the samples in order, one by one."""

    @abstractmethod
    def infer(self, x: npt.ArrayLike, *, progress: Progress | None = None) -> Outcomes:
        """Relax and read out each sample; nothing is learned."""

    @abstractmethod
    def scores(
        self, x: npt.ArrayLike, *, progress: Progress | None = None
    ) -> npt.NDArray[np.int32]:
        """Class scores r, shape (n, C), of an inference of each sample."""

    @abstractmethod
    def read(self, name: str) -> npt.NDArray[np.int16]:
        """One of `relaxon.layout.ARRAYS`: a coupling array, or the state (M, H) of −1/+1."""

    @abstractmethod
    def write(self, name: str, array: npt.ArrayLike) -> None:
        """Write a coupling array or the state."""

    @property
    @abstractmethod
    def registers(self) -> Registers:
        """The registers, read from the machine."""

    @registers.setter
    @abstractmethod
    def registers(self, registers: Registers) -> None: ...

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """Every counter the machine has, by the names of `relaxon.protocol.COUNTERS`."""

    @abstractmethod
    def clear_counters(self) -> None:
        """Set every counter to 0."""

    @abstractmethod
    def close(self) -> None:
        """Give the machine back; twice is once."""

    def load(self, couplings: Couplings) -> None:
        """Write all four coupling arrays (checked first)."""
        checked = couplings.check(self.config)
        for name in Couplings.NAMES:
            self.write(name, getattr(checked, name))

    def couplings(self) -> Couplings:
        """Read all four coupling arrays."""
        return Couplings(**{name: self.read(name) for name in Couplings.NAMES})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
