"""What a host may send to a board, right and wrong: random traffic, and the machines it is for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from board_commands import write, write_registers
from recorded import random_couplings

from relaxon import Config
from relaxon.config import Registers
from relaxon.errors import ConfigError
from relaxon.framing import encode
from relaxon.layout import Layout
from relaxon.protocol import (
    ACCESS,
    COUNTER_BYTES,
    COUNTERS,
    GREETINGS,
    HELLO,
    REGISTER_BYTES,
    REGISTERS,
    WINDOW,
    Opcode,
    Space,
)

CYCLES_LINK = next(n for n, c in enumerate(COUNTERS) if c.name == "cycles_link")
"""The counter that only a clock can have, and the last one."""
UNKNOWN_OPCODES = (0x00, 0x09, 0xC8)
UNKNOWN_SPACES = (len(Space), 0xFF)
SAMPLES = (Opcode.TRAIN, Opcode.INFER, Opcode.SCORE)


class Piece(NamedTuple):
    """Bytes for the wire: a frame, or something that is none.

    `kind` says what is special about it; `alone` that no later frame may have come when it is
    carried out, for it reads or writes counters.
    """

    data: bytes
    kind: str = ""
    alone: bool = False


def greeting(number: int = 0, nonce: int = 0, opcode: Opcode = Opcode.OPEN) -> Piece:
    """An OPEN, with which every session begins, or a HELLO."""
    body = HELLO.pack(nonce=nonce)
    return Piece(encode(bytes((number, opcode)) + body), "greeting")


def random_machine(seed: int, store: str) -> Config:
    """A small machine with room in its fields for more than its registers need."""
    rng = random.Random(seed)
    lanes = rng.randint(2, 9)
    sizes = dict(
        modules=rng.randint(1, 5), neurons=rng.randint(2, 11), inputs=rng.randint(1, 20),
        classes=rng.randint(2, 5), lanes=lanes, store=store,
        weight_bits=rng.choice((4, 6, 8, 8, 10)), readout_bits=rng.choice((6, 8, 12, 16)),
    )  # fmt: skip
    config = Config(**sizes)
    return config.replace(field_bits=min(24, config.field_bits + rng.randint(0, 4)))


def register_ends(config: Config, registers: Registers, name: str) -> tuple[int, int]:
    """The lowest and the highest value of a register beside the others, with which fields fit."""

    def fits(value: int) -> bool:
        try:
            config.check_registers(registers.replace(**{name: value}))
        except ConfigError:
            return False
        return True

    def last(inside: int, outside: int) -> int:
        """The last one that fits on the way; those that fit lie side by side."""
        if fits(outside):
            return outside
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if fits(middle) else (inside, middle)
        return inside

    (register,) = (each for each in REGISTERS if each.name == name)
    now = registers.as_dict()[name]
    return last(now, register.low), last(now, register.high)


def random_register(config: Config, registers: Registers, rng: random.Random) -> tuple[int, int]:
    """Address and value of a register that may be set next; fields stay within their width."""
    while True:
        address, register = rng.choice(list(enumerate(REGISTERS)))
        if register.signed:
            low, high = register_ends(config, registers, register.name)
            size = rng.getrandbits(rng.randint(1, 24))
            value = rng.choice((0, 1, -1, size, -size, low, high))
        elif register.name.startswith("sweeps"):
            value = rng.choice((0, 1, 1, 2, 2, 3, 4, 9, register.high))
        else:
            value = rng.choice((0, 1, rng.randint(0, register.high), register.high))
        try:
            config.check_registers(registers.replace(**{register.name: value}))
        except ConfigError:
            continue
        return address, value


class Traffic:
    """Random frames for one machine, each of them possible on a real link.

    What a host must not do is not done, for the reference says nothing of it: couplings out of range,
    a neuron coupled to itself, registers that the fields cannot hold.

    Parameters
    ----------
    config
        The machine.
    seed
        Of the choices.
    self_test
        Whether the board has one.
    """

    def __init__(self, config: Config, seed: int, *, self_test: bool):
        self.config, self.layout = config, Layout(config)
        self.rng = random.Random(seed)
        self.self_test = self_test
        self._x = self.rng.randbytes(self.layout.input_bytes)
        self._label = 0
        self._sent: list[bytes] = []  # frames that were due, latest last

    # ---- whole bursts -----------------------------------------------------------------------

    def setup(self, seed: int) -> list[bytes]:
        """Commands that put every word of a board where power-up has it, or where `seed` says."""
        layout, config = self.layout, self.config
        couplings = random_couplings(config, seed)
        commands = write_registers(config)
        for space in (Space.COUNTERS, Space.STATE):
            words, size = layout.words(space), layout.word_bytes(space)
            most = layout.words_per_frame(space)
            for first in range(0, words, most):
                count = min(most, words - first)
                commands.append(self._write(space, first, bytes(count * size), count))
        for name in couplings.NAMES:
            commands += write(layout, name, getattr(couplings, name))
        return commands

    def burst(self, expected: int, registers: Registers, *, most: int = WINDOW) -> Iterator[Piece]:
        """Frames that fit a board's buffers at once; the first of them finds it at rest.

        The caller tells after each frame, by sending it back, which number is expected next.
        """
        rng, room = self.rng, self.layout.rx_bytes
        wish = rng.choice(("mixed", "mixed", "samples"))
        for _ in range(rng.randint(1, most)):
            piece = self.sample(expected) if wish == "samples" else self.piece(expected, registers)
            if len(piece.data) > room and piece.kind != "too long":
                return
            room -= len(piece.data)
            if room < 0 and piece.kind != "too long":
                return
            expected, registers = yield piece
            if piece.alone or piece.kind == "too long" or room <= 0:
                return

    def piece(self, expected: int, registers: Registers) -> Piece:
        """Anything at all."""
        rng = self.rng
        what = rng.choices(
            (self.sample, self._good, self._wrong, self._stale, self._ahead, self._broken),
            (30, 25, 14, 12, 6, 13),
        )[0]
        if what == self._good:
            return self._good(expected, registers)
        return what(expected)

    # ---- what a frame may be ------------------------------------------------------------------

    def sample(self, expected: int) -> Piece:
        """A good TRAIN, INFER or SCORE."""
        opcode = self.rng.choice((Opcode.TRAIN, *SAMPLES))
        if opcode == Opcode.TRAIN and self.rng.random() < 0.6:
            self._label = self.rng.randrange(self.config.classes)
        label = bytes([self._label]) if opcode == Opcode.TRAIN else b""
        return self._due(expected, bytes([opcode]) + label + self._inputs())

    def _inputs(self) -> bytes:
        """Packed inputs: as before, all others, one changed, or any."""
        rng, size = self.rng, len(self._x)
        value = int.from_bytes(self._x, "little")
        match rng.randrange(6):
            case 0:
                pass
            case 1:
                value ^= (1 << 8 * size) - 1
            case 2:
                value ^= 1 << rng.randrange(self.config.inputs)
            case _:
                value = rng.getrandbits(8 * size)
        self._x = value.to_bytes(size, "little")
        return self._x

    def _good(self, expected: int, registers: Registers) -> Piece:
        """Any command but a sample, as it should be."""
        rng = self.rng
        if rng.random() < 0.1:
            return self._greeting()
        if self.self_test and rng.random() < 0.02:
            return self._due(expected, bytes([Opcode.SELF_TEST]))
        space = rng.choice((*Space, Space.REGISTERS, Space.REGISTERS, Space.WEIGHTS))
        if rng.random() < 0.5:
            return self._good_read(expected, space)
        return self._good_write(expected, space, registers)

    def _greeting(self) -> Piece:
        """One that may come with any number."""
        rng = self.rng
        return greeting(rng.randrange(256), rng.getrandbits(32), rng.choice(GREETINGS))

    def _good_read(self, expected: int, space: Space) -> Piece:
        layout, rng = self.layout, self.rng
        words, most = layout.words(space), layout.words_per_frame(space)
        address = rng.randrange(words)
        count = min(rng.choice((1, 2, most)), words - address, most)
        if space is Space.COUNTERS:  # all but the last, which only a clock knows
            address = min(address, CYCLES_LINK - 1)
            count = min(count, CYCLES_LINK - address)
        if space is Space.STATE:  # padding is undefined
            whole = [g for g in range(words) if (g + 1) % layout.tail_period]
            body, tail = layout.padding()
            if body == tail:
                whole = list(range(words))
            if not whole:
                space, address = Space.BUILD, 0
            else:
                address = rng.choice(whole)
            count = 1
        access = ACCESS.pack(space=space, address=address, count=count)
        return self._due(
            expected, bytes([Opcode.READ]) + access, alone=space is Space.COUNTERS
        )

    def _good_write(self, expected: int, space: Space, registers: Registers) -> Piece:
        layout, rng = self.layout, self.rng
        if space is Space.REGISTERS:
            address, value = random_register(self.config, registers, rng)
            data = value.to_bytes(REGISTER_BYTES, "little", signed=value < 0)
            return self._due(expected, self._write(space, address, data))
        if space is Space.COUNTERS:
            address = rng.randrange(len(COUNTERS))
            value = rng.choice((0, (1 << 64) - 1, rng.getrandbits(64)))
            data = value.to_bytes(COUNTER_BYTES, "little")
            return self._due(expected, self._write(space, address, data), alone=True)
        words, size = layout.words(space), layout.word_bytes(space)
        address = rng.randrange(words)
        count = min(rng.choice((1, 2, layout.words_per_frame(space))), words - address)
        data = rng.randbytes(count * size)
        if space is Space.WEIGHTS:
            data = b"".join(self._weights(n) for n in range(address, address + count))
        elif space is Space.STATE:  # a word has more bits than there are lanes
            lanes = (1 << layout.lanes) - 1
            data = b"".join(
                (rng.getrandbits(8 * size) & lanes).to_bytes(size, "little") for _ in range(count)
            )
        elif space is Space.READOUT:
            data = self._elements(self.config.readout_max, count * self.config.classes, 2)
        return self._due(expected, self._write(space, address, data, count))

    def _weights(self, word: int) -> bytes:
        """A word of couplings; those of J are 0, for any might be of a neuron to itself."""
        layout, config = self.layout, self.config
        if layout.recurrent_base <= word < layout.feedback_base:
            return bytes(layout.word_bytes(Space.WEIGHTS))
        most = config.weight_max if word < layout.recurrent_base else 127
        return self._elements(most, layout.lanes, layout.element_bytes)

    def _elements(self, most: int, count: int, size: int) -> bytes:
        """So many elements: all at one end of the range, all 0, or any."""
        rng = self.rng
        low, high = rng.choice(((most, most), (-most, -most), (0, 0), (-most, most), (-most, most)))
        return b"".join(
            rng.randint(low, high).to_bytes(size, "little", signed=True) for _ in range(count)
        )

    def _wrong(self, expected: int) -> Piece:
        """A command in its turn that the board must refuse."""
        rng, layout = self.rng, self.layout
        bits = rng.randbytes(layout.input_bytes)
        sample = {Opcode.TRAIN: bytes([0]) + bits, Opcode.INFER: bits, Opcode.SCORE: bits}
        opcodes = [o for o in Opcode if self.self_test or o != Opcode.SELF_TEST]
        match rng.randrange(5):
            case 0:
                unknown = (*UNKNOWN_OPCODES, *(o for o in Opcode if o not in opcodes))
                return self._due(expected, bytes([rng.choice(unknown)]) + bits)
            case 1:
                label = rng.choice((self.config.classes, 255))
                return self._due(expected, bytes((Opcode.TRAIN, label)) + bits)
            case 2:  # a word that is not there
                space, address, count = rng.choice((*Space, *UNKNOWN_SPACES)), 0, 1
                if space in set(Space):
                    words = layout.words(Space(space))
                    address, count = rng.choice(
                        ((words, 1), (0, 0), (words - 1, 2), (1 << 8 * rng.randrange(4), 255),
                         (rng.getrandbits(32) | 1 << 31, 1))
                    )  # fmt: skip
                    if address + count <= words and count:
                        address, count = words, 1
                opcode = rng.choice((Opcode.READ, Opcode.WRITE))
                access = ACCESS.pack(space=space, address=address, count=count)
                return self._due(expected, bytes([opcode]) + access)
            case 3:  # more words than an answer holds
                space = rng.choice((Space.WEIGHTS, Space.READOUT, Space.COUNTERS, Space.BUILD))
                count = min(255, layout.words(space))
                opcode = rng.choice((Opcode.READ, Opcode.WRITE))
                if count * layout.word_bytes(space) > layout.reply_body:
                    access = ACCESS.pack(space=space, address=0, count=count)
                    return self._due(expected, bytes([opcode]) + access)
        opcode = rng.choice(opcodes)
        one = ACCESS.pack(space=Space.BUILD, address=0, count=1)
        body = {
            **dict.fromkeys(GREETINGS, bytes(HELLO.size)), Opcode.READ: one, Opcode.WRITE: one + b"\0",
            Opcode.SELF_TEST: b"", **sample,
        }[opcode]  # fmt: skip
        cut = rng.choice((len(body) - 1, 0, rng.randrange(len(body))) if body else (0,))
        body = rng.choice((body + b"\0", body[:cut])) if body else b"\0"
        return self._due(expected, bytes([opcode]) + body)

    def _stale(self, expected: int) -> Piece:
        """A frame again that was sent before, or another one with its number."""
        rng = self.rng
        back = rng.choice((1, 1, 2, rng.randint(1, 15), rng.randint(1, 15), 15, 16, 40))
        number = (expected - back) & 0xFF
        if back <= len(self._sent) and rng.random() < 0.7:
            return Piece(encode(self._sent[-back]), "again")
        return Piece(encode(bytes((number, Opcode.INFER)) + self._inputs()), "stale")

    def _ahead(self, expected: int) -> Piece:
        """A frame whose predecessor went missing."""
        number = (expected + self.rng.choice((1, 2, 15, 16, 100))) & 0xFF
        return Piece(encode(bytes((number, Opcode.INFER)) + self._inputs()), "ahead")

    def _broken(self, expected: int) -> Piece:
        """Bytes that are no frame."""
        rng = self.rng
        good = encode(bytes((expected, Opcode.INFER)) + rng.randbytes(self.layout.input_bytes))
        match rng.randrange(8):
            case 0:
                return Piece(b"\0" * rng.randint(1, 3), "empty")
            case 1:  # the first code points past the delimiter
                return Piece(bytes([200]) + good[1:-1].replace(b"\0", b"\1") + b"\0", "past the end")
            case 2:
                short = rng.randrange(2)
                return Piece(encode(bytes(short)), "short")
            case 3:
                return Piece(b"\1" * rng.randint(1, 5) + b"\0", "short")
            case 4:
                return Piece(good[: rng.randrange(2, len(good) - 1)] + b"\0", "truncated")
            case 5 if rng.random() < 0.25:
                over = rng.choice((1, 2, 300))
                return Piece(b"\1" * (self.layout.rx_bytes + 1 + over) + b"\0", "too long")
            case 6:
                return Piece(rng.randbytes(rng.randint(1, 40)).replace(b"\0", b"\7") + b"\0", "noise")
        at = rng.randrange(1, len(good) - 1)
        spoilt = good[at] ^ 1 << rng.randrange(8) or good[at] ^ 0xFF
        return Piece(good[:at] + bytes([spoilt]) + good[at + 1 :], "flipped bit")

    # ---- making frames ------------------------------------------------------------------------

    def _due(self, expected: int, command: bytes, *, alone: bool = False) -> Piece:
        message = bytes([expected]) + command
        self._sent = [*self._sent[-40:], message]
        return Piece(encode(message), "due", alone)

    @staticmethod
    def _write(space: Space, address: int, data: bytes, count: int = 1) -> bytes:
        access = ACCESS.pack(space=space, address=address, count=count)
        return bytes([Opcode.WRITE]) + access + data


def numbered(commands: list[bytes], expected: int) -> list[bytes]:
    """Frames of commands that follow one another."""
    return [encode(bytes([(expected + n) & 0xFF]) + c) for n, c in enumerate(commands)]

