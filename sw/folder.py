"""A run's folder: it belongs to one run at a time, and what is in it is not lost.

| file             | what                                                          | written          |
|------------------|---------------------------------------------------------------|------------------|
| checkpoint.npz   | the run as it is, for ``relaxon resume``                      | while it goes on |
| couplings.npz    | the machine that was learned                                  | first at its end |
| metrics.json     | its figures                                                   | then             |
| accuracy.png     | accuracy against training samples                             | last             |
| couplings.png    | histograms of the couplings, before and after                 | last             |

A lock file, ``.lock``, tells who is using the folder while somebody is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from relaxon.errors import DataError
from relaxon.files import made_folder, part, probe

CHECKPOINT, COUPLINGS, METRICS = "checkpoint.npz", "couplings.npz", "metrics.json"
PLOTS = ("accuracy.png", "couplings.png")
RESULTS = (COUPLINGS, METRICS, *PLOTS)
LOCK = ".lock"


class Folder:
    """A folder while a run has it to itself; a context manager.

    Parameters
    ----------
    path
        Made if it is not there.
    files
        What will be written into it: tried beforehand. What runs that were killed left of these files
        is removed.

    Raises
    ------
    DataError
        Another run is using it, which is named, or a file cannot be written.
    """

    def __init__(self, path: Path, files: tuple[str, ...] = (CHECKPOINT, *RESULTS)):
        self.path, self._files = path, files
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(made_folder(self.path))
            stack.enter_context(_locked(self.path / LOCK))
            for name in self._files:
                self._forget_leftovers(name)
                probe(self.path / name)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _forget_leftovers(self, name: str) -> None:
        """Remove what processes that were killed left of a file."""
        pattern = part(Path(name), "*")
        before, after = pattern.split("*")
        for each in self.path.iterdir():
            if each.name.startswith(before) and each.name.endswith(after):
                with contextlib.suppress(OSError):
                    each.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock file, ours until the block ends or this process does, however it ends."""
    file = _taken(path)
    try:
        told = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.ctime()}
        file.truncate(0)
        file.write(json.dumps(told) + "\n")
        file.flush()
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            file.close()


def _taken(path: Path) -> IO[str]:
    """The lock file, opened and locked. `DataError` if it is another's."""
    while True:
        try:
            file = open(path, "a+")
        except OSError as error:
            raise DataError(f"{path.parent} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(file)
            file.close()
            raise DataError(
                f"{path.parent} is being used by {owner}: wait for it, or choose another folder"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{path.parent} cannot be locked ({error.strerror}): use it for one run at a time",
                stacklevel=3,
            )
        if _still_there(path, file):
            return file
        file.close()  # whoever had it has removed it just now


def _still_there(path: Path, file: IO[str]) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _owner(file: IO[str]) -> str:
    """Who holds the lock, as far as the file tells."""
    try:
        file.seek(0)
        told = json.loads(file.read())
        return f"process {told['pid']} on {told['host']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
