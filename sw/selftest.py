"""The built-in self-test: what a board asks itself, and what becomes of its answers.

A player on the board (`relaxon.hw.selftest`) takes the place of the host and gives the command port
the commands of a `Script`: it writes the power-up registers and pseudo-random couplings, trains on
pseudo-random samples of every class, asks for the scores of the same samples, and reads all
couplings back. The CRC-32 of all answers is the *signature*. `relaxon.sim.selftest` computes the one
that must come out, with the reference model, when the gateware is built.

Nothing but `relaxon.config`, `relaxon.cycles`, `relaxon.layout` and `relaxon.protocol` is needed here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from relaxon import protocol
from relaxon.config import Config, Registers, power_up_registers
from relaxon.cycles import timing
from relaxon.layout import Layout
from relaxon.protocol import ACCESS, HEADER_BYTES, TRAIN, Opcode, Space, Status

SAMPLES = 16
"""Training samples there are at least; every class comes up as often, and at least twice."""
PRBS_BITS = 23
PRBS_TAP = 5
PRBS_SEED = 0x2D4B59
"""The pseudo-random sequence a[k + 23] = a[k] ⊕ a[k + 5] (x²³ + x⁵ + 1), which begins with these
bits, the lowest first. Its period is 2²³ − 1 bits, and bytes."""


def prbs(count: int) -> bytes:
    """The first bytes of the sequence, eight bits each, the lowest first."""
    state, data = PRBS_SEED, bytearray()
    for _ in range(count):
        data.append(state & 0xFF)
        fresh = (state ^ state >> PRBS_TAP) & 0xFF
        state = state >> 8 | fresh << PRBS_BITS - 8
    return bytes(data)


@dataclass(frozen=True)
class Step:
    """One kind of command, given `count` times: to the words 0 … count − 1, or with those labels.

    Each step starts the pseudo-random sequence anew.
    """

    opcode: Opcode
    count: int
    data: int
    """Bytes after the access or the label."""
    space: Space | None = None

    @property
    def header(self) -> int:
        """Bytes before the data: the frame's own, and the access or the label."""
        own = {Opcode.TRAIN: TRAIN.size, Opcode.SCORE: 0}
        return HEADER_BYTES + own.get(self.opcode, ACCESS.size)


class Script:
    """The commands of a machine's self-test.

    Parameters
    ----------
    config
        The machine. Its registers do not matter: the test writes those that the machine has after
        power-up (`relaxon.config.power_up_registers`), which fit every machine.

    Attributes
    ----------
    steps
        In order.
    value_bits
        Couplings are of so many bits, sign included: as wide as the narrowest array allows, so
        that their spread is about that of fresh ones, and none is at the end of its range.
    checkered
        Whether J is written on the squares (i, j) of a chequer-board on which the diagonal, which
        must be 0, is not; where an odd size makes that impossible, J starts at 0.
    """

    def __init__(self, config: Config):
        self.layout = layout = Layout(config)
        self.registers: Registers = power_up_registers(config)
        self.value_bits = min(8, config.weight_bits, config.recurrent_bits, config.readout_bits) - 1
        self.checkered = layout.strip_lanes % 2 == 0 and config.neurons % 2 == 0

        def access(opcode: Opcode, space: Space) -> Step:
            size = layout.word_bytes(space) if opcode == Opcode.WRITE else 0
            return Step(opcode, layout.words(space), size, space)

        rounds = max(2, -(-SAMPLES // config.classes))
        arrays = (Space.WEIGHTS, Space.READOUT)
        self.steps: tuple[Step, ...] = (
            access(Opcode.WRITE, Space.REGISTERS),
            *(access(Opcode.WRITE, space) for space in arrays),
            *[Step(Opcode.TRAIN, config.classes, layout.input_bytes)] * rounds,
            Step(Opcode.SCORE, config.classes, layout.input_bytes),
            *(access(Opcode.READ, space) for space in arrays),
        )

    def register_bytes(self) -> bytes:
        """The words of all registers."""
        return b"".join(
            value.to_bytes(protocol.REGISTER_BYTES, "little", signed=True)
            for value in self.registers.as_dict().values()
        )

    def element_bytes(self, space: Space) -> int:
        """Bytes of an element of WEIGHTS or READOUT."""
        return 2 if space is Space.READOUT else self.layout.element_bytes

    def blank(self, word: int, element: int) -> bool:
        """Whether an element of a word of WEIGHTS stays 0, because it may be on J's diagonal.

        Where lanes and neurons are even, row i has the parity of its lane, and column j that of
        its word's distance from J's first.
        """
        first = self.layout.recurrent_base
        if not first <= word < self.layout.feedback_base:
            return False
        return not self.checkered or (word - first - element) % 2 == 0

    def commands(self) -> Iterator[bytes]:
        """Opcode and body of each command, as a host would send them."""
        for step in self.steps:
            stream = prbs(step.count * step.data)
            for at in range(step.count):
                data = stream[at * step.data : (at + 1) * step.data]
                yield bytes((step.opcode,)) + self._body(step, at, data)

    def _body(self, step: Step, at: int, data: bytes) -> bytes:
        if step.opcode == Opcode.TRAIN:
            return TRAIN.pack(label=at) + data
        if step.space is None:
            return data
        head = ACCESS.pack(space=step.space, address=at, count=1)
        if step.space is Space.REGISTERS:
            size = protocol.REGISTER_BYTES
            return head + self.register_bytes()[at * size : (at + 1) * size]
        return head + self._elements(step.space, at, data)

    def _elements(self, space: Space, word: int, data: bytes) -> bytes:
        """The word made of random bytes: elements of `value_bits`, sign-extended."""
        size, half = self.element_bytes(space), 1 << self.value_bits - 1
        result = bytearray()
        for element in range(len(data) // size):
            value = (data[element * size] + half) % (2 * half) - half
            if space is Space.WEIGHTS and self.blank(word, element):
                value = 0
            result += value.to_bytes(size, "little", signed=True)
        return bytes(result)

    def cycles(self, sample_cycles: int | None = None) -> int:
        """About how many clock cycles the test takes, if its samples take so many in all.

        Where that is not known, a sample is taken to look at all couplings four times.

        A command takes some 30 cycles; a byte 2 on its way in and 2 more into a register, 3 into a word
        of couplings (of a column store: more, by its memory's latency), and, since the signature
        takes it bit by bit, 9 on its way out, if it is there by then. That is right within a tenth.
        """
        layout = self.layout
        if sample_cycles is None:
            samples = sum(step.count for step in self.steps if step.space is None)
            sample_cycles = 4 * layout.weight_words * samples
        total = sample_cycles
        for step in self.steps:
            answered = 0
            if step.opcode == Opcode.READ and step.space is not None:
                answered = layout.word_bytes(step.space)
            elif step.space is None:
                answered = protocol.OUTCOME.size
                if step.opcode == Opcode.SCORE:
                    answered += protocol.SCORE_BYTES * layout.config.classes
            byte = 2
            if step.space is Space.REGISTERS:
                byte = 4
            elif step.space is not None:
                side = timing(layout.config).side
                byte = 5 if not layout.serial else 6 if side == 1 else side + 9
            taken = 2 * step.header + byte * step.data
            total += step.count * (COMMAND_CYCLES + taken + max(9, byte) * answered)
        return total


COMMAND_CYCLES = 30
"""Of a command, beside its bytes and the computing of a sample."""


def signature(answers: Iterable[bytes]) -> int:
    """What a board's answers to the script come to; each is a body, its status was OK."""
    crc = 0
    for body in answers:
        crc = zlib.crc32(bytes((Status.OK,)) + body, crc)
    return crc
