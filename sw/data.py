"""Datasets: grey images or bits from several sources, coded as −1/+1, split into train and test.

| source          | what                                                       | code               |
|-----------------|------------------------------------------------------------|--------------------|
| ``digits``      | scikit-learn's 8×8 digits (levels 0…16), 25 % held out     | 2 levels, N = 128  |
| ``mnist:DIR``   | MNIST's four IDX files, plain or gzipped                   | 1 level, N = 784   |
| ``fashion:DIR`` | Fashion-MNIST's, which have the same names                 | 1 level, N = 784   |
| ``FILE.npz``    | `x`, `y` and, or else 25 % is held out, `x_test`, `y_test` | must be bits       |

Every source may be *entangled* instead (`relaxon.greys.Projection`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon.errors import DataError
from relaxon.greys import Coding, Projection, Signs, Thermometer, centre_of
from relaxon.idx import read_idx

Labels = npt.NDArray[np.uint8]
Raw = npt.NDArray[Any]

HELD_OUT = 0.25
"""Part of every class that becomes the test set where a source has none."""
DIGITS_LEVELS = (16 / 3, 32 / 3)
"""The grey levels 0…16 in three equal parts."""
BYTE_LEVELS = (127.5,)
BIT_LEVELS = (0.0,)
_SPLIT, _SUBSET = 2, 3
"""Keep their random numbers apart from others made from the same seed."""
MAX_CLASSES = 64


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
    y_train: Labels
    x_test: Signs
    y_test: Labels
    labels: tuple[int | str, ...]
    coding: Coding

    @property
    def inputs(self) -> int:
        """N."""
        return self.x_train.shape[1]

    @property
    def classes(self) -> int:
        """C."""
        return len(self.labels)

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
    """Samples as they come, (n, values) of any numbers; without a test part, one is held out.

    `coding` is the source's own.
    """

    name: str
    x: Raw
    y: Raw
    test: tuple[Raw, Raw] | None
    coding: Coding


def load(
    source: str, *, entangle: int | None = None, seed: int = 0, coding: Coding | None = None
) -> Dataset:
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
        Code the samples like this, such as a trained machine's own inputs, whatever the source.

    Raises
    ------
    DataError
        An unknown source, a missing or damaged file, or samples that do not fit each other.
    """
    s = _open(source)
    x, y = s.x, s.y
    if s.test is None:
        test = held_out(y, seed)
        (x, y), (x_test, y_test) = (x[~test], y[~test]), (x[test], y[test])
    else:
        x_test, y_test = s.test
    if coding is None:
        coding = s.coding if entangle is None else Projection(entangle, seed, centre_of(x))
    labels, code = np.unique(y, return_inverse=True)
    if not 2 <= len(labels) <= MAX_CLASSES:
        raise DataError(f"{source} must have 2 to {MAX_CLASSES} classes, not {len(labels)}")
    strange = np.setdiff1d(y_test, labels)
    if strange.size:
        raise DataError(f"{source}: label {strange[0]} of the test set is not in the training set")
    return Dataset(
        name=s.name,
        x_train=apply(coding, x, source),
        y_train=code.astype(np.uint8),
        x_test=apply(coding, x_test, source),
        y_test=np.searchsorted(labels, y_test).astype(np.uint8),
        labels=tuple(labels.tolist()),
        coding=coding,
    )


def load_unlabelled(path: str, coding: Coding) -> tuple[Signs, Raw | None]:
    """Inputs of every sample `x` of an ``.npz`` file, and its labels `y` as they are, if any."""
    arrays = _read_npz(path)
    return apply(coding, _samples(path, "x", arrays["x"]), path), arrays.get("y")


def apply(coding: Coding, images: Raw, source: str) -> Signs:
    """Code raw samples; those that are to be bits already must be."""
    if coding == Thermometer(BIT_LEVELS):
        values = np.unique(images)
        if not (np.isin(values, (0, 1)).all() or np.isin(values, (-1, 1)).all()):
            shown = ", ".join(str(v) for v in values[:4])
            raise DataError(
                f"{source} must hold bits (0 and 1, or -1 and +1), not {shown} …; code it, or "
                "project it to bits with --entangle N"
            )
    return coding(images)


def held_out(y: Raw, seed: int, part: float = HELD_OUT) -> npt.NDArray[np.bool_]:
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
        return _idx(kind, Path(folder).expanduser())
    if source.endswith(".npz"):
        return _npz(source)
    raise DataError(f"data must be digits, mnist:DIR, fashion:DIR or FILE.npz, not {source!r}")


def _digits() -> _Source:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return _Source("digits", images.astype(np.uint8), labels, None, Thermometer(DIGITS_LEVELS))


def _idx(name: str, folder: Path) -> _Source:
    def pair(part: str) -> tuple[Raw, Raw]:
        images = read_idx(_find(folder, f"{part}-images-idx3-ubyte"), 3)
        labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte"), 1)
        if len(images) != len(labels):
            raise DataError(f"{folder}: {len(images)} {part} images but {len(labels)} labels")
        return images.reshape(len(images), -1), labels

    x, y = pair("train")
    return _Source(name, x, y, pair("t10k"), Thermometer(BYTE_LEVELS))


def _find(folder: Path, stem: str) -> Path:
    """The file of that name, with or without ``.gz``, or with MNIST's other spelling."""
    names: Sequence[str] = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"))
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} has no {stem} (nor {names[1]}): is it the dataset's folder?")


def _npz(path: str) -> _Source:
    arrays = _read_npz(path)
    if "y" not in arrays:
        raise DataError(f"{path} has no labels y")
    x, y = _samples(path, "x", arrays["x"]), _labels(path, "y", arrays["y"], len(arrays["x"]))
    test = None
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path} must have both x_test and y_test, or neither")
    if "x_test" in arrays:
        x_test = _samples(path, "x_test", arrays["x_test"])
        test = x_test, _labels(path, "y_test", arrays["y_test"], len(x_test))
        if x_test.shape[1] != x.shape[1]:
            raise DataError(
                f"{path}: x has {x.shape[1]} values a sample but x_test {x_test.shape[1]}"
            )
    return _Source(Path(path).stem, x, y, test, Thermometer(BIT_LEVELS))


def _read_npz(path: str) -> dict[str, Raw]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{path} is no .npz of plain arrays: {error}") from None
    if "x" not in arrays:
        raise DataError(f"{path} has no samples x (it has {', '.join(arrays) or 'nothing'})")
    return arrays


def _samples(path: str, name: str, x: Raw) -> Raw:
    if x.ndim < 2 or x.dtype.kind not in "buif":
        raise DataError(f"{path}: {name} must be (n, …) of numbers, not {x.dtype}{list(x.shape)}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataError(f"{path}: {name} holds numbers that are not finite")
    return x.reshape(len(x), -1)


def _labels(path: str, name: str, y: Raw, n: int) -> Raw:
    if y.shape != (n,) or y.dtype.kind not in "buiUS":
        raise DataError(
            f"{path}: {name} must be {n} integers or strings, not {y.dtype}{list(y.shape)}"
        )
    return y
