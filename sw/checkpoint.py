"""A machine in a file: couplings, configuration and registers in one ``.npz``.

The archive holds the arrays `recurrent`, `input`, `feedback` and `readout`, the configuration and
the registers as JSON strings, and the format's version; more arrays and a JSON string of other
values may go with them. Recorded runs (golden files) are the same without a version. Nothing in a
file is ever executed (`relaxon.archive`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon.archive import read_npz
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.errors import ConfigError, DataError
from relaxon.files import part, replacing

FORMAT = 1
"""Version written; files of a later one are refused."""

_TEXTS = ("config", "registers", "extra")
_TAKEN = ("extra", "file", "args", "kwds", "allow_pickle")
"""Names beside those of a checkpoint's own parts that an extra entry cannot have."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    config
        With the registers of the file.
    couplings
        Checked against `config`.
    arrays
        Every other array, by name.
    extra
        Every other value, by name.
    """

    config: Config
    couplings: Couplings
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def save(path: str | os.PathLike[str], config: Config, couplings: Couplings, **extra: Any) -> None:
    """Write a checkpoint; whoever looks sees the old file or the whole new one, never a part.

    `extra` values are arrays, or anything JSON can hold. The same content gives the same bytes.

    Raises
    ------
    DataError
        The couplings do not fit, a name is taken, a value is neither an array nor JSON, or the
        file cannot be written.
    """
    path = Path(path)
    entries: dict[str, npt.NDArray[Any]] = dict(vars(couplings.check(config)))
    entries["config"] = np.array(config.to_json())
    entries["registers"] = np.array(json.dumps(config.registers.as_dict()))
    entries["format"] = np.array(FORMAT)
    values = {}
    for name, value in extra.items():
        if name in entries or name in _TAKEN:
            raise DataError(f"checkpoint entry {name!r} has a meaning already: choose another name")
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise DataError(f"checkpoint array {name!r} holds Python objects: convert it first")
            entries[name] = value
        else:
            values[name] = value
    try:
        entries["extra"] = np.array(json.dumps(values))
    except (TypeError, ValueError) as error:
        raise DataError(f"checkpoint entries must be arrays or JSON: {error}") from None
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **entries)  # type: ignore[arg-type]


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint or a golden file.

    Raises
    ------
    DataError
        No such file, damaged, of a later format, or its parts do not fit each other; says which.
    """
    entries = read_npz(path)
    version = entries.pop("format", np.array(FORMAT))
    if version.dtype.kind not in "iu" or version.ndim or not 1 <= version <= FORMAT:
        raise DataError(f"{path}: format version {version} is not known here (up to {FORMAT} is)")
    texts = {name: _parsed(path, name, entries.pop(name)) for name in _TEXTS if name in entries}
    for name in ("config", *Couplings.NAMES):
        if name not in texts and name not in entries:
            raise DataError(f"{path} has no {name}: it is no checkpoint of a machine")
    try:
        config = Config.from_dicts(texts["config"], texts.get("registers"))
        couplings = Couplings(**{name: entries.pop(name) for name in Couplings.NAMES}).check(config)
    except (ConfigError, DataError, TypeError) as error:
        raise DataError(f"{path} does not hold a machine: {error}") from None
    return Checkpoint(config, couplings, entries, texts.get("extra", {}))


def remove(path: Path) -> None:
    """Remove a checkpoint, if there is one, and what programs killed while they wrote it left of it."""
    for each in (path, *path.parent.glob(part(path, "*"))):
        each.unlink(missing_ok=True)


def _parsed(path: object, name: str, text: npt.NDArray[Any]) -> dict[str, Any]:
    """The JSON object in a 0-d array of text."""
    if text.ndim or text.dtype.kind != "U":
        raise DataError(f"{path}: {name} must be one JSON string, not {text.dtype}{text.shape}")
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {name} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: {name} must be a JSON object, not {value!r}")
    return value
