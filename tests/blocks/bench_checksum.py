"""Runs inside a simulator (see test_link_blocks.py): the link's CRC against zlib's."""

import random
import zlib

import cocotb
from cocotb.triggers import RisingEdge

from relaxon.hw.checksum import POLYNOMIAL
from relaxon.protocol import CRC_BYTES
from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.watch import watch

SEEN = Coverage(
    "Checksum", "of no byte", "of one byte", "of many bytes", "match", "match of no byte",
    "no match after a match", "byte right after byte", "start after bytes", "start while busy",
    "all but one bit of the register match",
)  # fmt: skip


def wrong_by(bit: int) -> int:
    """By what a checksum is wrong that leaves this bit of the register, and no other, wrong."""
    value = 1 << bit
    for _ in range(8 * CRC_BYTES):
        value = (value ^ POLYNOMIAL) << 1 | 1 if value >> 31 else value << 1
    return value


class Checker:
    """Compares with zlib in every cycle."""

    def __init__(self, dut: Block):
        self._dut, self.data, self._busy = dut, b"", False
        self._matched = False
        watch(dut, self._look)

    def _look(self) -> None:
        dut = self._dut
        assert dut.busy.value == self._busy
        if not self._busy:
            head, tail = self.data[:-CRC_BYTES], self.data[-CRC_BYTES:]
            match = tail == zlib.crc32(head).to_bytes(CRC_BYTES, "little")
            assert dut.crc.value == zlib.crc32(self.data)
            assert dut.match.value == match
            SEEN.hit("of no byte", when=not self.data)
            SEEN.hit("of one byte", when=len(self.data) == 1)
            SEEN.hit("of many bytes", when=len(self.data) > 1)
            SEEN.hit("match", when=match)
            SEEN.hit("match of no byte", when=match and not head)
            SEEN.hit("no match after a match", when=self._matched and not match)
            self._matched = match
        if dut.start.value:
            SEEN.hit("start after bytes", when=bool(self.data))
            SEEN.hit("start while busy", when=self._busy)
            self.data, self._busy = b"", False
        else:
            self._busy = bool(dut.valid.value)
            if self._busy:
                self.data += bytes([int(dut.data.value)])


@cocotb.test(timeout_time=500, timeout_unit="us")
async def is_the_crc_of_zlib_after_every_byte(dut):
    dut, rng = Block(dut, "checksum"), random.Random(1)
    await start(dut, start=0, valid=0, data=0)
    checker, edge = Checker(dut), RisingEdge(dut.clk)

    async def feed(data: bytes) -> None:
        quick = rng.random() < 0.5
        SEEN.hit("byte right after byte", when=quick and len(data) > 1)
        for byte in data:
            dut.valid.value, dut.data.value = 1, byte
            await edge
            dut.valid.value, dut.data.value = 0, rng.randrange(256)
            for _ in range(1 if quick else rng.randrange(1, 5)):
                await edge

    for bit in range(8 * CRC_BYTES):
        data = rng.randbytes(rng.randrange(9))
        await feed(data)
        await feed((zlib.crc32(data) ^ wrong_by(bit)).to_bytes(CRC_BYTES, "little"))
        SEEN.hit("all but one bit of the register match")
        dut.start.value = 1
        await edge
        dut.start.value = 0
    for length in (0, 1, 2, *(rng.randrange(60) for _ in range(25)), 400):
        data = rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length))
        await feed(data)
        if rng.random() < 0.7:
            assert checker.data == data
            await feed(zlib.crc32(data).to_bytes(CRC_BYTES, "little"))
        if rng.random() < 0.3:
            await feed(rng.randbytes(1))
        if rng.random() < 0.3:  # in the midst of a byte
            dut.valid.value = 1
            await edge
            dut.valid.value = 0
        dut.start.value = 1
        await edge
        dut.start.value = 0


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
