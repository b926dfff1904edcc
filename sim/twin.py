"""The link's reference model: a board as the host sees it, byte for byte, with no clock.

Each frame is executed the moment it is complete, by `relaxon.sim.model`. What a board does with
frames that are broken, repeated, out of order or wrong is stated in ``docs/protocol.md``; this is
the executable form of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from relaxon import protocol
from relaxon.config import Config
from relaxon.errors import LinkError
from relaxon.framing import DELIMITER_BYTE, Deframer, encode
from relaxon.layout import Layout
from relaxon.protocol import (
    ACCESS,
    EXPECTED,
    GREETINGS,
    HEADER_BYTES,
    HELLO,
    IDENTITY,
    OUTCOME,
    SELF_TEST,
    SLOTS,
    TRAIN,
    Feature,
    Opcode,
    Space,
    Status,
    Verdict,
)
from relaxon.selftest import Script, signature
from relaxon.sim.memory import Memory
from relaxon.sim.model import Result
from relaxon.transport import Transport


class Twin:
    """A board at the end of a link, just powered up.

    Parameters
    ----------
    config
        The machine; its registers are in force.
    build, clock_hz
        What HELLO answers.
    about
        The text of Space.BUILD.
    self_test
        The signature that its self-test expects; None is a board without one.
    """

    def __init__(
        self, config: Config, build: int = 0, clock_hz: int = 0, *, about: bytes = b"",
        self_test: int | None = None,
    ):
        self.config = config
        self.layout = Layout(config)
        self.about = about
        self.build, self.clock_hz = build, clock_hz
        self._self_test = self_test
        self.reset()

    def reset(self) -> None:
        """Power-cycle the board."""
        self.memory = Memory(self.config, self.about)
        self._deframer = Deframer(self.layout.rx_bytes)
        self._expected = 0
        self._opened = False
        self._slots: list[tuple[int, bytes] | None] = [None] * SLOTS
        self._gap_told = False

    def feed(self, data: bytes) -> bytes:
        """What the board sends in answer to these bytes."""
        answer = b""
        for piece in _frames(data):
            bad, oversized = self._deframer.bad_frames, self._deframer.oversized
            messages = self._deframer.feed(piece)
            if self._deframer.bad_frames > bad:
                self.memory.count("bad_frames")
            if self._deframer.oversized > oversized:
                self.memory.count("overflows")
            for message in messages:
                self.memory.count("frames")
                answer += self._receive(message)
        return answer

    # ---- sequence ---------------------------------------------------------------------------

    def _receive(self, message: bytes) -> bytes:
        """The encoded answer to a frame that arrived whole; empty if there is none."""
        sequence, opcode, body = message[0], message[1], message[HEADER_BYTES:]
        if opcode in GREETINGS and len(body) == HELLO.size:
            self._gap_told = False
            reply = _reply(sequence, Status.OK, self._identity(body))
            self._opened = self._opened or opcode == Opcode.OPEN
            return reply
        if not self._opened:
            self.memory.count("out_of_sequence")
            return _reply(sequence, Status.CLOSED, EXPECTED.pack(expected=self._expected))
        if sequence == self._expected:
            status, answer = self._execute(opcode, body)
            if status is not Status.OK:
                self.memory.count("refused")
            reply = _reply(sequence, status, answer)
            self._slots[sequence % SLOTS] = (sequence, reply)
            self._expected = (sequence + 1) & 0xFF
            self._gap_told = False
            return reply
        slot = self._slots[sequence % SLOTS]
        behind = (self._expected - sequence) & 0xFF
        if 1 <= behind < SLOTS and slot is not None and slot[0] == sequence:
            self.memory.count("duplicates")
            return slot[1]
        self.memory.count("out_of_sequence")
        if self._gap_told:
            return b""
        self._gap_told = True
        return _reply(sequence, Status.OUT_OF_SEQUENCE, EXPECTED.pack(expected=self._expected))

    def _identity(self, body: bytes) -> bytes:
        structure = self.config.identity()
        return IDENTITY.pack(
            **HELLO.unpack(body), version=protocol.VERSION, expected=self._expected,
            opened=self._opened, build=self.build, rx_bytes=self.layout.rx_bytes,
            slot_bytes=self.layout.slot_bytes, clock_hz=self.clock_hz, features=self._features(),
            **structure,
        )  # fmt: skip

    def _features(self) -> Feature:
        return Feature(0) if self._self_test is None else Feature.SELF_TEST

    # ---- commands ---------------------------------------------------------------------------

    def _execute(self, opcode: int, body: bytes) -> tuple[Status, bytes]:
        """Status and body of the answer to a command in its turn."""
        match opcode:
            case Opcode.HELLO | Opcode.OPEN:
                return Status.BAD_LENGTH, b""
            case Opcode.READ | Opcode.WRITE:
                return self._access(opcode, body)
            case Opcode.TRAIN | Opcode.INFER | Opcode.SCORE:
                return self._sample(opcode, body)
            case Opcode.SELF_TEST if self._self_test is not None:
                if body:
                    return Status.BAD_LENGTH, b""
                self._run_self_test(self._self_test)
                return Status.OK, b""
        return Status.BAD_OPCODE, b""

    def self_test(self) -> int:
        """Carry out the script of the self-test; the signature of the answers."""
        return signature(
            self._execute(command[0], command[1:])[1] for command in Script(self.config).commands()
        )

    def _run_self_test(self, expected: int) -> None:
        measured = self.self_test()
        result = Verdict.PASSED if measured == expected else Verdict.FAILED
        self.memory.self_test = SELF_TEST.pack(result=result, signature=measured)

    def _access(self, opcode: int, body: bytes) -> tuple[Status, bytes]:
        if len(body) < ACCESS.size:
            return Status.BAD_LENGTH, b""
        space, address, count = ACCESS.unpack(body).values()
        if space not in set(Space):
            return Status.BAD_ADDRESS, b""
        space = Space(space)
        if count < 1 or address + count > self.layout.words(space):
            return Status.BAD_ADDRESS, b""
        size = count * self.layout.word_bytes(space)
        carried = size if opcode == Opcode.WRITE else 0
        if size > self.layout.reply_body or len(body) != ACCESS.size + carried:
            return Status.BAD_LENGTH, b""
        if opcode == Opcode.READ:
            return Status.OK, self.memory.read(space, address, count)
        self.memory.write(space, address, body[ACCESS.size :])
        return Status.OK, b""

    def _sample(self, opcode: int, body: bytes) -> tuple[Status, bytes]:
        head = TRAIN.size if opcode == Opcode.TRAIN else 0
        if len(body) != head + self.layout.input_bytes:
            return Status.BAD_LENGTH, b""
        x = self._bits(body[head:])
        if opcode == Opcode.TRAIN:
            label = TRAIN.unpack(body)["label"]
            if label >= self.config.classes:
                return Status.BAD_LABEL, b""
            result = self.memory.model.train_one(x, label)
        else:
            result = self.memory.model.infer_one(x)
        self.memory.moved()
        return Status.OK, _outcome(result, with_scores=opcode == Opcode.SCORE)

    def _bits(self, packed: bytes) -> npt.NDArray[np.int8]:
        """±1 inputs (N,) from packed bits."""
        bits = np.unpackbits(
            np.frombuffer(packed, np.uint8), count=self.config.inputs, bitorder="little"
        )
        return np.where(bits == 1, 1, -1).astype(np.int8)


Direction = Literal["request", "reply"]
"""Host to board, or board to host."""
Alter = Callable[[Direction, bytes], bytes]
"""Gets each encoded frame, its delimiter included; what it returns arrives instead."""


class TwinTransport(Transport):
    """A null modem between a host and a `Twin` in the same process.

    Parameters
    ----------
    twin
        The board.
    alter
        Loses, repeats or changes frames; by default they arrive as they were sent.
    """

    def __init__(self, twin: Twin, alter: Alter | None = None):
        self.twin = twin
        self.alter: Alter = alter or (lambda direction, frame: frame)
        self._arrived = b""
        self._closed = False

    def write(self, data: bytes) -> None:
        self._check_open()
        for frame in _frames(data):
            for reply in _frames(self.twin.feed(self.alter("request", frame))):
                self._arrived += self.alter("reply", reply)

    def read(self, timeout: float) -> bytes:
        self._check_open()
        if not self._arrived:
            time.sleep(max(0.0, timeout))  # nothing can come: the twin answers at once
        data, self._arrived = self._arrived, b""
        return data

    def reset(self) -> None:
        """Power-cycle the board; bytes under way are lost."""
        self._check_open()
        self.twin.reset()
        self._arrived = b""

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise LinkError("the twin's link is closed: open a new one")


def _frames(data: bytes) -> list[bytes]:
    """`data` cut after each delimiter."""
    *complete, rest = data.split(DELIMITER_BYTE)
    return [piece + DELIMITER_BYTE for piece in complete] + ([rest] if rest else [])


def _reply(sequence: int, status: Status, body: bytes) -> bytes:
    """A frame as the board encodes it, which knows no end before it comes: where the last block is full,
    the code of an empty one follows."""
    frame = encode(bytes((sequence, status)) + body)
    at = code = 0
    while at < len(frame) - 1:
        code = frame[at]
        at += code
    return frame[:-1] + b"\x01" + DELIMITER_BYTE if code == 0xFF else frame


def _outcome(result: Result, with_scores: bool) -> bytes:
    outcome = OUTCOME.pack(
        prediction=result.prediction, learned=result.learned, sweeps=result.sweeps,
        unstable=result.unstable,
    )
    return outcome + result.scores.astype("<i4").tobytes() if with_scores else outcome
