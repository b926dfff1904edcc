"""Everything that a host can do to a core, on compiled boards that count what their RTL does."""

from __future__ import annotations

import numpy as np
from board_commands import write
from core_bins import BoardBins, LinkBins, MachineBins
from core_checker import Checker
from core_traffic import Piece, Traffic, greeting
from coverage_cores import TOLD, CoreUnderTest

from relaxon.errors import ConfigError
from relaxon.framing import encode
from relaxon.protocol import (
    ACCESS,
    BUILD_BYTES,
    COUNTERS,
    CRC_BYTES,
    HEADER_BYTES,
    REGISTER_BYTES,
    REGISTERS,
    Opcode,
    Space,
)
from relaxon.sim.testbench.rtlcoverage import CoveredBoard, CoveredCore
from relaxon.sim.twin import Twin

BURSTS = 250
PATTERNS = (0, -1, 0x55555555, -0x55555556, 0)


class Workload:
    """A board and its twin, which get the same bytes."""

    def __init__(self, core: CoreUnderTest, board: CoveredBoard, seed: int):
        self.board = board
        self.twin = twin = Twin(
            core.config, TOLD["build"], core.clock_hz, about=TOLD["about"],
            self_test=core.self_test,
        )  # fmt: skip
        self.traffic = Traffic(core.config, seed, self_test=core.self_test is not None)
        self.seen, self.around = LinkBins(twin), BoardBins()
        MachineBins(core.config, twin.memory.model)
        self.checker = Checker(self.seen, twin)

    @property
    def expected(self) -> int:
        """The sequence number that is due."""
        return self.twin._expected

    def send(self, piece: Piece) -> None:
        """Give both a piece and compare their answers."""
        self.board.write(self.checker.told(piece))
        self._compare()

    def send_all(self, pieces: list[Piece]) -> None:
        """The same for several at once, which must find room."""
        for piece in pieces:
            self.board.write(self.checker.told(piece))
        self._compare()

    def call(self, *commands: bytes) -> None:
        """Commands that are due, one by one."""
        for command in commands:
            self.send(Piece(encode(bytes([self.expected]) + command), "due"))

    def burst(self) -> None:
        """The next burst of the traffic."""
        pieces, state = self.traffic.burst(self.expected, self._registers()), None
        while True:
            try:
                piece = pieces.send(state)
            except StopIteration:
                break
            self.board.write(self.checker.told(piece))
            state = self.expected, self._registers()
        self._compare()

    def _registers(self):
        return self.twin.memory.model.registers

    def _compare(self) -> None:
        said = b""
        while part := self.board.read(5.0):
            said += part
        self.checker.check(said)


def exercise(core: CoreUnderTest, covered: CoveredCore, *, seed: int = 0, bursts: int = BURSTS) -> None:
    """Let boards do all that boards of this machine do."""
    for number, interval in enumerate(core.intervals):
        work = Workload(core, covered.board(interval=interval, wire=core.wire), seed + number)
        work.send(greeting())
        work.call(*work.traffic.setup(seed + number))
        registers_to_all_bits(work)
        read_all(work)
        for _ in range(bursts):
            work.burst()
        long_sweeps(work)
        garbage_while_counters_are_held(work)
        frames_of_all_lengths(work)
        counters_to_all_bits(work)
        if core.self_test is not None:
            work.call(bytes([Opcode.SELF_TEST]))
            work.around.verdict(work.twin.memory.self_test)
        read_all(work)
        work.board.close()


def registers_to_all_bits(work: Workload) -> None:
    """Every bit of every register rises and falls, no sample being computed meanwhile."""
    values = work.twin.memory.model.registers.as_dict()
    for address, register in enumerate(REGISTERS):
        for value in (*PATTERNS, values[register.name]):
            work.call(_write(Space.REGISTERS, address, value, REGISTER_BYTES))


def counters_to_all_bits(work: Workload) -> None:
    """So does every bit of every counter; then samples count from what they were set to."""
    for value in (0, -1, 0x5555555555555555, -0x5555555555555556, -1):
        for address in range(len(COUNTERS)):
            work.call(_write(Space.COUNTERS, address, value, 8))
        for _ in range(3):
            work.send(work.traffic.sample(work.expected))


def long_sweeps(work: Workload) -> None:
    """Every neuron turns in every sweep, for as many sweeps as registers can ask for."""
    config, names = work.traffic.config, [register.name for register in REGISTERS]
    registers = config.registers
    room = (1 << config.field_bits - 2) - 1 - abs(registers.margin)
    while True:  # the strongest that the fields hold
        try:
            config.check_registers(registers.replace(self_coupling=-room))
            break
        except ConfigError:
            room = room * 7 // 8
    wanted = {
        **registers.as_dict(), "self_coupling": -room, "sweeps_clamped": 255,
        "sweeps_released": 255, "sweeps_infer": 255, "gate_enable": 1,
        "gate": (1 << 23) - 1,
    }  # fmt: skip
    for name, value in wanted.items():
        work.call(_write(Space.REGISTERS, names.index(name), value, REGISTER_BYTES))
    for name in ("recurrent", "input"):
        shape = work.traffic.layout.shape(name)
        work.call(*write(work.traffic.layout, name, np.zeros(shape, np.int16)))
    for _ in range(6):
        work.send(work.traffic.sample(work.expected))
    for name, value in registers.as_dict().items():
        work.call(_write(Space.REGISTERS, names.index(name), value, REGISTER_BYTES))


def garbage_while_counters_are_held(work: Workload) -> None:
    """Frames that are none come quicker than counters are visited."""
    for _ in range(3):
        command = _write(Space.COUNTERS, 0, 0, 8)
        due = Piece(encode(bytes([work.expected]) + command), "due")
        work.send_all([due, *[Piece(b"\1\0", "short")] * 150])


def frames_of_all_lengths(work: Workload) -> None:
    """Frames of every length that the receive buffer holds; the board knows no such opcode."""
    most = work.traffic.layout.rx_bytes - CRC_BYTES
    for length in (*range(HEADER_BYTES, most, most // 60), most - 1, most):
        body = work.traffic.rng.randbytes(length - HEADER_BYTES)
        work.call(bytes([0xEE]) + body)


def read_all(work: Workload) -> None:
    """Read every word of every space that a host reads, but for padding of states and what is of
    clocks alone."""
    layout = work.traffic.layout
    for space in (Space.REGISTERS, Space.COUNTERS, Space.WEIGHTS, Space.READOUT, Space.SELF_TEST):
        words = layout.words(space) - (space is Space.COUNTERS)
        for first in range(0, words, at_once := layout.words_per_frame(space)):
            count = min(at_once, words - first)
            work.call(bytes([Opcode.READ]) + ACCESS.pack(space=space, address=first, count=count))
    for first in range(0, BUILD_BYTES, 32):
        access = ACCESS.pack(space=Space.BUILD, address=first, count=32)
        work.call(bytes([Opcode.READ]) + access)


def _write(space: Space, address: int, value: int, size: int) -> bytes:
    data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bytes([Opcode.WRITE]) + ACCESS.pack(space=space, address=address, count=1) + data
