"""What the command line prints: data as they are, in full, and whatever the reader at the other end.

Text is never taken for markup. A line is wrapped by a terminal, never in a pipe or a file. What cannot
be spelt there is transliterated (``×`` becomes ``x``), a reader that has gone ends nothing, and a full
disk is remembered for the exit code.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
import warnings
from typing import Any, TextIO

from rich.console import Console, ConsoleDimensions
from rich.text import Text

WIDE = 1 << 15
"""Columns of what is no terminal."""
PLAIN = {
    "×": "x", "…": "...", "−": "-", "±": "+-", "λ": "lambda", "κ": "kappa", "σ": "sigma", "·": "*",
    "–": "-", "≥": ">=", "≤": "<=", "✓": "ok", "→": "->", "√": "sqrt", "µ": "u", "“": '"', "”": '"',
}  # fmt: skip
"""What stands for symbols that a stream cannot spell; of others, their number in Unicode."""


class _Console(Console):
    """A console without markup that is as wide as it takes where it is no terminal.

    `kept` says where the results of the command are safe, whatever becomes of what it prints.
    """

    kept: str | None = None

    def __init__(self, **options: Any):
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> ConsoleDimensions:
        """Columns and rows."""
        width, height = super().size
        return ConsoleDimensions(width if self.is_terminal else WIDE, height)

    def on_broken_pipe(self) -> None:
        """The reader has gone: whoever writes to it goes on all the same."""

    def data(self, text: str) -> None:
        """A line of data, letter by letter."""
        self.file.write(text + "\n")

    def say(self, text: object = "", style: str = "") -> None:
        """A line of text as it is."""
        self.print(Text(str(text), style), soft_wrap=True)


out = _Console()
"""Results."""
err = _Console(stderr=True)
"""Progress and errors."""


def warn(text: object) -> None:
    """Something that went wrong and ended nothing."""
    err.print(Text.assemble(("warning: ", "yellow"), str(text)), soft_wrap=True)


def fail(text: object) -> None:
    """What ended a command."""
    err.print(Text.assemble(("error: ", "bold red"), str(text)), soft_wrap=True)


class Stream:
    """Standard output or error, which never raises: `failed` is the first error of the system, if any.

    Parameters
    ----------
    inner
        The stream itself.
    """

    def __init__(self, inner: TextIO):
        self._inner = inner
        self.failed: OSError | None = None
        if hasattr(inner, "reconfigure"):
            inner.reconfigure(errors="relaxon-plain")

    def write(self, text: str) -> int:
        """Write, if that still works."""
        try:
            return self._inner.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write all of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, if that still works."""
        try:
            self._inner.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Throw away what comes from now on, and what is still kept in buffers."""
        self.failed = self.failed or error
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._inner.fileno())
            os.close(nowhere)
            self._inner.flush()
        except OSError:
            pass

    @property
    def lost(self) -> str | None:
        """Why what was written is not where it should be; None where the reader wanted no more."""
        if self.failed is None or self.failed.errno == errno.EPIPE:
            return None
        return self.failed.strerror or str(self.failed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    spelt = (PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in letters)
    return "".join(spelt), error.end


def take_over() -> list[Stream]:
    """Put `Stream`s in the place of standard output and error, and show warnings as lines."""
    codecs.register_error("relaxon-plain", _plain)
    # A stream that was closed before the start is None.
    inner = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))
    sys.stdout, sys.stderr = streams = [Stream(stream) for stream in inner]  # type: ignore[assignment]
    warnings.showwarning = lambda message, *_, **__: warn(message)
    return streams
