"""IDX files, the format of MNIST: a big-endian header, then unsigned bytes; plain or gzipped.

Header: two zero bytes, 0x08 (unsigned byte), the number of dimensions d, then d sizes of 32 bits.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from relaxon.errors import DataError

UNSIGNED_BYTE = 0x08
CHUNK = 1 << 20
"""Bytes unpacked at a time."""


def read_idx(path: str | os.PathLike[str], dimensions: int) -> npt.NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes with so many dimensions.

    Raises `DataError` naming the file if it cannot be read, or its header or length is wrong.
    """
    path, header, data = Path(path), 4 + 4 * dimensions, b""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as file:
            data = file.read(header)
            promised = struct.unpack_from(f">{dimensions}I", data.ljust(header, b"\0"), 4)
            data += _up_to(math.prod(promised) + 1, file)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, EOFError, zlib.error, struct.error, ValueError, MemoryError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if len(data) < header:
        raise DataError(f"{path} ends within its header: {len(data)} of {header} bytes")
    if data[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise DataError(f"{path} is no IDX file of bytes: it starts with {data[:4].hex(' ')}")
    if data[3] != dimensions:
        raise DataError(f"{path} has {data[3]} dimensions, not {dimensions}: is it the right file?")
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    if len(data) != header + math.prod(shape):
        raise DataError(
            f"{path} must hold {math.prod(shape)} bytes for {' × '.join(map(str, shape))}, "
            f"not {len(data) - header}: it is cut short or damaged"
        )
    try:
        return np.frombuffer(data[header:], np.uint8).reshape(shape)
    except ValueError:  # of no bytes at all, and yet too large
        raise DataError(f"{path} cannot have the shape {' × '.join(map(str, shape))}") from None


def _up_to(size: int, file: gzip.GzipFile | IO[bytes]) -> bytes:
    """So many bytes of a file, or all there are; none are kept that its header does not promise."""
    parts = []
    while size > 0 and (part := file.read(min(size, CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
