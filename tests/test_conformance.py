"""The gateware answers any bytes as the twin does: right frames, wrong ones, and garbage."""

from __future__ import annotations

import random

import pytest
from faults import messages

from relaxon import Config, build_info
from relaxon.framing import encode
from relaxon.layout import Layout
from relaxon.linkboard import LinkBoard
from relaxon.protocol import (
    ACCESS,
    COUNTERS,
    GREETINGS,
    HEADER_BYTES,
    HELLO,
    IDENTITY,
    REGISTERS,
    WINDOW,
    Opcode,
    Space,
)
from relaxon.sim.selftest import expected
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.twin import Twin
from relaxon.transport import Transport

CONFIG = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)
FRAMES = 4000

SMALL = ("sweeps_clamped", "sweeps_released", "sweeps_infer", "gate_enable", "learn_recurrent",
         "learn_input", "learn_readout", "readout_step_true", "readout_step_false")
"""Registers that may take any small value; `margin`, for one, any value of 12 bits."""
TWINLESS = "cycles_link"
"""The counter that only a clock can have."""


class Frames:
    """Random frames, most of them in order and legal, each of them possible on a real link.

    What a host must not do is not done, for the twin says nothing of it: couplings out of range
    and registers that the fields cannot hold. STATE is not read: its padding is undefined.
    """

    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.layout = Layout(CONFIG)

    def bytes_on_the_wire(self, expected: int) -> bytes:
        """The next frame, now and then damaged, for a board that expects this sequence number."""
        rng = self.rng
        near = (expected - rng.randrange(20)) & 0xFF
        sequence = rng.choices((expected, near, rng.randrange(256)), (8, 2, 1))[0]
        others = [opcode for opcode in Opcode if opcode != Opcode.SELF_TEST]  # which takes its time
        opcode = rng.choice((*others * 3, Opcode.TRAIN, Opcode.SELF_TEST, 0, 9, 200))
        frame = encode(bytes((sequence, opcode)) + self._body(opcode))
        at = rng.randrange(len(frame))
        damage = rng.random()
        if damage < 0.05:
            return frame[:at] + rng.randbytes(1) + frame[at + 1 :]
        if damage < 0.08:
            return frame[:at]
        if damage < 0.10:
            return rng.randbytes(rng.randrange(1500)) + b"\0"
        return bytes(rng.randrange(4)) + frame if damage < 0.12 else frame

    def sample(self, sequence: int) -> bytes:
        """A good TRAIN or INFER."""
        opcode = self.rng.choice((Opcode.TRAIN, Opcode.INFER))
        label = bytes([self.rng.randrange(CONFIG.classes)]) if opcode == Opcode.TRAIN else b""
        bits = self.rng.randbytes(self.layout.input_bytes)
        return encode(bytes((sequence, opcode)) + label + bits)

    def _body(self, opcode: int) -> bytes:
        rng = self.rng
        if opcode in GREETINGS:
            body = rng.randbytes(HELLO.size)
        elif opcode in (Opcode.READ, Opcode.WRITE):
            body = self._access(opcode)
        elif opcode == Opcode.SELF_TEST:
            body = b"" if rng.random() < 0.5 else b"\0"
        else:
            label = bytes([rng.randrange(CONFIG.classes + 1)]) if opcode == Opcode.TRAIN else b""
            body = label + rng.randbytes(self.layout.input_bytes)
        return body[: rng.randrange(len(body))] if body and rng.random() < 0.08 else body

    def _access(self, opcode: int) -> bytes:
        rng, layout = self.rng, self.layout
        space = rng.choice((*Space, *Space, 7))
        if space == 7:
            return ACCESS.pack(space=space, address=0, count=1)
        words, size = layout.words(space), layout.word_bytes(space)
        address, count = rng.randrange(words + 1), rng.choice((1, 1, 2, 3, 0, 200))
        if rng.random() < 0.05:
            address = rng.getrandbits(32)
        if opcode == Opcode.READ:
            if space is Space.STATE:
                space = Space.READOUT
            if space is Space.COUNTERS:
                count = min(count, [c.name for c in COUNTERS].index(TWINLESS) - address)
                count = count if count > 0 else 200
            return ACCESS.pack(space=space, address=address, count=count)
        data = rng.randbytes(min(count * size, 600)).replace(b"\x80", b"\x81")
        if space is Space.REGISTERS:
            register = rng.choice([r for r in REGISTERS if r.name in (*SMALL, "margin")])
            value = rng.randrange(-2048, 2048) if register.name == "margin" else rng.randrange(5)
            address, count = REGISTERS.index(register), 1
            data = value.to_bytes(4, "little", signed=True)
        first, held = layout.place("recurrent")[1:]
        if space is Space.WEIGHTS and first - count < address < first + held:
            data = bytes(len(data))  # any other word might hold a neuron's coupling to itself
        return ACCESS.pack(space=space, address=address, count=count) + data


def everything(transport: Transport) -> bytes:
    """All that the board has to say until it is at rest."""
    said = b""
    while part := transport.read(1.0):
        said += part
    return said


def greeting(opcode: Opcode) -> bytes:
    return encode(bytes((0, opcode)) + HELLO.pack(nonce=1))


def said_once(answers: list[bytes]) -> list[bytes]:
    """Each answer where it came first: one on its way already need not be sent again."""
    return list(dict.fromkeys(answers))


def counts(frame: bytes) -> bool:
    """Whether a frame reads or writes counters."""
    return any(
        message[1] in (Opcode.READ, Opcode.WRITE) and message[2:3] == bytes([Space.COUNTERS])
        for message in messages(frame)
    )


def told() -> bytes:
    """What the simulated board tells of its build."""
    with LinkBoard(SimulatedTransport(CONFIG), CONFIG) as board:
        return build_info.encode(board.build_info())


class Pair:
    """A simulated board and its twin, given the same bytes."""

    def __init__(self, interval: int = 1) -> None:
        self.chip = SimulatedTransport(CONFIG, interval=interval)
        self.chip.write(greeting(Opcode.HELLO))
        (identity,) = messages(everything(self.chip))
        self.twin = Twin(
            CONFIG, build=IDENTITY.unpack(identity[HEADER_BYTES:])["build"], about=told(),
            self_test=expected(CONFIG).signature,
        )  # fmt: skip
        assert messages(self.twin.feed(greeting(Opcode.HELLO))) == [identity]

    def check(self, data: bytes, wanted: bytes) -> None:
        """The chip answers `data` as the twin did."""
        self.chip.write(data)
        answers = messages(everything(self.chip))
        assert said_once(answers) == said_once(messages(wanted)), data.hex()


@pytest.mark.parametrize("seed", range(2))
def test_the_gateware_answers_as_the_twin(seed: int):
    pair, frames = Pair(), Frames(seed)
    for _ in range(FRAMES):
        data = frames.bytes_on_the_wire(pair.twin._expected)
        pair.check(data, pair.twin.feed(data))
    counters = pair.twin.memory.counters
    assert all(counters[name] for name in counters if name != TWINLESS)
    pair.chip.close()


@pytest.mark.parametrize("seed", range(2))
def test_frames_that_overlap_are_answered_as_one_by_one(seed: int):
    pair, frames = Pair(), Frames(seed)
    rng, room = random.Random(seed), frames.layout.rx_bytes
    sent = 0
    while sent < FRAMES:
        burst = wanted = b""
        samples = rng.random()  # how many of this burst's frames are sure to be good samples
        for _ in range(rng.randrange(1, WINDOW + 1)):
            expected = pair.twin._expected
            data = frames.bytes_on_the_wire(expected)
            if rng.random() < samples:
                data = frames.sample(expected)
            if burst and len(burst) + len(data) > room:
                break
            burst += data
            wanted += pair.twin.feed(data)
            sent += 1
            if counts(data):  # frames count on reception: no later one may have come
                break
        pair.check(burst, wanted)
    pair.chip.close()


def test_samples_wait_for_answers_that_wait_for_the_line():
    """More frames than a host may send: their answers are longer, until all slots are taken."""
    pair, frames = Pair(interval=40), Frames(9)
    samples = [greeting(Opcode.OPEN), *(frames.sample(number) for number in range(90))]
    wanted = b"".join(pair.twin.feed(frame) for frame in samples)
    pair.chip.write(b"".join(samples))
    assert everything(pair.chip) == wanted
    pair.chip.close()
