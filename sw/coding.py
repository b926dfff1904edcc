"""From real-valued features to the ±1 bits a machine takes.

A coder is learned from training data once (`learn`) and then turns any data of the same features
into bits (`encode`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from relaxon.config import Config
from relaxon.errors import DataError

Features = npt.NDArray[Any]
"""(n, features), real."""
Bits = npt.NDArray[np.int8]
"""(n, N) of −1/+1."""

MOST_BITS = Config.LIMITS["inputs"][1]
"""Most inputs a machine can have."""
AIM = 128
"""Bits that `Thermometer.learn` aims at where the levels are left to it."""


class Coder(Protocol):
    """Turns features into bits; `bits` is how many."""

    @property
    def bits(self) -> int: ...

    def encode(self, x: Features) -> Bits: ...


@dataclass(frozen=True)
class Plain:
    """Features that are −1 or +1 already, one bit each."""

    bits: int

    @classmethod
    def fits(cls, x: Features) -> bool:
        """Whether every value is −1 or +1."""
        return bool(((x == 1) | (x == -1)).all())

    @classmethod
    def learn(cls, x: Features) -> Plain:
        """As many bits as features. `DataError` for any other value than −1 and +1."""
        coder = cls(x.shape[1])
        coder.encode(x)
        return coder

    def encode(self, x: Features) -> Bits:
        """The features themselves. `DataError` for any other value than −1 and +1."""
        if not self.fits(x):
            wrong = x[(x != 1) & (x != -1)][0]
            raise DataError(
                f"features must be -1 or +1 for coding 'bits', not {wrong}; the coding was chosen "
                "when the machine was fitted: for real values choose 'thermometer' or 'projection'"
            )
        return np.ascontiguousarray(x, np.int8)


@dataclass(frozen=True, eq=False)
class Thermometer:
    """Bit l of a feature is +1 where it exceeds its l-th threshold.

    Attributes
    ----------
    thresholds
        (features, levels), rising along each row.
    """

    thresholds: npt.NDArray[np.float64]

    @classmethod
    def learn(cls, x: Features, levels: int | None = None) -> Thermometer:
        """Thresholds at the quantiles 1/(levels+1) … levels/(levels+1) of each feature.

        By default 2 to 16 levels, as near to `AIM` bits as they come. `DataError` if there are
        more bits than a machine has inputs.
        """
        features = x.shape[1]
        if levels is None:
            levels = int(np.clip(AIM // features, 2, 16))
            levels = max(1, min(levels, MOST_BITS // features))
        if not 1 <= features * levels <= MOST_BITS:
            raise DataError(
                f"{features} features in {levels} levels make {features * levels} bits; a machine "
                f"has 1 to {MOST_BITS} inputs: choose other `levels`, or coding='projection'"
            )
        at = np.arange(1, levels + 1) / (levels + 1)
        return cls(np.quantile(x.astype(np.float64), at, axis=0).T)

    @property
    def bits(self) -> int:
        """Features × levels."""
        return int(self.thresholds.size)

    def encode(self, x: Features) -> Bits:
        """Feature by feature, its levels from the lowest to the highest."""
        above = x[:, :, None] > self.thresholds
        return np.where(above, 1, -1).astype(np.int8).reshape(len(x), -1)


@dataclass(frozen=True, eq=False)
class Projection:
    """Signs of random projections: every bit says on which side of a random plane a sample lies.

    Attributes
    ----------
    planes
        (features, bits).
    offsets
        (bits,); bit n is +1 where (x @ planes)[n] > offsets[n].
    """

    planes: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]

    @classmethod
    def learn(cls, x: Features, bits: int, seed: int) -> Projection:
        """Gaussian directions of the standardised features, each plane shifted from the mean by
        a normal amount of half the spread that independent features would have along it."""
        if not 1 <= bits <= MOST_BITS:
            raise DataError(f"a projection must have 1 to {MOST_BITS} bits, not {bits}")
        rng = np.random.default_rng(seed)
        x = x.astype(np.float64)
        mean, spread = x.mean(axis=0), x.std(axis=0)
        spread[spread == 0] = 1
        directions = rng.normal(size=(x.shape[1], bits))
        shift = rng.normal(scale=0.5, size=bits) * np.linalg.norm(directions, axis=0)
        planes = directions / spread[:, None]
        return cls(planes, mean @ planes + shift)

    @property
    def bits(self) -> int:
        """Number of planes."""
        return len(self.offsets)

    def encode(self, x: Features) -> Bits:
        """The side of every plane."""
        return np.where(x @ self.planes > self.offsets, 1, -1).astype(np.int8)
