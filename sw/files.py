"""Files that are written whole or not at all, whatever happens meanwhile.

A file is written beside its place, brought to the disk, and renamed: whoever looks sees the old file or
the whole new one. What is no regular file (a device, a pipe) is written to as it is, and a symbolic link
stays what it is: the file that it names is replaced.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from relaxon.errors import DataError

_LONGEST = 200
"""Letters of a file's name that its unfinished part repeats: names have 255 bytes at most."""


def part(path: Path, process: object) -> str:
    """Name of the file that a process makes of a file before it is complete; ``*``: any process."""
    return f".{path.name[:_LONGEST]}.{process}.part"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end, if there was no error.

    It is on the disk before it does. `DataError` if it cannot be written.
    """
    try:
        with _replacing(path) as file:
            yield file
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    if _special(path):
        with open(path, "wb") as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(part(target, os.getpid()))
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
        sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _special(path: Path) -> bool:
    """Whether it is there, and neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def make_folder(path: Path) -> None:
    """Make a folder and those it lies in. `DataError` if that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path} cannot be made: {error.strerror}") from None


@contextlib.contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """A folder, made if it is not there; what was made and is empty at the end goes again."""
    new = [each for each in (path, *path.parents) if not each.exists()]
    make_folder(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for each in new:
                each.rmdir()


def probe(path: Path) -> None:
    """Find out whether a file can be written, before it is due; its folder is made.

    Nothing is left of it. `DataError` if it cannot be written.
    """
    with made_folder(path.parent):
        if path.is_dir():
            raise DataError(f"{path} cannot be written: it is a folder")
        if _special(path):
            return
        target = Path(os.path.realpath(path))
        unfinished = target.with_name(part(target, os.getpid()))
        try:
            with open(unfinished, "wb") as file:
                file.write(b"\0")
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink()


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 (halves of letters as numbers), making the folder. `DataError` if that cannot
    be done."""
    make_folder(path.parent)
    with replacing(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def write_json(path: Path, values: Any) -> None:
    """Write values as JSON, making the folder. `DataError` if that cannot be done."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table, quoted as RFC 4180 asks, making the folder. `DataError` if that cannot be done."""
    text = io.StringIO()
    table = [header, *rows]
    # Python quotes no "\r" where lines end in "\n", and yet takes it for the end of one.
    odd = any("\r" in str(value) for row in table for value in row)
    csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL
    ).writerows(table)
    write_text(path, text.getvalue())


def copy(file: Path, folder: Path) -> None:
    """Copy a file into a folder, which is made. `DataError` if that cannot be done."""
    make_folder(folder)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    with replacing(folder / file.name) as target:
        target.write(content)
