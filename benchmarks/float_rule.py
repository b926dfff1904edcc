"""The papers' rule in floating point, sample by sample: NumPy as one would first write it.

arXiv 2509.05041 and 2510.11984, in their units: a fresh J has variance 1/H, so fields are of order
one. No gate, and nothing is kept from sample to sample but the couplings.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SELF_COUPLING, MARGIN, INPUT_STRENGTH, FEEDBACK = 0.5, 1.0, 5.0, 0.62
SWEEPS_CLAMPED, SWEEPS_RELEASED = 2, 1
STEP = 1 / 32
"""Of J and W, in units of their fresh spread."""
READOUT_TRUE, READOUT_FALSE, READOUT_STEP = 1.2, 3.79, 1 / 64
"""Margins of the class scores and their step, a score being Σ O s / √(M·H)."""


class FloatRule:
    """M modules of H neurons, N inputs and C classes, float32.

    Attributes
    ----------
    recurrent, input, feedback, readout
        J (M, H, H), W (M, H, N), F (M, H, C), O (C, M·H).
    """

    def __init__(self, modules: int, neurons: int, inputs: int, classes: int, seed: int):
        rng = np.random.default_rng(seed)

        def normal(spread: float, *shape: int) -> npt.NDArray[np.float32]:
            return (spread * rng.standard_normal(shape)).astype(np.float32)

        self._j, self._w = neurons**-0.5, INPUT_STRENGTH * inputs**-0.5
        self.recurrent = normal(self._j, modules, neurons, neurons)
        self.input = normal(self._w, modules, neurons, inputs)
        self.feedback = normal(FEEDBACK, modules, neurons, classes)
        self.readout = np.zeros((classes, modules * neurons), np.float32)
        self._own = np.arange(neurons)
        self.recurrent[:, self._own, self._own] = 0

    def train(self, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Train on samples in order; what was predicted for them."""
        pairs = zip(x.astype(np.float32), y)
        return np.array([self.train_one(one, int(label)) for one, label in pairs], np.uint8)

    def train_one(self, x: npt.NDArray[np.float32], y: int) -> int:
        """Relax under the input and the label, let the label go, read out, learn; the prediction."""
        left = self.input @ x
        s = _sign(left)
        for _ in range(SWEEPS_CLAMPED):
            s = _sign(self._field(left, s) + self.feedback[:, :, y])
        for _ in range(SWEEPS_RELEASED):
            s = _sign(self._field(left, s))
        scores = self.readout @ s.ravel() * s.size**-0.5

        unstable = s * self._field(left, s) <= MARGIN
        m, i = np.nonzero(unstable)
        self.recurrent[m, i] += STEP * self._j * s[m, i, None] * s[m]
        self.recurrent[m, i, i] = 0
        self.input[m, i] += STEP * self._w * s[m, i, None] * x
        low = -scores <= READOUT_FALSE
        low[y] = scores[y] <= READOUT_TRUE
        direction = np.where(np.arange(scores.size) == y, 1, -1) * low
        self.readout += READOUT_STEP * direction[:, None].astype(np.float32) * s.ravel()
        return int(np.argmax(scores))

    def _field(
        self, left: npt.NDArray[np.float32], s: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """J s + W x + J_D s, (M, H)."""
        return (self.recurrent @ s[:, :, None])[:, :, 0] + left + SELF_COUPLING * s


def _sign(h: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.where(h >= 0, np.float32(1), np.float32(-1))
