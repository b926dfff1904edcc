"""A cache of build results, one folder per result, safe with several processes at once.

It lies in the user's cache folder (``~/.cache/relaxon`` on Linux, elsewhere with
``XDG_CACHE_HOME``). Each kind of result keeps its most recently used folders and forgets the
rest; deleting the whole folder at any time is safe and costs only the time to build again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from relaxon.errors import ToolError

KEEP = 100
"""Results kept of each kind; a simulated board takes about 1 MB."""
WAIT = 1800.0
"""Seconds to wait for another process that is building the same thing."""
ABANDONED = 24 * 3600.0
"""Age in seconds at which an unfinished folder is the rest of a process that was killed."""
_LOCKS = 64


def folder() -> Path:
    """Where the cache lies."""
    return platformdirs.user_cache_path("relaxon", appauthor=False)


def clear() -> None:
    """Delete the whole cache."""
    shutil.rmtree(folder(), ignore_errors=True)


def key(*parts: str | bytes) -> str:
    """Name of the result that depends on all of `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


def entry(kind: str, name: str, fill: Callable[[Path], object]) -> Path:
    """The folder of result `name`; if it is not there yet, ``fill(folder)`` makes its content.

    Another process that wants the same result meanwhile waits for this one. A `fill` that raises
    leaves nothing behind. Raises `ToolError` if the cache cannot be written, or after `WAIT`.
    """
    shelf = folder() / kind
    result = shelf / name
    if not result.is_dir():
        try:
            shelf.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(
                f"cannot create the build cache {shelf}: {error.strerror}; "
                "set XDG_CACHE_HOME to a folder that can be written"
            ) from None
        with _lock(shelf / f".lock-{int(name, 16) % _LOCKS}", WAIT):
            if not result.is_dir():
                _make(result, fill)
                _prune(shelf)
    os.utime(result)
    return result


def _make(result: Path, fill: Callable[[Path], object]) -> None:
    """Fill a folder beside `result` and give it that name when it is complete."""
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=result.parent))
    try:
        fill(unfinished)
        unfinished.rename(result)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _prune(shelf: Path) -> None:
    """Forget all but the `KEEP` most recently used results, and what killed processes left."""

    def used(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:  # another process has just removed it
            return 0.0

    folders = [path for path in shelf.iterdir() if path.is_dir()]
    results = [path for path in folders if not path.name.startswith(".")]
    results.sort(key=used, reverse=True)
    rest = [path for path in folders if path.name.startswith(".")]
    stale = [path for path in rest if used(path) < time.time() - ABANDONED]
    for path in results[KEEP:] + stale:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _lock(path: Path, wait: float) -> Iterator[None]:
    """Hold a lock file; it is free again when the process ends, however it ends."""
    deadline = time.monotonic() + wait
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ToolError(
                        f"another process has been building for {wait:.0f} s (it holds {path}); "
                        "end that process and try again"
                    ) from None
                time.sleep(0.05)
        yield
