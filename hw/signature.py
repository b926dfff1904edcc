"""The signature of answers: a CRC-32, bit by bit."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.replies import REPLY_BYTE

POLYNOMIAL = 0xEDB88320
"""CRC-32/ISO-HDLC's (zlib's), its lowest bit for the highest power."""


class Signature(wiring.Component):
    """Takes answers in the place of a `ReplyCache`; the CRC of all their bytes but the first.

    An answer's first byte is its sequence number, which says nothing about the machine.

    Members
    -------
    payload : In(stream of data, last)
        Answers.
    pending : Out(1)
        In the cycle after an answer's last byte was taken.
    clear : In(1)
        Begin anew.
    value : Out(32)
        ``zlib.crc32`` of what was taken since then.

    Timing
    ------
    8 cycles for each byte.
    """

    def __init__(self):
        super().__init__(
            {
                "payload": In(stream.Signature(REPLY_BYTE)),
                "pending": Out(1),
                "clear": In(1),
                "value": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bit, within = Signal(3), Signal()  # `within` an answer: past its first byte
        byte = self.payload.payload
        taken = self.payload.valid & self.payload.ready
        m.d.comb += self.payload.ready.eq(bit == 7)
        m.d.sync += self.pending.eq(taken & byte.last)
        with m.If(self.payload.valid):
            m.d.sync += bit.eq(bit + 1)
        with m.If(taken):
            m.d.sync += within.eq(~byte.last)
        # The value is kept inverted, as it is told, so that it starts from 0.
        feedback = ~(self.value[0] ^ byte.data.bit_select(bit, 1))
        shifted = Cat(self.value[1:], 1)
        with m.If(self.payload.valid & within):
            m.d.sync += self.value.eq(shifted ^ Mux(feedback, POLYNOMIAL, 0))
        with m.If(self.clear):
            m.d.sync += self.value.eq(0)
        return m
