"""The gateware answers any bytes as the twin does: right frames, wrong ones, and garbage."""

from __future__ import annotations

import random

import pytest
from faults import messages

from relaxon import Config
from relaxon.framing import encode
from relaxon.layout import Layout
from relaxon.protocol import (
    ACCESS,
    COUNTERS,
    HEADER_BYTES,
    HELLO,
    IDENTITY,
    REGISTERS,
    Opcode,
    Space,
)
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
        opcode = rng.choice((*Opcode, *Opcode, Opcode.TRAIN, 0, 7, 200))
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

    def _body(self, opcode: int) -> bytes:
        rng = self.rng
        if opcode == Opcode.HELLO:
            body = rng.randbytes(HELLO.size)
        elif opcode in (Opcode.READ, Opcode.WRITE):
            body = self._access(opcode)
        else:
            label = bytes([rng.randrange(CONFIG.classes + 1)]) if opcode == Opcode.TRAIN else b""
            body = label + rng.randbytes(self.layout.input_bytes)
        return body[: rng.randrange(len(body))] if rng.random() < 0.08 else body

    def _access(self, opcode: int) -> bytes:
        rng, layout = self.rng, self.layout
        space = rng.choice((*Space, *Space, 5))
        if space == 5:
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


def hello() -> bytes:
    return encode(bytes((0, Opcode.HELLO)) + HELLO.pack(nonce=1))


@pytest.mark.parametrize("seed", range(2))
def test_the_gateware_answers_as_the_twin(seed: int):
    chip = SimulatedTransport(CONFIG)
    chip.write(hello())
    (identity,) = messages(everything(chip))
    build = IDENTITY.unpack(identity[HEADER_BYTES:])["build"]
    twin = Twin(CONFIG, build=build)
    assert messages(twin.feed(hello())) == [identity]
    frames, executed = Frames(seed), 0
    for number in range(FRAMES):
        data = frames.bytes_on_the_wire(executed)
        chip.write(data)
        answers, wanted = messages(everything(chip)), messages(twin.feed(data))
        if len(wanted) == 2 and wanted[0] == wanted[1]:
            wanted = wanted[: len(answers)]  # a reply on its way already need not be sent twice
        assert answers == wanted, f"frame {number} of seed {seed}: {data.hex()}"
        executed = twin._expected
    assert all(twin.memory.counters[c] for c in twin.memory.counters if c != TWINLESS)
    chip.close()
