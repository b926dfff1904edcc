"""Reading ``.npz`` files that anybody may have made, or damaged: whole arrays, or a `DataError`."""

from __future__ import annotations

import math
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon.errors import DataError

_END = struct.Struct("<4s4H2LH")
"""A zip archive's end: mark, disk twice, parts on it, parts, size and place of the list, comment."""


def read_npz(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Every array of an archive, by name.

    All of them are checked against the archive's CRCs, and their sizes against what their headers
    promise, before memory is taken. Nothing in a file is ever executed: pickled objects are refused.

    Raises
    ------
    DataError
        No such file, damaged, no ``.npz``, or it holds other things than plain arrays; says which.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise DataError(f"{path} is damaged in {damaged}: restore it from a copy")
            parts = archive.infolist()
            if len(parts) != _promised(Path(path), len(archive.comment)):
                raise DataError(f"{path} is damaged in its list of parts: restore it from a copy")
            return {part.filename.removesuffix(".npy"): _array(path, archive, part) for part in parts}
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # noqa: BLE001 - a damaged archive raises almost anything
        raise DataError(
            f"{path} is damaged or no .npz of plain arrays ({type(error).__name__}: {error})"
        ) from None


def _array(
    path: object, archive: zipfile.ZipFile, part: zipfile.ZipInfo
) -> npt.NDArray[Any]:
    """An array of an archive. Raises almost anything if its header is damaged."""
    if not part.filename.endswith(".npy"):
        raise DataError(f"{path}: {part.filename} is no array: the file is no .npz of plain arrays")
    with archive.open(part) as file:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0,
        }  # fmt: skip
        if version in read:
            shape, _, kind = read[version](file)
            if not kind.hasobject and math.prod(shape) * kind.itemsize != part.file_size - file.tell():
                raise DataError(
                    f"{path}: {part.filename} holds {part.file_size} bytes, which is not what "
                    f"{kind}{list(shape)} takes: the file is damaged"
                )
    with archive.open(part) as file:
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.kind not in "biufcSU":
        raise DataError(f"{path}: {part.filename} holds {array.dtype}, no numbers or text")
    if array.dtype.kind == "U":
        array.tolist()  # raises for numbers that are no letters
    return array


def _promised(path: Path, comment: int) -> int:
    """How many parts an archive says it has, in its last bytes; no CRC guards the list of them."""
    with open(path, "rb") as file:
        file.seek(-_END.size - comment, os.SEEK_END)
        return int(_END.unpack(file.read(_END.size))[4])
