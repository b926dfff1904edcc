"""Running other programs: always with a time limit, and with errors a user can act on."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

from relaxon.errors import ToolError

TIMEOUT = 900.0
"""Seconds any one program may take; the longest known run (Yosys, first use) takes about 75."""
LINES = 20
"""Lines of a failed program's output that an error shows."""


@functools.cache
def _yowasp_cache() -> str | None:
    """Where YoWASP's programs may keep what they compile, if that is not where they would: they end
    where it cannot be written. What is there already is used."""
    usual = platformdirs.user_cache_path("YoWASP", appauthor=False)
    try:
        if not usual.is_absolute():
            raise OSError("the user has no home")
        usual.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=usual) as file:
            file.write(bytes(1 << 16))
            file.flush()
        return None
    except OSError as error:
        warnings.warn(
            f"{usual} cannot be written ({error.strerror or error}): Yosys is compiled in a temporary "
            "folder, for a minute, each time; set YOWASP_CACHE_DIR to a folder that can be written",
            stacklevel=4,
        )  # fmt: skip
    other = tempfile.mkdtemp(prefix="relaxon-")
    atexit.register(shutil.rmtree, other, ignore_errors=True)
    for file in usual.rglob("*") if usual.is_absolute() else ():
        if file.is_file() and os.access(file, os.R_OK):
            link = Path(other, file.relative_to(usual))
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    return other


def environment() -> dict[str, str]:
    """This process's, with a cache for YoWASP's programs that can be written."""
    own = dict(os.environ)
    if "YOWASP_CACHE_DIR" not in own and (place := _yowasp_cache()) is not None:
        own["YOWASP_CACHE_DIR"] = place
    return own


def run(
    command: Sequence[str],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> str:
    """Run a program to its end and return what it wrote (standard output, then errors).

    Parameters
    ----------
    command
        Program and arguments.
    what
        What the program is doing, as the subject of an error: "compiling the board".
    cwd, env, timeout
        As for `subprocess.run`; `env` replaces the whole environment, by default `environment`.

    Raises
    ------
    ToolError
        The program is not there, took too long or failed.
    """
    if env is None:
        env = environment()
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, timeout=timeout, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )
    except FileNotFoundError as error:
        raise ToolError(f"{what} failed: {error.filename} is not there") from None
    except PermissionError as error:
        raise ToolError(f"{what} failed: {error.filename} may not be run") from None
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{what} failed: {Path(command[0]).name} did not end within {timeout:.0f} s"
        ) from None
    output = done.stdout + done.stderr
    if done.returncode:
        tail = "\n".join(output.strip().splitlines()[-LINES:])
        raise ToolError(
            f"{what} failed: {Path(command[0]).name} ended with status {done.returncode}\n{tail}"
        )
    return output
