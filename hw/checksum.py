"""CRC-32/ISO-HDLC, four bits a cycle: half the logic of a whole byte, and the link is no faster."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

POLYNOMIAL = 0xEDB88320
"""Bit-reversed: the lowest bit goes first."""
RESIDUE = 0xDEBB20E3
"""What the register holds after data and their CRC."""


class Checksum(wiring.Component):
    """The CRC-32 of some bytes, as zlib has it.

    Members
    -------
    start : In(1)
        Forget all bytes.
    valid : In(1), data : In(8)
        The next byte, only while not `busy`.
    busy : Out(1)
        In the cycle after a byte.
    crc : Out(32)
        Of all bytes so far; not while `busy`.
    match : Out(1)
        The last four bytes were the CRC of those before; not while `busy`.
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "valid": In(1),
                "data": In(8),
                "busy": Out(1),
                "crc": Out(32),
                "match": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        register, high = Signal(32, init=0xFFFFFFFF), Signal(4)
        value, nibble = register, Mux(self.busy, high, self.data[:4])
        for bit in range(4):
            after = Signal(32, name=f"after{bit}")
            apart = value[0] ^ nibble[bit]
            m.d.comb += after.eq(
                Cat(value[1:], 0) ^ Cat(apart & (POLYNOMIAL >> i & 1) for i in range(32))
            )
            value = after
        m.d.sync += self.busy.eq(self.valid)
        with m.If(self.valid):
            m.d.sync += high.eq(self.data[4:])
        with m.If(self.start):
            m.d.sync += register.eq(0xFFFFFFFF)
        with m.Elif(self.valid | self.busy):
            m.d.sync += register.eq(value)
        m.d.comb += [self.crc.eq(~register), self.match.eq(register == RESIDUE)]
        return m
