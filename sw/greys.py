"""From grey levels to bits: what a machine sees of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon.errors import DataError

Signs = npt.NDArray[np.int8]

CHUNK = 4096
"""Images projected at a time: 26 MB of doubles for 784 pixels."""
_PROJECTION = 1
"""Keeps the projection's random numbers apart from others made from the same seed."""


@dataclass(frozen=True)
class Thermometer:
    """One bit per level and value: +1 where the value is above the level.

    Bits of one level are neighbours; N = levels × values. One level is a plain threshold.
    """

    levels: tuple[float, ...]

    def __call__(self, images: npt.ArrayLike) -> Signs:
        """Code (n, values) as (n, N) of −1/+1."""
        values = np.asarray(images)
        bits = np.concatenate([values > level for level in self.levels], axis=1)
        return np.where(bits, np.int8(1), np.int8(-1))


@dataclass(frozen=True)
class Projection:
    """ "Entangled" images: a fixed Gaussian random projection of the pixels to `bits`, then sign.

    `centre` is a grey level taken off every pixel first. Without it all images lie on one side of
    the origin and most bits hardly ever change: on MNIST the average bit leans .47 to one side;
    with the training images' mean it leans .38 and the machines learn about half a point better.

    The Gaussian numbers are rounded to multiples of 2^−16. Of integer pixels and an integer centre
    every sum is therefore exact, and the bits do not depend on the order of summation.
    """

    bits: int
    seed: int
    centre: float

    def __call__(self, images: npt.ArrayLike) -> Signs:
        """Code (n, pixels) as (n, bits) of −1/+1."""
        return entangle(images, self.bits, self.seed, self.centre)


Coding = Thermometer | Projection


def entangle(images: npt.ArrayLike, bits: int, seed: int, centre: float) -> Signs:
    """Project (n, pixels) of numbers to (n, bits) of −1/+1; `Projection` says how."""
    values = np.asarray(images)
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise DataError(
            f"images must be (n, pixels) of numbers, not {values.dtype}{list(values.shape)}"
        )
    if bits < 1:
        raise DataError(f"a projection must have at least 1 bit, not {bits}")
    normal = np.random.default_rng([_PROJECTION, seed]).standard_normal((values.shape[1], bits))
    matrix = np.rint(normal * 2.0**16)
    signs = np.empty((len(values), bits), np.int8)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK].astype(np.float64) - centre
        signs[start : start + CHUNK] = np.where(part @ matrix >= 0, 1, -1)
    return signs


def centre_of(images: npt.NDArray[Any]) -> float:
    """The mean grey level; a whole number for integer images."""
    mean = float(images.mean()) if images.size else 0.0
    return float(round(mean)) if images.dtype.kind in "bui" else mean


def coding_to_dict(coding: Coding) -> dict[str, Any]:
    """What `coding_from_dict` and JSON understand."""
    return asdict(coding)


def coding_from_dict(values: Mapping[str, Any]) -> Coding:
    """The coding a checkpoint names. `DataError` if it is none."""
    try:
        if "levels" in values:
            return Thermometer(tuple(float(level) for level in values["levels"]))
        return Projection(int(values["bits"]), int(values["seed"]), float(values["centre"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{dict(values)!r} is no coding of inputs: {error!r}") from None
