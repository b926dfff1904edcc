"""The reference model itself behind the interface of a board: slow, and the last word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from relaxon.board import Outcomes
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.cycles import Activity
from relaxon.layout import Layout
from relaxon.protocol import CHIP_COUNTERS
from relaxon.sim.model import Model, Result
from relaxon.sim.modelboard import ModelBoard


class ReferenceBoard(ModelBoard):
    """`ModelBoard` over `relaxon.sim.model` instead of its fast path, to compare that with."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.url = "reference"
        self._model = _Batches(config)  # type: ignore[assignment]  # all that ModelBoard uses of it

    def counters(self) -> dict[str, int]:
        """The machine's counters, as they are now."""
        return dict(super().counters())


class _Batches(Model):
    """`Model`, many samples at a time: what `relaxon.sim.fast.FastModel` offers."""

    def __init__(self, config: Config):
        shape = Layout(config).shape
        zero = Couplings(**{name: np.zeros(shape(name), np.int16) for name in Couplings.NAMES})
        super().__init__(config, zero)

    def train(
        self, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8]
    ) -> tuple[Outcomes, Activity]:
        """Train on (n, N) inputs and (n,) labels, in order."""
        return _together([self.train_one(a, int(b)) for a, b in zip(x, y, strict=True)])

    def infer(self, x: npt.NDArray[np.int8]) -> tuple[Outcomes, Activity]:
        """Relax (n, N) inputs and read them out."""
        return _together([self.infer_one(a) for a in x])

    def scores(self, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
        """Class scores (n, C)."""
        return np.array([self.infer_one(a).scores for a in x], np.int32)

    def load(self, couplings: Couplings) -> None:
        """Replace all couplings. `DataError` if they do not fit."""
        for name, array in vars(couplings.check(self.config)).items():
            setattr(self, name, array.astype(np.int64))
        self.invalidate()

    @property
    def couplings(self) -> Couplings:
        """A copy of J, W, F and O."""
        return Couplings(**{n: getattr(self, n).astype(np.int16) for n in Couplings.NAMES})

    def set_counters(self, values: Mapping[str, int]) -> None:
        """Set every counter, those that are not named to 0."""
        self.counters = {name: values.get(name, 0) for name in CHIP_COUNTERS}


def _together(results: list[Result]) -> tuple[Outcomes, Activity]:
    """One record of the outcomes and one of the activity of many samples."""
    outcomes, activity = Outcomes.zeros(len(results)), Activity.zeros(len(results))
    for i, result in enumerate(results):
        for name, values in vars(outcomes).items():
            values[i] = getattr(result, name)
        for name, values in vars(activity).items():
            values[i] = getattr(result.activity, name)[0]
    return outcomes, activity
