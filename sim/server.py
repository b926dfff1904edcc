"""The loop that carries bytes between a board and the host that uses it."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from relaxon.sim.doors import Door
from relaxon.transport import Transport

_BOARD_WAIT = 0.005
"""Seconds for the board at a stretch while it may have something to say."""
_IDLE_WAIT = 0.25
"""Seconds at a stretch for hosts, while the board has nothing to say."""
_TURN_CHUNKS = 16
"""Pieces taken from one host before the others and the board have their turn."""


class Server:
    """A board behind doors; used as a context manager, which closes everything.

    A host that has come in by a door that knows (TCP) has the board to itself until it leaves.
    While there is none, the other door (a pseudo-terminal, which does not know) is listened to.
    Newcomers are turned away while a host is in.

    Parameters
    ----------
    board
        Closed by `close`.
    announce
        Told where the board can be reached, and who is turned away.
    """

    def __init__(self, board: Transport, announce: Callable[[str], object] = print):
        self.board = board
        self._announce = announce
        self.doors: list[Door] = []
        self._stopped = False
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._board_busy = False

    def add(self, door: Door) -> None:
        """Serve at one more door."""
        self.doors.append(door)
        self.announce(door.notice)

    def announce(self, line: str) -> None:
        """Tell it; a reader that has gone, or a full disk, ends no server."""
        with contextlib.suppress(OSError):
            self._announce(line)

    def run(self) -> None:
        """Serve until `stop`. Raises `LinkError` if the board fails, whatever hosts do."""
        while not self._stopped:
            self._turn()

    def stop(self) -> None:
        """End `run` soon; from any thread or signal handler."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def close(self) -> None:
        """Close board and doors; twice is once."""
        for door in self.doors:
            door.close()
        self.board.close()
        self._wake.close()
        self._woken.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        readers = [self._woken.fileno()] + [fd for door in self.doors for fd in door.read_from()]
        writers = [fd for door in self.doors for fd in door.write_to()]
        select.select(readers, writers, [], 0 if self._board_busy else _IDLE_WAIT)
        for door in self.doors:
            door.flush()
            guest = self._guest()  # before reading: what a leaving host said last still counts
            for _ in range(_TURN_CHUNKS):
                if not (data := door.receive()):
                    break
                if door is guest:
                    self.board.write(data)
                    self._board_busy = True
        for door in self.doors:
            if (who := door.turned_away(self._free)) is not None:
                self.announce(f"turned away {who}: the board is in use")
        known = any(door.connected for door in self.doors)
        for door in self.doors:
            door.bar(known)
        if self._board_busy:
            self._listen_to_board()

    def _free(self) -> bool:
        """Whether no host is in."""
        return not any(door.taken() for door in self.doors)

    def _guest(self) -> Door | None:
        """The door whose host has the board."""
        inside = [door for door in self.doors if door.connected]
        others = [door for door in self.doors if not door.knows_its_host]
        return next(iter(inside + others), None)

    def _listen_to_board(self) -> None:
        began = time.monotonic()
        data = self.board.read(_BOARD_WAIT)
        if data:
            if (guest := self._guest()) is not None:
                guest.send(data)
        elif time.monotonic() - began < _BOARD_WAIT / 2:
            self._board_busy = False  # back early with nothing: the board is at rest
