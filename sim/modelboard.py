"""The reference model behind the interface of a board (`Board.open("model", config)`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from relaxon.board import Board, Outcomes, Progress
from relaxon.build_info import describe
from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.cycles import Activity
from relaxon.errors import DataError
from relaxon.layout import ARRAYS, Layout
from relaxon.samples import codes, signs
from relaxon.sim.fast import FastModel

CHUNK = 256
"""Samples between two calls of `progress`, and between two chances for Ctrl-C."""


class ModelBoard(Board):
    """A machine computed by `relaxon.sim.fast`; every result and counter is `Model`'s.

    Like a board after power-up it starts with all couplings 0 and every state −1. An interrupt
    (Ctrl-C) takes effect between two chunks of samples and leaves everything readable: couplings,
    state and counters are those after `counters()["samples"]` samples.

    Parameters
    ----------
    config
        The machine. Its registers are in force at once.

    Attributes
    ----------
    activity
        What happened in each sample of the last `train` or `infer`; None before.
    """

    def __init__(self, config: Config):
        self.url = "model"
        shape = Layout(config).shape
        zero = Couplings(**{name: np.zeros(shape(name), np.int16) for name in Couplings.NAMES})
        self._model = FastModel(config, zero)
        self.activity: Activity | None = None

    @property
    def config(self) -> Config:  # type: ignore[override]  # an attribute that is always current
        """Sizes, widths and the registers in force."""
        return self._model.config

    def train(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, progress: Progress | None = None
    ) -> Outcomes:
        """Train on the samples in order. `DataError` for inputs or labels that do not fit."""
        x = signs(self.config, x)
        y = codes(self.config, y, len(x))
        return self._stream(lambda part: self._model.train(x[part], y[part]), len(x), progress)

    def infer(self, x: npt.ArrayLike, *, progress: Progress | None = None) -> Outcomes:
        """Relax and read out each sample. `DataError` for inputs that do not fit."""
        x = signs(self.config, x)
        return self._stream(lambda part: self._model.infer(x[part]), len(x), progress)

    def scores(
        self, x: npt.ArrayLike, *, progress: Progress | None = None
    ) -> npt.NDArray[np.int32]:
        """Class scores (n, C) of an inference of each sample."""
        x = signs(self.config, x)
        scores = np.zeros((len(x), self.config.classes), np.int32)
        for part in _chunks(len(x), progress):
            scores[part] = self._model.scores(x[part])
        return scores

    def _stream(
        self, run: Callable[[slice], tuple[Outcomes, Activity]], n: int, progress: Progress | None
    ) -> Outcomes:
        """`run` chunk by chunk, the results put together."""
        outcomes = Outcomes.zeros(n)
        self.activity = Activity.zeros(n)
        for part in _chunks(n, progress):
            for whole, piece in zip((outcomes, self.activity), run(part), strict=True):
                for name, values in vars(piece).items():
                    getattr(whole, name)[part] = values
        return outcomes

    def read(self, name: str) -> npt.NDArray[np.int16]:
        """One of `relaxon.layout.ARRAYS`. `DataError` for another name."""
        if name == "state":
            return self._model.state  # type: ignore[return-value]  # int8 of ±1
        _check_name(name)
        array: npt.NDArray[np.int16] = getattr(self._model.couplings, name)
        return array

    def write(self, name: str, array: npt.ArrayLike) -> None:
        """Write a coupling array or the state. `DataError` if it does not fit."""
        if name == "state":
            self._model.state = _check_state(self.config, array)
            self._model.invalidate()
        else:
            _check_name(name)
            arrays = {**vars(self._model.couplings), name: np.asarray(array)}
            self._model.load(Couplings(**arrays))

    @property
    def registers(self) -> Registers:
        """The registers in force. `ConfigError` for ones that the fields cannot hold."""
        return self._model.registers

    @registers.setter
    def registers(self, registers: Registers) -> None:
        self._model.registers = registers

    def counters(self) -> dict[str, int]:
        """The machine's counters (`relaxon.protocol.CHIP_COUNTERS`); there is no link to count."""
        return self._model.counters

    def set_counters(self, values: Mapping[str, int]) -> None:
        """Set every counter, those that are not named to 0."""
        self._model.set_counters(values)

    def build_info(self) -> dict[str, str]:
        """What these sources are."""
        return describe("model", tools=["numpy"])

    def load(self, couplings: Couplings) -> None:
        """Write all four coupling arrays (checked first)."""
        self._model.load(couplings)

    def close(self) -> None:
        """Nothing to give back."""


def _chunks(n: int, progress: Progress | None) -> Iterator[slice]:
    """Slices of up to `CHUNK` samples; tells `progress` of each once the loop's body is through."""
    for start in range(0, n, CHUNK):
        part = slice(start, min(start + CHUNK, n))
        yield part
        if progress is not None:
            progress(part.stop - part.start)


def _check_name(name: str) -> None:
    if name not in ARRAYS:
        raise DataError(f"array must be one of {', '.join(ARRAYS)}, not {name!r}")


def _check_state(config: Config, array: npt.ArrayLike) -> npt.NDArray[np.int8]:
    state, shape = np.asarray(array), (config.modules, config.neurons)
    if state.shape != shape:
        raise DataError(f"state must have shape {shape}, not {state.shape}")
    if not np.isin(state, (-1, 1)).all():
        raise DataError("state must hold -1 and +1 only")
    return state.astype(np.int8)
