"""A cache of build results, one folder per result, safe with several processes at once.

It lies in the user's cache folder (``~/.cache/relaxon`` on Linux, elsewhere with
``XDG_CACHE_HOME``). Each kind of result keeps its most recently used folders and forgets the
rest; deleting the whole folder at any time is safe and costs only the time to build again.

Nothing depends on it. Every result is verified each time before it is handed out
(`relaxon.sim.manifest`); what is damaged is built again. Where nothing can be written (a read-only or
full disk, another user's folder, no home), results that are ready there are used all the same, and
what is not goes to a temporary folder of this process. A `CacheWarning` says so, once.

Users may share a cache (``XDG_CACHE_HOME``, permissions by the umask): libraries are loaded from it,
so everybody who can write there must be trusted. A manifest tells damage, not malice.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import functools
import hashlib
import os
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from relaxon.errors import ToolError
from relaxon.sim import manifest

KEEP = 100
"""Results kept of each kind; a simulated board takes about 3 MB."""
WAIT = 1800.0
"""Seconds to wait for another process that is building the same thing."""
ABANDONED = 24 * 3600.0
"""Age in seconds at which an unfinished folder is the rest of a process that was killed."""
FULL = 64 << 20
"""Bytes: where a tool failed and fewer are free, the disk may be why."""
FILES = "files"
"""The folder in a result's own that holds what was made; beside it there is the manifest."""
ADVICE = "set XDG_CACHE_HOME to a folder that can be written"

_LOCKS = 64
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that are a disk's, whatever was done there."""

Fill = Callable[[Path], object]


class CacheWarning(UserWarning):
    """The cache could not be used as it should: why, and what was done instead."""


class _Unusable(Exception):
    """Nothing can be kept here; the text says why."""


def folder() -> Path:
    """Where the cache lies. RuntimeError, or a path that begins with "~", where no home is known."""
    return platformdirs.user_cache_path("relaxon", appauthor=False)


def clear() -> None:
    """Delete the whole cache."""
    with suppress(_Unusable):
        shutil.rmtree(_home(), ignore_errors=True)
    if temporary.cache_info().currsize:
        shutil.rmtree(temporary(), ignore_errors=True)
        temporary.cache_clear()


def key(*parts: str | bytes) -> str:
    """Name of the result that depends on all of `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


def find(kind: str, name: str) -> Path | None:
    """The folder of result `name` if it is there and is what was written, else None."""
    for place in _places():
        result = place / kind / name
        if _verified(result):
            with suppress(OSError):  # another user's, or on a read-only disk
                os.utime(result)
            return result / FILES
    return None


def place(kind: str, name: str) -> Path:
    """The folder of result `name`, or where it would be; nothing is there then."""
    found = find(kind, name)
    if found is not None:
        return found
    with suppress(_Unusable):
        result = _home() / kind / name
        if not os.path.lexists(result):
            return result / FILES
    return temporary() / kind / name / FILES


def entry(kind: str, name: str, fill: Fill, *, wait: float | None = None) -> Path:
    """The folder of result `name`; if it is not there yet, ``fill(folder)`` makes its content.

    Another process that wants the same result meanwhile waits for this one. A `fill` that raises
    leaves nothing behind; where the disk is why it did, it is called again for a temporary folder.

    Parameters
    ----------
    kind
        What has the same kind is kept and forgotten together.
    name
        A `key`.
    fill
        Writes files into the empty folder that it is given.
    wait
        Seconds to wait for another process, `WAIT` by default.

    Raises
    ------
    ToolError
        Neither the cache nor a temporary folder can be written, or another process took too long.
    """
    found = find(kind, name)
    if found is not None:
        return found
    wait = WAIT if wait is None else wait
    try:
        return _built(_home() / kind, name, fill, wait)
    except _Unusable as error:
        why = str(error)
    spare = temporary()
    say_once(
        "fallback",
        f"{why}, so what is built now is forgotten when this process ends; to keep it, {ADVICE}",
    )
    try:
        return _built(spare / kind, name, fill, wait)
    except _Unusable as error:
        text = f"nothing can be built: {why}, and {error}; {ADVICE} and has space"
        if isinstance(error.__cause__, ToolError):
            text += f"\n{error.__cause__}"
        raise ToolError(text) from None


@functools.cache
def temporary() -> Path:
    """A folder of this process, removed when it ends. `ToolError` if there can be none."""
    try:
        made = Path(tempfile.mkdtemp(prefix="relaxon-"))
    except OSError as error:
        raise ToolError(
            f"a temporary folder cannot be made: {_words(error)}; "
            "set TMPDIR to a folder that can be written"
        ) from None
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # and not a fork
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(remove)
    return made


def trouble() -> str | None:
    """Why nothing can be kept in the cache; None if it can. Tries to write there."""
    try:
        home = _home()
        with _writing(home):
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home) as file:
                file.write(bytes(1 << 16))
                file.flush()
                os.fsync(file.fileno())
    except _Unusable as error:
        return str(error)
    return None


def noexec(path: Path) -> bool:
    """Whether nothing that lies there may be run: what is mounted so is no place for libraries."""
    try:
        return bool(os.statvfs(path).f_flag & getattr(os, "ST_NOEXEC", 0))  # Linux has it
    except OSError:
        return False


_said: set[str] = set()


def say_once(about: str, text: str) -> None:
    """Warn of what is done without the cache, the first time in this process that it is about this."""
    if about not in _said:
        _said.add(about)
        warnings.warn(text, CacheWarning, stacklevel=3)


# ---- places -------------------------------------------------------------------------------------


def _home() -> Path:
    """The user's cache; raises `_Unusable` if no one knows where that is."""
    try:
        home = folder()
    except (OSError, RuntimeError, KeyError):
        home = Path("~")
    if home.parts[:1] == ("~",):
        raise _Unusable("no home folder is known for the cache (HOME is not set)")
    return home


def _places() -> Iterator[Path]:
    """Where results may be ready."""
    with suppress(_Unusable):
        yield _home()
    if temporary.cache_info().currsize:
        yield temporary()


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    """An error of the operating system means that results cannot be kept here."""
    try:
        yield
    except OSError as error:
        raise _Unusable(f"{where} cannot be written ({_words(error)})") from error


def _words(error: OSError) -> str:
    return error.strerror or str(error)


# ---- results ------------------------------------------------------------------------------------


def _built(shelf: Path, name: str, fill: Fill, wait: float) -> Path:
    """The result on this shelf, made now unless another process has made it meanwhile."""
    result = shelf / name
    with _lock(shelf / f".lock-{int(name, 16) % _LOCKS}", wait):
        if not _verified(result):
            with _writing(shelf):
                _remove(result)
            _make(result, fill)
            _prune(shelf)
    return result / FILES


def _make(result: Path, fill: Fill) -> None:
    """Fill a folder beside `result` and give it that name when it is complete, and on the disk."""
    unfinished = result.with_name(f".unfinished-{secrets.token_hex(8)}")
    with _writing(result.parent):
        unfinished.mkdir()  # with the permissions that the umask gives: others may use it
    try:
        with _writing(result.parent):
            (unfinished / FILES).mkdir()
        try:
            fill(unfinished / FILES)
        except (OSError, ToolError) as error:
            why = _blame(error, unfinished)
            if why is None:
                raise
            raise _Unusable(f"{result.parent} cannot be written ({why})") from error
        with _writing(result.parent):
            manifest.seal(unfinished)
            try:
                unfinished.rename(result)
            except OSError:  # on a disk without locks, another process may have been first
                if not _verified(result):
                    raise
            manifest.sync(result.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _blame(error: OSError | ToolError, unfinished: Path) -> str | None:
    """What is wrong with the disk, if that is why a folder could not be filled."""
    if not unfinished.is_dir():
        return "it was deleted meanwhile"
    if isinstance(error, OSError):
        within = str(error.filename).startswith(str(unfinished))
        if error.errno in _DISK or (within and error.errno in (errno.EACCES, errno.EPERM)):
            return _words(error)
        return None
    for number in _DISK:  # a program said it
        if os.strerror(number) in str(error):
            return os.strerror(number)
    free = shutil.disk_usage(unfinished).free
    return f"only {free >> 20} MB are free" if free < FULL else None


def _verified(result: Path) -> bool:
    """Whether a result is there, and every file of it is what was written.

    One without a manifest is as good as none: an older version's, or just being removed.
    """
    if not (manifest.sealed(result) and os.path.isdir(result / FILES)):
        return False
    why = manifest.damage(result)
    if why is not None and manifest.sealed(result):  # and has not just been removed
        say_once(str(result), f"the cached {result} is damaged ({why}); it is built again")
    return why is None


def _remove(result: Path) -> None:
    """Remove a result, at once for all who look for it."""
    if os.path.lexists(result):
        gone = result.with_name(f".removed-{secrets.token_hex(8)}")
        result.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _prune(shelf: Path) -> None:
    """Forget all but the `KEEP` most recently used results, and what killed processes left."""

    def used(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:  # another process has just removed it
            return 0.0

    with suppress(OSError):  # others' results may not be ours to remove
        folders = [path for path in shelf.iterdir() if path.is_dir()]
        results = [path for path in folders if not path.name.startswith(".")]
        results.sort(key=used, reverse=True)
        rest = [path for path in folders if path.name.startswith(".")]
        for path in rest:
            if used(path) < time.time() - ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
        for path in results[KEEP:]:
            with suppress(OSError):
                _remove(path)


@contextmanager
def _lock(path: Path, wait: float) -> Iterator[None]:
    """Hold a lock file; it is free again when the process ends, however it ends."""
    deadline = time.monotonic() + wait
    with _writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = _opened(path)
    try:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ToolError(
                        f"another process has been building for {wait:.0f} s (it holds {path}); "
                        "end that process and try again"
                    ) from None
                time.sleep(0.05)
            except OSError:  # a file system without locks: the first to finish wins
                break
        yield
    finally:
        os.close(opened)


def _opened(path: Path) -> int:
    """A lock file, made if it is not there; another user's can only be read, which is enough."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        if not path.is_file():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
