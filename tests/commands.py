"""Commands of the command line, carried out by tests."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from relaxon import cli


def run(*arguments: object) -> Result:
    """Carry out a command in this process; what it raises beside its exit code fails the test."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def command(*arguments: object) -> list[str]:
    """The program with these arguments."""
    return [sys.executable, "-m", "relaxon", *map(str, arguments)]


def program(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own; `options` are `subprocess.run`'s."""
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE) | options
    return subprocess.run(command(*arguments), text=True, timeout=120, check=False, **streams)
