"""Running other programs: always with a time limit, and with errors a user can act on."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from relaxon.errors import ToolError

TIMEOUT = 900.0
"""Seconds any one program may take; the longest known run (Yosys, first use) takes about 75."""
LINES = 20
"""Lines of a failed program's output that an error shows."""


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
        As for `subprocess.run`; `env` replaces the whole environment.

    Raises
    ------
    ToolError
        The program is not there, took too long or failed.
    """
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
