"""The twin answers frames, right and wrong ones, as the protocol says."""

from __future__ import annotations

import random

import numpy as np
import pytest
from faults import messages
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxon import Config
from relaxon.framing import encode
from relaxon.layout import Layout
from relaxon.protocol import (
    ACCESS,
    COUNTERS,
    EXPECTED,
    HELLO,
    IDENTITY,
    OUTCOME,
    REGISTERS,
    SLOTS,
    VERSION,
    Opcode,
    Space,
    Status,
)
from relaxon.sim.twin import Twin

CONFIG = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)
LAYOUT = Layout(CONFIG)
SAMPLE = b"\x55\x01"


class Host:
    """Sends frames by hand and understands the answers."""

    def __init__(self, config: Config = CONFIG, opened: bool = True):
        self.twin = Twin(config, build=0xB01D, clock_hz=25_000_000)
        self.sequence = 0
        if opened:
            self.send(0, Opcode.OPEN, HELLO.pack(nonce=0))

    def send(self, sequence: int, opcode: int, body: bytes = b"") -> list[tuple[int, int, bytes]]:
        """Sequence, status and body of each answer to one frame."""
        answer = messages(self.twin.feed(encode(bytes((sequence & 0xFF, opcode)) + body)))
        return [(message[0], message[1], message[2:]) for message in answer]

    def ask(self, opcode: int, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer to the next command."""
        ((sequence, status, answer),) = self.send(self.sequence, opcode, body)
        assert sequence == self.sequence
        self.sequence = (self.sequence + 1) & 0xFF
        return status, answer

    def read(self, space: int, address: int, count: int = 1) -> tuple[int, bytes]:
        return self.ask(Opcode.READ, ACCESS.pack(space=space, address=address, count=count))

    def write(self, space: int, address: int, data: bytes, count: int = 1) -> int:
        access = ACCESS.pack(space=space, address=address, count=count)
        status, body = self.ask(Opcode.WRITE, access + data)
        assert body == b""
        return status

    def counter(self, name: str) -> int:
        address = [c.name for c in COUNTERS].index(name)
        return int.from_bytes(self.read(Space.COUNTERS, address)[1], "little")


def test_hello_is_answered_whatever_its_number_and_changes_nothing():
    host = Host()
    for sequence in (0, 7, 255):
        ((echo, status, body),) = host.send(sequence, Opcode.HELLO, HELLO.pack(nonce=sequence + 9))
        assert (echo, status) == (sequence, Status.OK)
        identity = IDENTITY.unpack(body)
        assert identity | CONFIG.identity() == identity
        assert identity["nonce"] == sequence + 9 and identity["expected"] == 0
        assert (identity["version"], identity["build"]) == (VERSION, 0xB01D)
        assert identity["rx_bytes"] == LAYOUT.rx_bytes and identity["clock_hz"] == 25_000_000
    assert host.ask(Opcode.HELLO, b"\0\0\0") == (Status.BAD_LENGTH, b"")
    assert host.counter("refused") == 1


def test_a_board_takes_no_command_before_it_is_opened():
    host = Host(opened=False)
    closed = [(0, Status.CLOSED, EXPECTED.pack(expected=0))]
    for _ in range(2):
        assert host.send(0, Opcode.TRAIN, b"\1" + SAMPLE) == closed
        ((_, _, body),) = host.send(0, Opcode.HELLO, HELLO.pack(nonce=0))
        assert IDENTITY.unpack(body)["opened"] == 0
    for opened in (0, 1):
        ((_, status, body),) = host.send(9, Opcode.OPEN, HELLO.pack(nonce=5))
        assert status == Status.OK and IDENTITY.unpack(body)["opened"] == opened
    assert host.ask(Opcode.OPEN, b"") == (Status.BAD_LENGTH, b"")
    assert host.ask(Opcode.TRAIN, b"\1" + SAMPLE)[0] == Status.OK
    assert host.counter("samples") == 1 and host.counter("out_of_sequence") == 2


def test_a_repeated_frame_is_answered_again_and_not_executed_again():
    host = Host()
    frames = [host.send(k, Opcode.TRAIN, bytes([k % 3]) + SAMPLE) for k in range(SLOTS + 4)]
    newest = SLOTS + 3
    for sequence in range(newest, newest - SLOTS + 1, -1):
        assert host.send(sequence, Opcode.TRAIN, b"\1" + SAMPLE) == frames[sequence]
    host.sequence = newest + 1
    assert host.counter("samples") == SLOTS + 4
    assert host.counter("duplicates") == SLOTS - 1


def test_a_gap_is_told_once_until_it_is_closed_or_hello_asks():
    host = Host()
    told = [(3, Status.OUT_OF_SEQUENCE, EXPECTED.pack(expected=0))]
    assert host.send(3, Opcode.INFER, SAMPLE) == told
    assert host.send(4, Opcode.INFER, SAMPLE) == []
    host.send(0, Opcode.HELLO, HELLO.pack(nonce=0))
    assert host.send(3, Opcode.INFER, SAMPLE) == told
    assert host.ask(Opcode.INFER, SAMPLE)[0] == Status.OK
    assert host.send(3, Opcode.INFER, SAMPLE) == [(3, Status.OUT_OF_SEQUENCE, b"\1")]
    assert host.counter("out_of_sequence") == 4
    assert host.counter("refused") == 0


def test_an_old_number_that_was_never_executed_is_out_of_sequence():
    host = Host()
    assert host.send(250, Opcode.INFER, SAMPLE) == [(250, Status.OUT_OF_SEQUENCE, b"\0")]
    assert host.counter("duplicates") == 0


def test_a_number_too_old_for_the_cache_is_out_of_sequence():
    host = Host()
    for _ in range(40):
        host.ask(Opcode.INFER, SAMPLE)
    assert host.send(40 - SLOTS, Opcode.INFER, SAMPLE)[0][1] == Status.OUT_OF_SEQUENCE


@pytest.mark.parametrize(
    ("opcode", "body", "status"),
    [
        (0x00, b"", Status.BAD_OPCODE),
        (0x07, b"", Status.BAD_OPCODE),
        (Opcode.READ, b"\x63", Status.BAD_LENGTH),
        (Opcode.READ, ACCESS.pack(space=9, address=0, count=1), Status.BAD_ADDRESS),
        (Opcode.READ, ACCESS.pack(space=0, address=0, count=0), Status.BAD_ADDRESS),
        (Opcode.READ, ACCESS.pack(space=0, address=len(REGISTERS), count=1), Status.BAD_ADDRESS),
        (Opcode.READ, ACCESS.pack(space=2, address=2**32 - 1, count=2), Status.BAD_ADDRESS),
        (Opcode.READ, ACCESS.pack(space=0, address=0, count=13), Status.BAD_LENGTH),
        (Opcode.READ, ACCESS.pack(space=0, address=0, count=1) + b"x", Status.BAD_LENGTH),
        (Opcode.WRITE, ACCESS.pack(space=0, address=0, count=1) + b"abc", Status.BAD_LENGTH),
        (Opcode.WRITE, ACCESS.pack(space=0, address=0, count=13) + bytes(52), Status.BAD_LENGTH),
        (Opcode.WRITE, ACCESS.pack(space=3, address=99, count=1) + b"", Status.BAD_ADDRESS),
        (Opcode.TRAIN, b"\0\0", Status.BAD_LENGTH),
        (Opcode.TRAIN, b"\3\0\0", Status.BAD_LABEL),
        (Opcode.TRAIN, b"\3\0\0\0", Status.BAD_LENGTH),
        (Opcode.INFER, b"\0", Status.BAD_LENGTH),
        (Opcode.SCORE, b"\0\0\0", Status.BAD_LENGTH),
    ],
)
def test_wrong_commands_are_refused_counted_and_answered_again(opcode, body, status):
    host = Host()
    assert host.ask(opcode, body) == (status, b"")
    assert host.send(0, opcode, body) == [(0, status, b"")]
    assert (host.counter("refused"), host.counter("duplicates")) == (1, 1)
    assert host.counter("samples") == 0


def test_unused_input_bits_are_ignored():
    host = Host()
    assert host.ask(Opcode.SCORE, b"\x55\x01") == host.ask(Opcode.SCORE, b"\x55\xff")


def test_registers_are_cut_to_their_bits_and_sign_extended():
    host = Host()
    for address, register in enumerate(REGISTERS):
        assert host.write(Space.REGISTERS, address, b"\xff\xff\xff\xff") == Status.OK
        value = int.from_bytes(host.read(Space.REGISTERS, address)[1], "little", signed=True)
        assert value == (-1 if register.signed else register.high)


def test_counters_can_be_written_and_are_cut_to_their_bits():
    host = Host()
    for address, counter in enumerate(COUNTERS):
        assert host.write(Space.COUNTERS, address, b"\xff" * 8) == Status.OK
        value = int.from_bytes(host.read(Space.COUNTERS, address)[1], "little")
        assert value == ((1 << counter.bits) - 1 if counter.name != "frames" else 0)


@pytest.mark.parametrize("config", [CONFIG, CONFIG.replace(weight_bits=11, field_bits=20)])
def test_words_keep_padding_through_learning_and_cut_elements(config: Config):
    host, layout = Host(config), Layout(config)
    size = layout.word_bytes(Space.WEIGHTS)
    rng = np.random.default_rng(0)
    words = [rng.bytes(size) for _ in range(layout.words(Space.WEIGHTS))]
    for address, word in enumerate(words):
        assert host.write(Space.WEIGHTS, address, word) == Status.OK
    before = [host.read(Space.WEIGHTS, a)[1] for a in range(len(words))]
    kind, bits = ("<i1", 8) if layout.element_bytes == 1 else ("<i2", 11)
    for word, kept in zip(words, before, strict=True):
        wide = np.frombuffer(word, kind).astype(int)
        cut = (wide + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
        assert (np.frombuffer(kept, kind) == cut).all()
    for k in range(20):
        host.ask(Opcode.TRAIN, bytes([k % 3]) + rng.bytes(2))
    after = [host.read(Space.WEIGHTS, a)[1] for a in range(len(words))]
    holds = np.frombuffer(layout.pack("input", np.ones(layout.shape("input"))), kind) != 0
    count = layout.place("input")[2]
    old, new = (np.frombuffer(b"".join(w[:count]), kind) for w in (before, after))
    assert (old[~holds] == new[~holds]).all() and (~holds).any()
    assert (old[holds] != new[holds]).any()


def test_state_holds_the_last_samples_final_state():
    host = Host()
    assert host.read(Space.STATE, 0)[1] == b"\0"
    host.ask(Opcode.INFER, SAMPLE)  # all couplings are 0: every field is 0, every neuron +1
    state = b"".join(host.read(Space.STATE, a)[1] for a in range(LAYOUT.words(Space.STATE)))
    assert (LAYOUT.unpack("state", state) == 1).all()


def test_broken_and_oversized_frames_are_counted_and_nothing_else():
    host = Host()
    assert host.twin.feed(b"\0\0\0") == b""
    assert host.twin.feed(b"\x09abc\0") == b""
    assert host.twin.feed(encode(b"ab")[:-2] + b"\x77\0") == b""
    assert host.twin.feed(b"\x01" * 5000 + b"\0") == b""
    assert host.twin.feed(encode(bytes(LAYOUT.rx_bytes - 4 + 1))) == b""
    assert host.send(0, Opcode.READ, bytes(LAYOUT.rx_bytes - 6))[0][1] == Status.BAD_ADDRESS
    host.sequence = 1
    assert (host.counter("bad_frames"), host.counter("overflows")) == (2, 2)
    assert host.counter("frames") == 5  # OPEN, three READs and this one


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=1200), st.integers(0, 2**32))
def test_garbage_neither_breaks_it_nor_trains_it(garbage: bytes, seed: int):
    host, rng = Host(), random.Random(seed)
    host.ask(Opcode.TRAIN, b"\1" + SAMPLE)
    whole = encode(bytes((rng.randrange(2, 256), Opcode.TRAIN)) + b"\1" + SAMPLE)
    cut = rng.randrange(len(whole))
    for message in messages(host.twin.feed(garbage + whole[cut:] + whole[:cut] + b"\0")):
        assert message[1] in set(Status)
    ((_, status, body),) = host.send(0x80, Opcode.HELLO, HELLO.pack(nonce=1))
    assert status == Status.OK
    host.sequence = IDENTITY.unpack(body)["expected"]
    assert host.counter("samples") == 1


def test_outcome_and_scores():
    host = Host()
    status, body = host.ask(Opcode.SCORE, SAMPLE)
    assert status == Status.OK and len(body) == OUTCOME.size + 3 * 4
    assert OUTCOME.unpack(body) == {"prediction": 0, "learned": 0, "sweeps": 2, "unstable": 0}
    outcome = OUTCOME.unpack(host.ask(Opcode.TRAIN, b"\1" + SAMPLE)[1])
    assert outcome == {"prediction": 0, "learned": 1, "sweeps": 3, "unstable": 10}
