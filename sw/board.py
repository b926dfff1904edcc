"""One interface to a machine, whoever computes: a real board, the simulated one, or the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.errors import ConfigError

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

    @classmethod
    def zeros(cls, n: int) -> Outcomes:
        """Room for `n` samples, to be filled in place."""
        byte, word = np.uint8, np.uint16
        return cls(np.zeros(n, byte), np.zeros(n, byte), np.zeros(n, word), np.zeros(n, word))


@dataclass(frozen=True)
class SelfTested:
    """What a self-test came to: the board's verdict, and the `signature` it measured."""

    passed: bool
    signature: int


class Board(ABC):
    """A machine: load couplings, stream samples through it, read everything back.

    `x` is always (n, N) of −1/+1 (int8), `y` (n,) of 0 … C−1. Use it as a context manager or
    call `close`.
    """

    url: str
    config: Config
    """Sizes and widths of the machine; its `registers` are those last written or read."""
    fresh: bool = True
    """Nobody had opened it since it was powered up or reset: its couplings are zeros."""

    @staticmethod
    def open(url: str, config: Config | None = None, *, timeout: float = 5.0) -> Board:
        """Open ``model``, ``sim``, ``serial:PORT[@BAUD]`` or ``tcp:HOST:PORT``.

        `config` says which machine is wanted; with None, a real board's own is taken (``model``
        and ``sim`` need one). The registers of `config` are written to the board. `timeout` is the
        longest time in seconds that any later call waits without progress.

        Raises `ConfigError` for another URL or a missing `config`, `LinkError` if nothing answers
        there, `IdentityError` if it is another machine than `config`.
        """
        if url == "model":
            if config is None:
                raise ConfigError("board model needs a configuration: say which machine to compute")
            from relaxon.sim.modelboard import ModelBoard

            return ModelBoard(config)
        from relaxon.linkboard import LinkBoard
        from relaxon.transport import open_transport

        transport = open_transport(url, config, timeout=timeout)
        return LinkBoard(transport, config, url=url, timeout=timeout)

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
        """Write a coupling array, or the state, from which the next sample starts where the register
        `keep_state` is 1."""

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
    def set_counters(self, values: Mapping[str, int]) -> None:
        """Set every counter, those that are not named to 0; names that it does not have are ignored."""

    def clear_counters(self) -> None:
        """Set every counter to 0 (those of a link have counted on by the time they are read)."""
        self.set_counters({})

    @abstractmethod
    def build_info(self) -> dict[str, str]:
        """What is known of the machine's build: git description, versions of tools, … as text."""

    def self_test(self, *, timeout: float | None = None) -> SelfTested:
        """Let the board test itself (`relaxon.selftest`), and wait for its verdict.

        Couplings and state are overwritten, registers are not; counters count. `timeout` in
        seconds is by default ample for the machine's size.

        Raises `ConfigError` where there is no self-test, `LinkError` if it does not end in time.
        """
        raise ConfigError(f"{self.url} has no self-test")

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
