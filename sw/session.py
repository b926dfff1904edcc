"""Transactions: every command executed exactly once, in order, however the link behaves.

Commands are pipelined: up to `WINDOW` frames, and no more bytes than the board's receive buffer
holds, are under way at once. The board executes a sequence number once and keeps its replies, so
sending a frame again is always safe (`relaxon.protocol`). Frames are sent again

* when the board says that one is missing (OUT_OF_SEQUENCE): all that have no reply,
* when a later reply arrives, so this one was lost: the oldest,
* when nothing arrives for a while: all that have no reply; the while doubles each time.

A board that was reset on the way takes no command until somebody opens it (OPEN), which a session
does once, at its beginning: so it cannot learn the rest of a stream whose beginning it lost.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from relaxon import protocol
from relaxon.errors import CommandError, IdentityError, LinkError, ResetError
from relaxon.framing import DELIMITER_BYTE, Deframer, encode
from relaxon.protocol import CRC_BYTES, HEADER_BYTES, STATUS_HELP, WINDOW, Opcode, Status
from relaxon.transport import Transport

LARGEST_REPLY = 0xFFFF
"""No board sends a longer payload: `slot_bytes` has 16 bits."""
_AWAY = 128
"""Distance from the expected sequence number at which no command is under way."""


@dataclass(frozen=True)
class Identity:
    """What a board says it is; the fields are those of `relaxon.protocol.IDENTITY`."""

    nonce: int
    version: int
    expected: int
    opened: int
    build: int
    modules: int
    neurons: int
    inputs: int
    classes: int
    weight_bits: int
    recurrent_bits: int
    readout_bits: int
    lanes: int
    store: int
    field_bits: int
    rx_bytes: int
    slot_bytes: int
    clock_hz: int
    features: int


@dataclass
class Statistics:
    """What the link did so far.

    `frames` were sent for the first time, `retransmissions` again, after `time_outs` waits in
    vain, `gaps` answers OUT_OF_SEQUENCE, or `lost_replies` found missing; `stale` answers
    belonged to nothing under way; `resynchronised` counts the new starts after an interruption.
    """

    frames: int = 0
    retransmissions: int = 0
    time_outs: int = 0
    gaps: int = 0
    lost_replies: int = 0
    stale: int = 0
    resynchronised: int = 0


class _Sent:
    """A frame under way: `wire` is what was sent, `size` its payload's bytes, `reply` a message."""

    __slots__ = ("hurried", "opcode", "reply", "sequence", "size", "wire")

    def __init__(self, sequence: int, command: bytes, size: int):
        self.sequence = sequence
        self.opcode = command[0]
        self.wire = encode(bytes((sequence,)) + command)
        self.size = size
        self.reply: bytes | None = None
        self.hurried = False


class Session:
    """A conversation with one board. A *command* is an opcode byte and its body.

    Parameters
    ----------
    transport
        Closed by `close`.
    timeout
        Seconds without any progress after which a wait gives up with `LinkError`.
    retry
        Seconds after which a silent board is asked again, at first.

    Raises
    ------
    LinkError
        Nothing answers.
    IdentityError
        The board speaks another protocol version.

    Attributes
    ----------
    identity
        What the board said when it was opened.
    fresh
        Nobody had opened it since power-up.
    """

    def __init__(self, transport: Transport, *, timeout: float = 5.0, retry: float = 0.1):
        self.transport = transport
        self.timeout = timeout
        self.retry = min(retry, timeout / 8)
        self.statistics = Statistics()
        self._deframer = Deframer(LARGEST_REPLY)
        self._window: deque[_Sent] = deque()
        self._in_flight = 0  # payload bytes of the frames in _window
        self._pace = 0.0
        self._patience = self.retry
        self._expected: int | None = None  # by OUT_OF_SEQUENCE, until dealt with
        self._closed = False  # it says so, until dealt with
        self._owner: object | None = None  # the run under way, or interrupted
        self.fresh = False
        self.identity = self._greet(Opcode.OPEN)
        self._next = self.identity.expected

    @property
    def bad_frames(self) -> int:
        """Frames from the board that were dropped: broken encoding, wrong CRC, too long."""
        return self._deframer.bad_frames + self._deframer.oversized

    # ---- commands ---------------------------------------------------------------------------

    def call(self, command: bytes) -> bytes:
        """The reply's body of one command."""
        (body,) = self.run([command])
        return body

    def run(self, commands: Iterable[bytes]) -> Iterator[bytes]:
        """Execute commands in order and yield their replies' bodies in order, pipelined.

        An iteration that is abandoned or interrupted (Ctrl-C) leaves the session usable: the next
        call first finds out how far the board got. Commands already sent may have been executed.

        Raises
        ------
        CommandError
            The board refused a command; those sent after it may have been executed.
        LinkError
            No progress within `timeout`; or another run has begun meanwhile.
        ResetError
            The board was reset.
        """
        owner = self._claim()
        source = iter(commands)
        command = next(source, None)
        while True:
            fresh = []
            while command is not None and self._fits(command):
                fresh.append(self._issue(command).wire)
                command = next(source, None)
            if fresh:
                self.statistics.frames += len(fresh)
                self.transport.write(b"".join(fresh))
            if not self._window:
                break
            self._wait()
            while self._window and (reply := self._window[0].reply) is not None:
                sent = self._window.popleft()
                self._in_flight -= sent.size
                if reply[1] != Status.OK:
                    raise _refused(sent.opcode, reply[1])
                yield reply[HEADER_BYTES:]
                if self._owner is not owner:
                    raise LinkError("this stream of commands was given up when another one began")
        self._owner = None

    def resynchronise(self) -> None:
        """Ask the board how far it got and go on from there; replies under way are given up.

        Raises `ResetError` if it was reset, `LinkError` if it is at a place where no command of this
        session can have put it.
        """
        self.statistics.resynchronised += 1
        identity = self._greet(Opcode.HELLO)
        self._check_place(identity)
        self._window.clear()
        self._in_flight = 0
        self._next = identity.expected
        self._owner = None

    def close(self) -> None:
        """Close the transport; twice is once."""
        self.transport.close()

    # ---- sending ----------------------------------------------------------------------------

    def _claim(self) -> object:
        """The right to use the link, taken from whoever had it."""
        if self._owner is not None:
            self.resynchronise()
        self._owner = owner = object()
        return owner

    def _fits(self, command: bytes) -> bool:
        """Whether window and byte credit allow one more frame."""
        size, credit = len(command) + 1 + CRC_BYTES, self.identity.rx_bytes
        if size > credit:
            raise LinkError(
                f"a frame of {size} bytes does not fit the board's receive buffer of {credit}"
            )
        return len(self._window) < WINDOW and self._in_flight + size <= credit

    def _issue(self, command: bytes) -> _Sent:
        """Give a command its sequence number; it counts as under way before any byte is sent."""
        sent = _Sent(self._next, command, len(command) + 1 + CRC_BYTES)
        self._window.append(sent)
        self._in_flight += sent.size
        self._next = (self._next + 1) & 0xFF
        return sent

    def _resend(self) -> None:
        """Send every frame again that has no reply."""
        frames = [sent.wire for sent in self._window if sent.reply is None]
        self.statistics.retransmissions += len(frames)
        # The delimiter first: half of an earlier frame may wait at the board for its end.
        self.transport.write(DELIMITER_BYTE + b"".join(frames))

    # ---- waiting ----------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until the oldest frame has its reply."""
        oldest = self._window[0]
        began = now = time.monotonic()
        deadline, patience, clean = began + self.timeout, self._patience, True
        again = began + patience
        while oldest.reply is None:
            arrived = self._receive(min(again, deadline) - now)
            now = time.monotonic()
            if arrived:  # not silent, even if it was nothing new: do not press it
                again = now + patience
            if oldest.reply is not None:
                break
            if now >= deadline:
                raise self._silence(oldest)
            if self._closed:
                self._check_place(self._greet(Opcode.HELLO))
                self._resend()
                clean = False
            elif self._expected is not None:
                self._bridge_gap(self._expected)
                clean = False
            elif not oldest.hurried and any(sent.reply for sent in self._window):
                self.statistics.lost_replies += 1
                self.statistics.retransmissions += 1
                oldest.hurried = True
                self.transport.write(DELIMITER_BYTE + oldest.wire)
                clean = False
            elif now >= again:
                self.statistics.time_outs += 1
                self._resend()
                clean = False
                self._patience = patience = min(2 * patience, self.timeout / 8)
                again = now + patience
        if clean:  # as TCP does: only what was sent once tells how quick the board is
            self._pace = max(now - began, 0.9 * self._pace)
            self._patience = min(max(self.retry, 3 * self._pace), self.timeout / 8)
        else:  # less than it grows with a wait in vain, so that a slow board gets its time
            self._patience = max(self.retry, 0.7 * self._patience)

    def _receive(self, timeout: float) -> bool:
        """File what arrives from the board; whether that was any message."""
        messages = self._deframer.feed(self.transport.read(max(0.0, timeout)))
        for message in messages:
            self._take(message)
        return bool(messages)

    def _take(self, message: bytes) -> None:
        """File one message: the reply of a frame under way, a complaint, or nothing of interest."""
        if message[1] == Status.CLOSED:
            self._closed = True
            return
        if message[1] == Status.OUT_OF_SEQUENCE:
            if len(message) == HEADER_BYTES + protocol.EXPECTED.size:
                self._expected = message[HEADER_BYTES]
            return
        index = (message[0] - self._window[0].sequence) & 0xFF
        if index < len(self._window) and self._window[index].reply is None:
            self._window[index].reply = message
        else:
            self.statistics.stale += 1

    def _bridge_gap(self, expected: int) -> None:
        """The board misses a frame. If it cannot be one of ours, ask before believing it."""
        self._expected = None
        self.statistics.gaps += 1
        if not self._possible(expected):
            self._check_place(self._greet(Opcode.HELLO))
        self._resend()

    def _possible(self, expected: int) -> bool:
        """Whether a board that executed some of the frames under way can expect this number."""
        oldest = self._window[0].sequence if self._window else self._next
        return (expected - oldest) & 0xFF <= len(self._window)

    def _check_place(self, identity: Identity) -> None:
        """Raise unless this is the board of before, at a place where this session can be."""
        if _lasting(identity) != _lasting(self.identity):
            raise IdentityError("another board has taken the place of this one: open it again")
        if not identity.opened:
            raise ResetError(
                "the board was powered up or reset since it was opened, and its couplings are gone: "
                "open it again, load the couplings, and go on from there"
            )
        if not self._possible(identity.expected):
            raise LinkError(
                f"the board lost its place: it expects sequence number {identity.expected}, which "
                f"is none of this session's {len(self._window)} outstanding ones; somebody else uses "
                "it: open it again and load the couplings"
            )

    def _silence(self, oldest: _Sent) -> LinkError:
        broken = f" ({self.bad_frames} broken frames arrived)" if self.bad_frames else ""
        return LinkError(
            f"no answer for {self.timeout:g} s{broken}: {len(self._window)} commands outstanding, "
            f"the oldest {_name(oldest.opcode)} with sequence number {oldest.sequence}; is the "
            "board still powered and connected?"
        )

    # ---- greeting ---------------------------------------------------------------------------

    def _greet(self, opcode: Opcode) -> Identity:
        """The board's identity, after everything that was still under way has gone by.

        HELLO goes first: its answer tells which sequence number the second greeting, of `opcode`, may
        bear so that no copy of its answer can be taken for a command's reply.
        """
        self._deframer.reset()
        self._expected, self._closed = None, False
        first = self._ask(Opcode.HELLO, 0)
        if opcode is Opcode.OPEN:
            self.fresh = not first.opened
        return self._ask(opcode, (first.expected + _AWAY) & 0xFF)

    def _ask(self, opcode: Opcode, sequence: int) -> Identity:
        """One greeting and its answer; each repetition has a nonce of its own, the last one counts."""
        patience, now = self.retry, time.monotonic()
        deadline = now + self.timeout
        while now < deadline:
            nonce = secrets.randbits(32)
            greeting = bytes((sequence, opcode)) + protocol.HELLO.pack(nonce=nonce)
            self.transport.write(DELIMITER_BYTE + encode(greeting))
            again = min(now + patience, deadline)
            patience = min(2 * patience, self.timeout / 8)
            while (now := time.monotonic()) < again:
                for message in self._deframer.feed(self.transport.read(again - now)):
                    ours = message[:HEADER_BYTES] == bytes((sequence, Status.OK))
                    if ours and (identity := _identity(message[HEADER_BYTES:], nonce)):
                        return identity
                    self.statistics.stale += 1
        hint = (
            f"{self.bad_frames} broken frames arrived: is the baud rate right?"
            if self.bad_frames
            else "is it powered, running Relaxon, and is this the right port and baud rate?"
        )
        raise LinkError(f"the board did not answer within {self.timeout:g} s; {hint}")


def _lasting(identity: Identity) -> Identity:
    """What does not change while a board runs."""
    return replace(identity, nonce=0, expected=0, opened=0)


def _identity(body: bytes, nonce: int) -> Identity | None:
    """The identity in HELLO's answer, or None if it answers another question.

    Every protocol version begins with nonce and version.
    """
    offset, size = protocol.IDENTITY.offsets()["version"]
    if len(body) < offset + size or body[:offset] != protocol.HELLO.pack(nonce=nonce):
        return None
    version = body[offset]
    if version != protocol.VERSION:
        raise IdentityError(
            f"the board speaks protocol version {version}, this host {protocol.VERSION}: "
            "install the matching release or flash the board anew"
        )
    if len(body) != protocol.IDENTITY.size:
        return None
    return Identity(**protocol.IDENTITY.unpack(body))


def _name(opcode: int) -> str:
    try:
        return Opcode(opcode).name
    except ValueError:
        return f"opcode 0x{opcode:02x}"


def _refused(opcode: int, status: int) -> CommandError:
    try:
        reason = f"{Status(status).name} ({STATUS_HELP[Status(status)]})"
    except ValueError:
        reason = f"status 0x{status:02x}, which this host does not know"
    return CommandError(f"the board refused {_name(opcode)}: {reason}")
