"""Ctrl-C: quiet while a program starts, and kept waiting while a result is being saved."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN = 0.01
"""Seconds until a Ctrl-C that was swallowed is asked for again."""
CODE = 130
"""Exit code of a program that Ctrl-C ended."""


def end_at_once() -> None:
    """Let Ctrl-C end this process on the spot, with a word: there is nothing yet that could be lost.

    Where it is ignored, as in the background of a shell, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def usual() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again; where Python would swallow it, a little later."""
    sys.unraisablehook = _again
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _again(lost: sys.UnraisableHookArgs) -> None:
    """An exception in a finaliser or in a callback of a weak reference goes no further: where that is
    Ctrl-C, it is asked for again, when Python is out of there."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        later = threading.Timer(AGAIN, _thread.interrupt_main)
        later.daemon = True
        later.start()
    else:
        sys.__unraisablehook__(lost)


def _end(*_: object) -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(CODE)


@contextmanager
def waiting() -> Iterator[None]:
    """Keep Ctrl-C waiting until the block is through; `KeyboardInterrupt` is raised then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True

    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
