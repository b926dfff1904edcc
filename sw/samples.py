"""The one way in: samples and labels are checked here, whoever brings them.

    features (n, F) ─▶ Encoder.inputs ─▶ (n, N) of −1/+1 ──▶ signs ─┐
                                                                    ├─▶ a board
    labels   (n,)   ─▶ Encoder.codes  ─▶ (n,) of 0 … C−1 ──▶ codes ─┘

An `Encoder` belongs to a machine: it knows how many features a sample has, how they become bits, and the
labels there are. Every error says what was expected, what came, and from where.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon.coding import Coding, Features, Signs, coding_from_dict
from relaxon.config import Config
from relaxon.errors import DataError

Label = bool | int | float | str
"""What a class is called; files know whole numbers and text."""
Labels = npt.NDArray[Any]
Codes = npt.NDArray[np.uint8]

MAX_CLASSES = Config.LIMITS["classes"][1]
_SHOWN = 12
"""Labels that an error lists."""


def features(x: npt.ArrayLike, name: str = "x", where: str = "") -> Features:
    """Samples (n, …) of finite numbers as (n, F); n may be 0. `DataError` for anything else."""
    values = np.asarray(x)
    if values.ndim < 2 or values.dtype.kind not in "buif":
        hint = "; one sample is x[None, :]" if values.ndim == 1 else ""
        raise DataError(
            f"{_from(where)}{name} must be (n, …) of numbers, not {_told(values)}{hint}"
        )
    if 0 in values.shape[1:]:
        raise DataError(f"{_from(where)}{name} has no values in a sample: shape {values.shape}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise DataError(
            f"{_from(where)}{name} holds numbers that are not finite: {name}{list(at)} is {values[at]}"
        )
    return values.reshape(len(values), math.prod(values.shape[1:]))


def labels(y: npt.ArrayLike, n: int, name: str = "y", where: str = "") -> Labels:
    """Labels of n samples, (n,) of whole numbers, truth values or text (bytes are read as UTF-8).

    `DataError` for anything else, with what would make it right.
    """
    values = np.asarray(y)
    if values.shape != (n,) or values.dtype.kind not in "buiUS":
        hint = ""
        if values.ndim == 2 and values.shape == (n, 1):
            hint = f"; write {name}.ravel()"
        elif values.ndim == 2 and len(values) == n:
            hint = f"; of one column a class, write {name}.argmax(axis=1)"
        elif values.ndim == 1 and len(values) != n:
            hint = f"; there are {n} samples and {len(values)} labels"
        elif values.dtype.kind == "f" and np.array_equal(values, np.rint(values)):
            hint = f"; write {name}.astype(int)"
        raise DataError(
            f"{_from(where)}{name} must be {n} integers or strings, not {_told(values)}{hint}"
        )
    if values.dtype.kind == "S":
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{_from(where)}{name} holds bytes that are no text: {error}") from None
    return values


def signs(config: Config, x: npt.ArrayLike) -> Signs:
    """Inputs of a machine as a contiguous int8 array (n, N) of −1/+1 (n may be 0).

    Raises `DataError` for another shape or any other value.
    """
    values = np.asarray(x)
    if values.ndim != 2 or values.shape[1] != config.inputs:
        hint = "; one sample is x[None, :]" if values.ndim == 1 else ""
        raise DataError(f"x must have shape (n, {config.inputs}), not {values.shape}{hint}")
    if values.dtype.kind not in "iuf":
        raise DataError(f"x must hold the numbers -1 and +1, not {values.dtype}")
    wrong = (values != 1) & (values != -1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"x must hold -1 and +1 only, but x[{row}, {column}] is {values[row, column]}; "
            "code the inputs as bits first (np.where(bit, 1, -1))"
        )
    return np.ascontiguousarray(values, np.int8)


def codes(config: Config, y: npt.ArrayLike, n: int) -> Codes:
    """Classes of `n` samples as a uint8 array (n,) of 0 … C−1.

    Raises `DataError` for another shape, for numbers that are not integers, and outside the range.
    """
    values = np.asarray(y)
    if values.shape != (n,):
        raise DataError(f"y must have one label per sample, shape ({n},), not {values.shape}")
    if n == 0:
        return np.zeros(0, np.uint8)
    if values.dtype.kind not in "iu":
        raise DataError(f"y must hold integers, not {values.dtype}")
    wrong = (values < 0) | (values >= config.classes)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(f"y must lie in 0 to {config.classes - 1}, but y[{at}] is {values[at]}")
    return np.ascontiguousarray(values, np.uint8)


@dataclass(frozen=True)
class Encoder:
    """What stands between samples as they come and a machine.

    Attributes
    ----------
    coding
        Makes bits of features; it knows how many there are of both.
    labels
        What each class is called, C of them, all different.
    """

    coding: Coding
    labels: tuple[Any, ...]

    @property
    def classes(self) -> int:
        """C."""
        return len(self.labels)

    def inputs(self, x: npt.ArrayLike, name: str = "x", where: str = "") -> Signs:
        """Samples (n, …) as the machine's inputs, (n, N) of −1/+1. `DataError` if they do not fit."""
        values = features(x, name, where)
        try:
            return self.coding.encode(values)
        except DataError as error:
            raise DataError(f"{_from(where)}{name}: {error}") from None

    def codes(self, y: npt.ArrayLike, n: int, name: str = "y", where: str = "") -> Codes:
        """Labels of n samples as classes 0 … C−1. `DataError` for labels that there are not."""
        return self.codes_of(labels(y, n, name, where), name, where)

    def codes_of(self, given: Labels, name: str = "y", where: str = "") -> Codes:
        """The same for labels that are checked, of whatever kind."""
        known = {label: code for code, label in enumerate(self.labels)}
        try:
            return np.array([known[label] for label in given.tolist()], np.uint8)
        except KeyError as error:
            shown = ", ".join(map(repr, self.labels[:_SHOWN]))
            more = " …" if self.classes > _SHOWN else ""
            raise DataError(
                f"{_from(where)}{name}: label {error.args[0]!r} is not among the classes {shown}{more}"
            ) from None

    def named(self, predicted: npt.NDArray[np.integer]) -> Labels:
        """The labels of predicted classes; a machine may have more classes than there are labels.

        `DataError` if it predicted one that has none.
        """
        if predicted.size and predicted.max() >= self.classes:
            raise DataError(
                f"the machine predicted class {predicted.max()}, and has {self.classes} labels alone: "
                "are these its own couplings?"
            )
        return np.array(self.labels)[predicted]

    def check(self, config: Config, where: str = "", n: int | None = None) -> None:
        """`DataError` unless a machine takes what this makes, of n samples."""
        if self.coding.bits != config.inputs:
            shape = f"({'n' if n is None else n}, {self.coding.bits})"
            raise DataError(
                f"{_from(where)}x must have shape (n, {config.inputs}), not {shape}: "
                f"the machine has {config.inputs} inputs, and the samples make {self.coding.bits} bits"
            )
        if self.classes > config.classes:
            raise DataError(
                f"{_from(where)}there are {self.classes} labels, and the machine has {config.classes} "
                "classes"
            )

    def to_dict(self) -> dict[str, Any]:
        """What `encoder_from_dict` and JSON understand, as entries of a checkpoint."""
        return {"labels": list(self.labels), "coding": self.coding.to_dict()}


def encoder_from_dict(
    entries: Mapping[str, Any], config: Config, features: int | None = None
) -> Encoder:
    """The encoder of a checkpoint whose machine is `config`; `features` as in `coding_from_dict`.

    Raises `DataError` if it holds none, or not one for this machine.
    """
    coding = coding_from_dict(_mapping(entries, "coding"), config.inputs, features)
    encoder = Encoder(coding, labels_from(entries, config))
    encoder.check(config)
    return encoder


def labels_from(entries: Mapping[str, Any], config: Config) -> tuple[Any, ...]:
    """The labels of a checkpoint, 0 … C−1 where it has none. `DataError` if they make no sense."""
    given = entries.get("labels", list(range(config.classes)))
    whole = isinstance(given, list) and all(isinstance(label, int | str) for label in given)
    if not whole or not 1 <= len(set(given)) == len(given) <= config.classes:
        raise DataError(
            f"labels must be up to {config.classes} different whole numbers or texts, not {given!r}"
        )
    return tuple(given)


def _mapping(entries: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entries.get(name)
    if not isinstance(value, Mapping):
        raise DataError(f"{name} must be an object of values, not {value!r}")
    return value


def _told(values: npt.NDArray[Any]) -> str:
    return f"{values.dtype}{list(values.shape)}"


def _from(where: str) -> str:
    return f"{where}: " if where else ""
