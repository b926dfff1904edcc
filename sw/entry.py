"""Where the program ``relaxon`` begins: before anything that takes time to import.

Ctrl-C is quiet from here on. What goes wrong on standard output decides the exit code only where nothing
else holds the results (docs/command-line.md has the table of exit codes).
"""

from __future__ import annotations

import os

try:
    import sys

    from relaxon import interrupts
except KeyboardInterrupt:
    os._exit(130)


def main() -> None:
    """The console script."""
    interrupts.end_at_once()
    from relaxon import cli, console
    from relaxon.errors import DataError

    output, errors = console.take_over()
    interrupts.usual()
    try:
        code = cli.run(sys.argv[1:])
    except KeyboardInterrupt:
        console.err.say("interrupted")
        code = interrupts.CODE
    interrupts.end_at_once()
    output.flush()
    if output.lost is not None:
        told = f"standard output cannot be written: {output.lost}"
        if code == 0 and console.out.kept is None:
            console.fail(told)
            code = DataError.exit_code
        else:
            console.warn(told if console.out.kept is None else f"{told}; {console.out.kept}")
    errors.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
