"""From features to the ±1 bits a machine takes: codings, each fitted to samples of a certain kind.

A coding knows how many features a sample has (`features`) and how many bits it makes of them (`bits`,
the machine's N). It is made once, from training samples or by hand, and then turns any samples of as
many features into bits (`encode`). Codings are plain values: equal ones compare equal, and `to_dict` and
`coding_from_dict` keep them in checkpoints.

| coding        | bit n is +1 where                                    | for                       |
|---------------|------------------------------------------------------|---------------------------|
| `Bits`        | feature n is 1                                       | features that are bits    |
| `Thermometer` | a feature lies above a threshold                     | pixels, tables of numbers |
| `Projection`  | a sample lies on the positive side of a random plane | any number of features    |
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from relaxon.config import Config
from relaxon.errors import ConfigError, DataError

Features = npt.NDArray[Any]
"""(n, features) of finite numbers."""
Signs = npt.NDArray[np.int8]
"""(n, N) of −1/+1."""

MOST_BITS = Config.LIMITS["inputs"][1]
"""Most inputs a machine can have."""
AIM = 128
"""Bits that `Thermometer.learn` aims at where the levels are left to it."""
LEVELS = (2, 16)
"""Fewest and most levels that it takes by itself."""
CHUNK = 4096
"""Samples coded at a time: 26 MB of doubles for 784 features."""
_PROJECTION = 1
"""Keeps the projection's random numbers apart from others made from the same seed."""
_NAMED = 10
"""Constant features that a warning names one by one."""


class ConstantFeatureWarning(UserWarning):
    """Features that have the same value in all samples: a machine can learn nothing from them."""


class Coding(ABC):
    """Turns (n, features) numbers into (n, bits) of −1/+1."""

    kind: ClassVar[str]
    """Its name in files."""
    features: int
    """Features of a sample."""
    bits: int
    """N: bits of a sample."""

    @abstractmethod
    def _encode(self, x: Features) -> npt.NDArray[np.bool_]:
        """Which bits are +1, of a few samples."""

    def encode(self, x: npt.ArrayLike) -> Signs:
        """Code samples (n, features), which are checked for their number of features alone.

        Raises `DataError` for another number of features, and for values that have no code.
        """
        values = np.asarray(x)
        if values.ndim != 2 or values.shape[1] != self.features:
            raise DataError(
                f"samples must have {self.features} features each, as those that the coding was made "
                f"for, shape (n, {self.features}), not {values.shape}"
            )
        signs = np.empty((len(values), self.bits), np.int8)
        for start in range(0, len(values), CHUNK):
            part = slice(start, start + CHUNK)
            signs[part] = np.where(self._encode(values[part]), np.int8(1), np.int8(-1))
        return signs

    def to_dict(self) -> dict[str, Any]:
        """What `coding_from_dict` and JSON understand."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]  # a dataclass


@dataclass(frozen=True)
class Bits(Coding):
    """Features that are bits already, all of them 0 or 1, or all of them −1 or +1."""

    kind = "bits"
    features: int

    @classmethod
    def fits(cls, x: Features) -> bool:
        """Whether every value is 0 or 1, or every value −1 or +1."""
        one = x == 1
        return bool((one | (x == 0)).all() or (one | (x == -1)).all())

    @property
    def bits(self) -> int:  # type: ignore[override]  # like all of a frozen value, read only
        """As many as features."""
        return self.features

    def encode(self, x: npt.ArrayLike) -> Signs:
        """The features themselves. `DataError` for any other value."""
        values = np.asarray(x)
        if not self.fits(values):
            zeros = (values == 0).any()
            strange = values[(values != 1) & (values != (0 if zeros else -1))]
            raise DataError(
                "features must be -1 or +1 for coding 'bits' (or all of them 0 or 1), not "
                f"{strange[0]}; code other values with thresholds (coding='thermometer') or project "
                "them (coding='projection', --entangle N)"
            )
        return super().encode(values)

    def _encode(self, x: Features) -> npt.NDArray[np.bool_]:
        return x == 1


@dataclass(frozen=True)
class Thermometer(Coding):
    """Bit n is +1 where its feature exceeds its threshold.

    Attributes
    ----------
    features
        Of a sample.
    feature
        (N,) the feature that each bit looks at.
    threshold
        (N,) what it is compared with.
    """

    kind = "thermometer"
    features: int
    feature: tuple[int, ...]
    threshold: tuple[float, ...]

    @classmethod
    def even(cls, features: int, levels: Sequence[float]) -> Thermometer:
        """The same levels for every feature; bits of one level are neighbours."""
        feature = tuple(range(features)) * len(levels)
        return cls(features, feature, tuple(float(v) for v in np.repeat(levels, features)))

    @classmethod
    def learn(cls, x: Features, levels: int | None = None) -> Thermometer:
        """Thresholds between the values that occur: feature by feature, from the lowest to the highest.

        A feature of few values gets one between any two neighbours, so that one of two values is one
        bit. Of more values, those are taken that come nearest to cutting the samples into levels + 1
        equal parts; where two come out the same it counts once. A feature that is constant gets none
        (if all are, the first one gets one above which no sample lies). The thresholds of −x are
        those of x, negated, but where two are equally near.

        By default 2 to 16 levels, as many as make `AIM` bits at most, if there are so few.

        Raises
        ------
        ConfigError
            `levels` is no whole number of 1 or more.
        DataError
            There are more bits than a machine has inputs.
        """
        if levels is not None and (
            isinstance(levels, bool) or not isinstance(levels, int | np.integer) or levels < 1
        ):
            raise ConfigError(f"levels must be a whole number of 1 or more, not {levels!r}")
        cuts = [_Cuts.of(column) for column in x.T.astype(np.float64)]
        room = np.array([len(each.between) for each in cuts])
        if levels is None:
            low, high = LEVELS
            fitting = [n for n in range(low, high + 1) if np.minimum(room, n).sum() <= AIM]
            levels = max(fitting, default=low)
            if np.minimum(room, levels).sum() > MOST_BITS:
                levels = 1
        chosen = [each.nearest(levels) for each in cuts]
        if not room.any():
            chosen[0] = [float(x[0, 0])]
        bits = sum(map(len, chosen))
        if bits > MOST_BITS:
            raise DataError(
                f"{x.shape[1]} features in {levels} levels make {bits} bits; a machine has 1 to "
                f"{MOST_BITS} inputs: choose fewer `levels`, or coding='projection'"
            )
        feature = [f for f, thresholds in enumerate(chosen) for _ in thresholds]
        return cls(x.shape[1], tuple(feature), tuple(t for each in chosen for t in each))

    @property
    def bits(self) -> int:  # type: ignore[override]  # like all of a frozen value, read only
        """As many as thresholds."""
        return len(self.threshold)

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        return np.array(self.feature, np.intp), np.array(self.threshold)

    def _encode(self, x: Features) -> npt.NDArray[np.bool_]:
        feature, threshold = self._arrays
        above: npt.NDArray[np.bool_] = x[:, feature] > threshold
        return above


@dataclass(frozen=True)
class _Cuts:
    """Where a feature can be cut: `between` any two neighbouring values, and the part of the samples
    that lies `below`, in the order of the values."""

    between: npt.NDArray[np.float64]
    gap: npt.NDArray[np.float64]
    below: npt.NDArray[np.float64]

    @classmethod
    def of(cls, column: npt.NDArray[np.float64]) -> _Cuts:
        values, counts = np.unique(column, return_counts=True)
        low, high = values[:-1], values[1:]
        middle = low / 2 + high / 2
        # Between neighbours among the doubles there is nothing; the lower one separates them, too.
        between = np.where((low <= middle) & (middle < high), middle, low)
        return cls(between, high / 2 - low / 2, np.cumsum(counts)[:-1] / len(column))

    def nearest(self, levels: int) -> list[float]:
        """The thresholds nearest to cutting the samples into equal parts; of equally near ones that in
        the widest gap, then the one farthest from the median, since neither depends on a sign."""
        if len(self.between) <= levels:
            return list(self.between.tolist())
        chosen = set()
        for target in np.arange(1, levels + 1) / (levels + 1):
            distance = np.abs(self.below - target)
            near = np.flatnonzero(distance <= distance.min() + 1e-12)
            best = max(near, key=lambda at: (self.gap[at], abs(self.below[at] - 0.5)))
            chosen.add(int(best))
        return [float(self.between[at]) for at in sorted(chosen)]


@dataclass(frozen=True)
class Projection(Coding):
    """Signs of random projections: every bit says on which side of a random plane a sample lies.

    Bit n is +1 where Σ_f G[f, n] (x[f] − centre[f]) / spread[f] ≥ offset[n], with Gaussian numbers G
    that `seed` decides, rounded to multiples of 2^−16. Of integer features, an integer centre and no
    spread every sum is therefore exact, and the bits do not depend on the order of summation.

    Attributes
    ----------
    features, bits, seed
        F, N, and what decides G and the offsets.
    centre
        (F,) or (1,), taken off first. Without it all images lie on one side of the origin and most bits
        hardly ever change: on MNIST the average bit leans .47 to one side; with the training images'
        mean it leans .38 and the machines learn about half a point better.
    spread
        (F,) or (1,), what each feature is divided by.
    shift
        Standard deviation of the planes' distances from the centre, as a part of the spread that
        independent features have along them; 0: all go through it.
    """

    kind = "projection"
    features: int
    bits: int
    seed: int
    centre: tuple[float, ...]
    spread: tuple[float, ...] = (1.0,)
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MOST_BITS:
            raise DataError(f"a projection must have 1 to {MOST_BITS} bits, not {self.bits}")

    @classmethod
    def entangle(cls, x: Features, bits: int, seed: int) -> Projection:
        """The papers' "entangled" images: planes through the training images' mean grey level, which
        is rounded for integer images."""
        mean = float(x.mean()) if x.size else 0.0
        if x.dtype.kind in "bui":
            mean = float(round(mean))
        return cls(x.shape[1], bits, seed, (mean,))

    @classmethod
    def learn(cls, x: Features, bits: int, seed: int) -> Projection:
        """Planes near the mean of standardised features.

        Raises `DataError` for features that are too large to be standardised.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            values = x.astype(np.float64)
            mean, spread = values.mean(axis=0), values.std(axis=0)
        if not np.isfinite(mean + spread).all():
            at = int(np.argmin(np.isfinite(mean + spread)))
            raise DataError(
                f"feature {at} has values up to {np.abs(values[:, at]).max():g}, too large to be "
                "standardised: scale it, or choose coding='thermometer'"
            )
        spread[spread == 0] = 1
        return cls(x.shape[1], bits, seed, tuple(mean.tolist()), tuple(spread.tolist()), shift=0.5)

    @cached_property
    def _planes(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """G times 2^16, (F, N), and the offsets in the same unit, (N,)."""
        rng = np.random.default_rng([_PROJECTION, self.seed])
        matrix = np.rint(rng.standard_normal((self.features, self.bits)) * 2.0**16)
        offset = np.zeros(self.bits)
        if self.shift:
            offset = rng.normal(scale=self.shift, size=self.bits) * np.linalg.norm(matrix, axis=0)
        return matrix, offset

    def _encode(self, x: Features) -> npt.NDArray[np.bool_]:
        matrix, offset = self._planes
        standard = (x.astype(np.float64) - np.array(self.centre)) / np.array(self.spread)
        side: npt.NDArray[np.bool_] = standard @ matrix >= offset
        return side


KINDS: dict[str, type[Coding]] = {each.kind: each for each in (Bits, Thermometer, Projection)}


def warn_of_constants(
    x: Features, names: Sequence[object] | None = None, where: str = "", *, stacklevel: int = 3
) -> None:
    """Warn of the features that are constant, by name or number (`ConstantFeatureWarning`)."""
    constant = np.flatnonzero((x == x[:1]).all(axis=0)) if len(x) > 1 else np.zeros(0, np.intp)
    if not constant.size:
        return
    told = [str(at if names is None else names[at]) for at in constant[:_NAMED]]
    more = f" and {constant.size - _NAMED} more" if constant.size > _NAMED else ""
    what = "feature" if constant.size == 1 else "features"
    warnings.warn(
        f"{where}{what} {', '.join(told)}{more} of {x.shape[1]}: the same value in all samples, from "
        "which nothing can be learned",
        ConstantFeatureWarning, stacklevel=stacklevel,
    )  # fmt: skip


def coding_from_dict(values: Mapping[str, Any], bits: int, features: int | None = None) -> Coding:
    """The coding that a checkpoint names.

    Parameters
    ----------
    values
        What `Coding.to_dict` gave. What version 0.1 wrote is understood, too.
    bits
        N of the machine, which version 0.1 did not repeat.
    features
        Of a sample, if that is known from elsewhere: of a projection version 0.1 did not tell it.

    Raises
    ------
    DataError
        It is none, or not one for N bits.
    """
    try:
        coding = _coding(dict(values), bits, features)
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DataError(f"{_short(values)} is no coding of inputs: {error!r}") from None
    if coding.bits != bits:
        raise DataError(f"the coding makes {coding.bits} bits, and the machine has {bits} inputs")
    return coding


def unknown_size(values: Mapping[str, Any]) -> bool:
    """Whether it is a projection of version 0.1, which does not tell its number of features."""
    return "kind" not in values and "levels" not in values


def _coding(values: dict[str, Any], bits: int, features: int | None) -> Coding:
    if "kind" not in values:  # version 0.1
        if "levels" in values:
            levels = [float(level) for level in values["levels"]]
            if not levels:
                raise ValueError("it has no levels")
            return Thermometer.even(bits // max(1, len(levels)), levels)
        if features is None:
            raise ValueError("it does not say how many features a sample has")
        values = {
            "kind": "projection", "features": features, "bits": values["bits"],
            "seed": values["seed"], "centre": [values["centre"]],
        }  # fmt: skip
    kind = KINDS[values.pop("kind")]
    typed: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("features", "bits", "seed"):
            typed[name] = _whole(name, value)
        elif name == "feature":
            typed[name] = tuple(_whole(name, each) for each in value)
        elif name in ("threshold", "centre", "spread"):
            typed[name] = tuple(float(each) for each in value)
        else:
            typed[name] = float(value)
    coding = kind(**typed)
    if not 1 <= coding.features or not all(np.isfinite(v).all() for v in typed.values()):
        raise ValueError("its numbers make no sense")
    if isinstance(coding, Thermometer):
        if len(coding.feature) != len(coding.threshold):
            raise ValueError("it must have a feature for each threshold")
        if not all(0 <= each < coding.features for each in coding.feature):
            raise ValueError(f"it looks at features that are not among {coding.features}")
    if isinstance(coding, Projection):
        sizes = {len(coding.centre), len(coding.spread)}
        if min(coding.seed, coding.shift) < 0 or not sizes <= {1, coding.features}:
            raise ValueError("its numbers make no sense")
    return coding


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return value


def _short(values: Mapping[str, Any]) -> str:
    text = repr(dict(values))
    return text if len(text) < 200 else text[:200] + " …"
