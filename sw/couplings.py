"""The arrays that make a machine: J, W, F and O."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relaxon.config import Config
from relaxon.errors import DataError
from relaxon.settings import Settings, settings_of

Array = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Couplings:
    """Couplings of a machine, all int16.

    Attributes
    ----------
    recurrent
        J, shape (M, H, H); J[m, i, j] acts from neuron j on neuron i; the diagonal is 0.
    input
        W, shape (M, H, N).
    feedback
        F, shape (M, H, C), −128 … 127; never changes.
    readout
        O, shape (C, M, H).
    """

    recurrent: Array
    input: Array
    feedback: Array
    readout: Array

    NAMES = ("recurrent", "input", "feedback", "readout")

    @classmethod
    def fresh(cls, config: Config, seed: int, preset: str | Settings = "paper") -> Couplings:
        """Random couplings before learning: J, W ~ round(N(0, σ²)), F scaled as `preset` says, O = 0."""
        settings = settings_of(preset)
        rng = np.random.default_rng(seed)
        m, h, n, c = config.modules, config.neurons, config.inputs, config.classes

        def normal(spread: float, limit: int, *shape: int) -> Array:
            values = np.rint(rng.normal(0.0, spread, shape))
            return np.clip(values, -limit, limit).astype(np.int16)

        recurrent = normal(settings.sigma(config.recurrent_bits), config.recurrent_max, m, h, h)
        recurrent[:, np.arange(h), np.arange(h)] = 0
        return cls(
            recurrent=recurrent,
            input=normal(settings.sigma(config.weight_bits), config.weight_max, m, h, n),
            feedback=normal(settings.feedback_spread(config), 127, m, h, c),
            readout=np.zeros((c, m, h), np.int16),
        )

    def check(self, config: Config) -> Couplings:
        """Return couplings of int16 that fit `config`, or raise `DataError` naming what does not."""
        m, h, n, c = config.modules, config.neurons, config.inputs, config.classes
        shapes = dict(recurrent=(m, h, h), input=(m, h, n), feedback=(m, h, c), readout=(c, m, h))
        j, w, o = config.recurrent_max, config.weight_max, config.readout_max
        ranges = dict(recurrent=(-j, j), input=(-w, w), feedback=(-128, 127), readout=(-o, o))
        checked = {}
        for name in self.NAMES:
            array = np.asarray(getattr(self, name))
            if array.shape != shapes[name]:
                raise DataError(f"{name} must have shape {shapes[name]}, not {array.shape}")
            if array.dtype.kind not in "iu":
                raise DataError(f"{name} must hold integers, not {array.dtype}")
            low, high = ranges[name]
            if array.size and (array.min() < low or array.max() > high):
                raise DataError(
                    f"{name} must lie in {low} … {high}, not {array.min()} … {array.max()}"
                )
            checked[name] = array.astype(np.int16)
        if np.einsum("mii->mi", checked["recurrent"]).any():
            raise DataError("recurrent must have a zero diagonal (self-coupling is a register)")
        return Couplings(**checked)

    def differences(self, other: Couplings) -> dict[str, int]:
        """Name → number of elements that differ."""
        return {
            name: int(np.count_nonzero(getattr(self, name) != getattr(other, name)))
            for name in self.NAMES
        }
