"""Files that are written whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from relaxon.errors import DataError


def part(path: Path, process: object) -> str:
    """Name of the file that a process makes of a file before it is complete; ``*``: any process."""
    return f".{path.name}.{process}.part"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end, if there was no error.

    It is on the disk before it does. `DataError` if it cannot be written.
    """
    unfinished = path.with_name(part(path, os.getpid()))
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
