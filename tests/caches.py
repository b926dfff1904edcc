"""Folders in which a cache cannot be written, or not be run, and processes to which that applies.

Whoever runs the tests may be root, for whom permissions do not count. So the processes started here have
no capabilities: for them they do.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest

ROOT = os.geteuid() == 0
OTHER = 65534
"""Another user."""
UNKNOWN = 54321
"""A user whom no list of users has."""
_DROP = 24
"""PR_CAPBSET_DROP"""


def python(
    program: str, *arguments: object, home: Path | None, unknown: bool = False, **env: object
) -> subprocess.CompletedProcess[str]:
    """Run a program in an ordinary process.

    Parameters
    ----------
    program, arguments
        Of ``python -c``.
    home
        Where the caches lie; None if the process has neither that nor a home folder.
    unknown
        The user is not known to the system, for which the tests must be run by root; TMPDIR is not
        heeded then.
    env
        More of the environment.
    """
    return command(sys.executable, "-c", program, *arguments, home=home, unknown=unknown, **env)


def command(
    *words: object, home: Path | None, unknown: bool = False, **env: object
) -> subprocess.CompletedProcess[str]:
    """The same for any program."""
    yosys = platformdirs.user_cache_path("YoWASP", appauthor=False)
    tests = os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": tests, "YOWASP_CACHE_DIR": str(yosys)}
    if home is not None:
        kept |= {"XDG_CACHE_HOME": str(home), "HOME": str(home)}
    kept |= {name: str(value) for name, value in env.items()}

    def become_ordinary() -> None:
        if ROOT:
            libc = ctypes.CDLL(None)
            for capability in range(64):
                libc.prctl(_DROP, capability, 0, 0, 0)
            if unknown:
                os.setresuid(UNKNOWN, 0, 0)

    return subprocess.run(
        [str(word) for word in words], env=kept, preexec_fn=become_ordinary, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip


def warnings_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines in which a process warned of its cache; it must have ended well."""
    assert done.returncode == 0, done.stderr
    return [
        line for line in done.stderr.splitlines() if "CacheWarning: " in line or "warning: " in line
    ]


def foreign(folder: Path) -> Path:
    """Make a folder, and all in it, another user's, whom we may not disturb but may read."""
    for path in (folder, *folder.rglob("*")):
        path.chmod((path.stat().st_mode | (0o555 if path.is_dir() else 0o444)) & ~0o222)
        if ROOT:
            os.chown(path, OTHER, OTHER)
    return folder


def ours_again(folder: Path) -> None:
    """Make a foreign folder ours, so that it can be removed."""
    for path in (folder, *folder.rglob("*")):
        if ROOT:
            os.chown(path, 0, 0)
        path.chmod(path.stat().st_mode | 0o200)


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Another file system there, in memory; skips the test where that is not allowed."""
    folder.mkdir(exist_ok=True)
    try:
        _run("mount", "-t", "tmpfs", "-o", ",".join(options) or "size=64m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system may be mounted here: {error}")
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


def remounted(folder: Path, *options: str) -> None:
    """Change the options of what is mounted there."""
    _run("mount", "-o", ",".join(("remount", *options)), str(folder))


def fill_up(folder: Path) -> None:
    """Leave no space in a small file system."""
    with (folder / "large").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass


def _run(*words: str) -> None:
    command: Sequence[str] = words
    subprocess.run(command, check=True, capture_output=True, timeout=60)
