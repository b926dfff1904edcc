"""Datasets: grey images or bits from several sources, coded as −1/+1, split into train and test.

| source          | what                                                       | code               |
|-----------------|------------------------------------------------------------|--------------------|
| ``digits``      | scikit-learn's 8×8 digits (levels 0…16), 25 % held out     | 2 levels, N = 128  |
| ``mnist:DIR``   | MNIST's four IDX files, plain or gzipped                   | 1 level, N = 784   |
| ``fashion:DIR`` | Fashion-MNIST's, which have the same names                 | 1 level, N = 784   |
| ``FILE.npz``    | `x`, `y` and, or else 25 % is held out, `x_test`, `y_test` | must be bits       |

Every source may be *entangled* instead (`relaxon.coding.Projection`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon.archive import read_npz
from relaxon.coding import (
    Bits,
    Coding,
    Features,
    Projection,
    Signs,
    Thermometer,
    warn_of_constants,
)
from relaxon.errors import DataError
from relaxon.idx import read_idx
from relaxon.samples import MAX_CLASSES, Codes, Encoder, Labels, features, labels

HELD_OUT = 0.25
"""Part of every class that becomes the test set where a source has none."""
DIGITS_LEVELS = (16 / 3, 32 / 3)
"""The grey levels 0…16 in three equal parts."""
BYTE_LEVELS = (127.5,)
_SPLIT, _SUBSET = 2, 3
"""Keep their random numbers apart from others made from the same seed."""


@dataclass(frozen=True)
class Dataset:
    """Samples a machine can be trained on.

    Attributes
    ----------
    name
        The source, short.
    x_train, x_test
        (n, N) int8 of −1/+1.
    y_train, y_test
        (n,) uint8 of 0 … C−1.
    labels
        What each class is called in the source, C of them.
    coding
        How raw samples became `x`.
    """

    name: str
    x_train: Signs
    y_train: Codes
    x_test: Signs
    y_test: Codes
    labels: tuple[Any, ...]
    coding: Coding

    @property
    def inputs(self) -> int:
        """N."""
        return self.x_train.shape[1]

    @property
    def classes(self) -> int:
        """C."""
        return len(self.labels)

    @property
    def encoder(self) -> Encoder:
        """What made `x` and `y` of the source's samples."""
        return Encoder(self.coding, self.labels)

    def subset(self, samples: int, seed: int) -> Dataset:
        """The same with only so many training samples, drawn by the seed, in their old order."""
        if not 1 <= samples <= len(self.x_train):
            raise DataError(
                f"samples must be 1 to {len(self.x_train)} (the training set), not {samples}"
            )
        drawn = np.random.default_rng([_SUBSET, seed]).permutation(len(self.x_train))[:samples]
        drawn.sort()
        return replace(self, x_train=self.x_train[drawn], y_train=self.y_train[drawn])


@dataclass(frozen=True)
class _Source:
    """Samples as they come, (n, F) of any numbers and (n,) labels.

    `test` is empty where a part is to be held out. `coding` makes the source's own code for F features.
    """

    name: str
    train: tuple[Features, Labels]
    test: tuple[Features, Labels] | None
    coding: Callable[[int], Coding]


def load(
    source: str, *, entangle: int | None = None, seed: int = 0,
    coding: Coding | Callable[[int], Coding] | None = None, known: tuple[Any, ...] | None = None,
) -> Dataset:  # fmt: skip
    """Load a dataset (this module's table has the sources).

    Parameters
    ----------
    source
        ``digits``, ``mnist:DIR``, ``fashion:DIR`` or the path of an ``.npz`` file.
    entangle
        Project to so many bits instead of the source's own code.
    seed
        Decides the projection and what is held out.
    coding
        Code the samples like this, such as a trained machine's own inputs, whatever the source; or what
        makes a coding for F features.
    known
        The labels of a trained machine; by default those of the training samples.

    Raises
    ------
    DataError
        An unknown source, a missing or damaged file, samples that do not fit each other or the
        coding, or labels that are not known.
    """
    s = _open(source)
    (x, y), test = s.train, s.test
    if test is None:
        mask = held_out(y, seed)
        (x, y), test = (x[~mask], y[~mask]), (x[mask], y[mask])
    if coding is None and entangle is not None:
        coding = Projection.entangle(x, entangle, seed)
    elif coding is None:
        coding = s.coding(x.shape[1])
        if isinstance(coding, Bits):
            warn_of_constants(x, where=f"{source}: ")
    elif not isinstance(coding, Coding):
        coding = coding(x.shape[1])
    if known is None:
        known = tuple(np.unique(y).tolist())
        if not 2 <= len(known) <= MAX_CLASSES:
            raise DataError(f"{source} must have 2 to {MAX_CLASSES} classes, not {len(known)}")
    encoder = Encoder(coding, known)
    return Dataset(
        s.name,
        encoder.inputs(x, "x", source), encoder.codes_of(y, "y", source),
        encoder.inputs(test[0], "x_test", source), encoder.codes_of(test[1], "y_test", source),
        known, coding,
    )  # fmt: skip


def features_of(source: str) -> int:
    """F: how many numbers a sample of the source has. `DataError` as in `load`."""
    return int(_open(source).train[0].shape[1])


def load_samples(path: str, encoder: Encoder) -> tuple[Signs, Codes | None]:
    """All samples `x` of an ``.npz`` file for a trained machine, and their classes, if it has `y`."""
    arrays = _read(path)
    x = encoder.inputs(arrays["x"], "x", path)
    return x, encoder.codes(arrays["y"], len(x), "y", path) if "y" in arrays else None


def held_out(y: Labels, seed: int, part: float = HELD_OUT) -> npt.NDArray[np.bool_]:
    """A mask of test samples: this part of every class, rounded, drawn by the seed."""
    rng = np.random.default_rng([_SPLIT, seed])
    mask = np.zeros(len(y), bool)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        mask[members[: round(part * len(members))]] = True
    return mask


# ---- sources ------------------------------------------------------------------------------------


def _open(source: str) -> _Source:
    kind, _, folder = source.partition(":")
    if source == "digits":
        return _digits()
    if kind in ("mnist", "fashion") and folder:
        return _idx(kind, Path(os.path.expanduser(folder)))
    if source.endswith(".npz"):
        return _npz(source)
    raise DataError(f"data must be digits, mnist:DIR, fashion:DIR or FILE.npz, not {source!r}")


def _digits() -> _Source:
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    return _Source(
        "digits", (images.astype(np.uint8), digits), None,
        lambda f: Thermometer.even(f, DIGITS_LEVELS),
    )  # fmt: skip


def _idx(name: str, folder: Path) -> _Source:
    def pair(part: str) -> tuple[Features, Labels]:
        images = read_idx(path := _find(folder, f"{part}-images-idx3-ubyte"), 3)
        digits = read_idx(_find(folder, f"{part}-labels-idx1-ubyte"), 1)
        if len(images) != len(digits):
            raise DataError(f"{folder}: {len(images)} {part} images but {len(digits)} labels")
        return _some(features(images, "images", str(path)), "images", str(path)), digits

    train, test = pair("train"), pair("t10k")
    if train[0].shape[1] != test[0].shape[1]:
        raise DataError(
            f"{folder}: train images have {train[0].shape[1]} pixels but t10k images {test[0].shape[1]}"
        )
    return _Source(name, train, test, lambda f: Thermometer.even(f, BYTE_LEVELS))


def _find(folder: Path, stem: str) -> Path:
    """The file of that name, with or without ``.gz``, or with MNIST's other spelling."""
    dotted = stem.replace("-idx", ".idx")
    names: Sequence[str] = (stem, f"{stem}.gz", dotted, f"{dotted}.gz")
    for name in names:
        if os.path.isfile(folder / name):  # of any name, too long ones, too
            return folder / name
    raise DataError(f"{folder} has no {stem} (nor {names[1]}): is it the dataset's folder?")


def _npz(path: str) -> _Source:
    arrays = _read(path)
    if "y" not in arrays:
        raise DataError(f"{path} has no labels y")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path} must have both x_test and y_test, or neither")

    def pair(suffix: str) -> tuple[Features, Labels]:
        name = f"x{suffix}"
        x = _some(features(arrays[name], name, path), name, path)
        return x, labels(arrays[f"y{suffix}"], len(x), f"y{suffix}", path)

    train, test = pair(""), pair("_test") if "x_test" in arrays else None
    if test is not None and test[0].shape[1] != train[0].shape[1]:
        raise DataError(
            f"{path}: x has {train[0].shape[1]} values a sample but x_test {test[0].shape[1]}"
        )
    return _Source(Path(path).stem, train, test, Bits)


def _some(x: Features, name: str, where: str) -> Features:
    if not len(x):
        raise DataError(f"{where}: {name} has no samples")
    return x


def _read(path: str) -> dict[str, npt.NDArray[Any]]:
    arrays = read_npz(os.path.expanduser(path))
    if "x" not in arrays:
        raise DataError(f"{path} has no samples x (it has {', '.join(arrays) or 'nothing'})")
    return arrays
