"""A process in which everything is imported and compiled, and which forks a child for each command.

It is started by `tests/test_faulty_writes.py` with the library of `faulty_writes.c` loaded beforehand.
A line of JSON on its standard input is a `Job`; it answers with a line for each (`ended`). In the child
the chosen system call fails, and the whole of `relaxon.entry.main` runs, as in a program of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

PATIENCE = 120
"""Seconds after which a command is killed."""
UNFLUSHED = 120
"""Exit code of a Python whose standard output cannot be flushed at its end."""


def carry_out(job: dict[str, Any]) -> None:
    """A command, in the child: it never comes back."""
    from relaxon import console, entry

    library = ctypes.CDLL(None)
    signal.alarm(PATIENCE)
    os.chdir(job["folder"])
    console.out.kept = None
    for fd, name in ((1, "out"), (2, "err")):
        if name in job:
            opened = os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(opened, fd)
    sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))
    sys.argv = ["relaxon", *job["arguments"]]
    code: Any = 0
    library.faulty_writes_arm(ctypes.c_long(job["which"]), job["error"], job["persistent"])
    try:
        if job.get("serve"):
            served(job["serve"])
        else:
            entry.main()
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        code = traceback.format_exc()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except OSError:
        code = code or UNFLUSHED
    library.faulty_writes_disarm()
    told = {"code": code, "calls": library.faulty_writes_calls()}
    unfinished = Path(job["ended"] + ".unfinished")
    unfinished.write_text(json.dumps(told))
    unfinished.rename(job["ended"])
    os._exit(0)


def served(port: int) -> None:
    """What `relaxon serve` does, with a twin in the place of the simulated board."""
    from relaxon import Config, console, report
    from relaxon.errors import RelaxonError
    from relaxon.sim.serve import serve
    from relaxon.sim.twin import Twin, TwinTransport

    console.take_over()
    config = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)
    try:
        serve(
            config, tcp=("127.0.0.1", port), link=Path("board"),
            board=lambda: TwinTransport(Twin(config)), announce=report.out.say,
        )  # fmt: skip
    except RelaxonError as error:
        console.fail(error)
        sys.exit(error.exit_code)


def drawn(*arguments: Any) -> None:
    """Writes a file as a plot does, and takes no time."""
    from relaxon.files import replacing

    path = next(each for each in arguments if isinstance(each, Path))
    with replacing(path) as file:
        file.write(b"a plot")


def main() -> None:
    """Import all, try all, then fork."""
    import relaxon.plots

    relaxon.plots.plot_accuracy = relaxon.plots.plot_couplings = drawn  # type: ignore[assignment]
    from relaxon import cli, console

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for command in json.loads(sys.argv[1]):
        assert cli.run(command) == 0, command
    assert console.out.kept
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            carry_out(job)
        print(child, file=answers, flush=True)
        if not job.get("serve"):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
        print("ended", file=answers, flush=True)


if __name__ == "__main__":
    main()
