"""Counting the ones of a wide word."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for


class Popcount(wiring.Component):
    """Number of ones among `width` bits.

    Members
    -------
    bits : In(width)
    count : Out(bits_for(width))

    Timing
    ------
    `latency` = 2 cycles: bytes are counted in the first, added in the second.
    """

    latency = 2

    def __init__(self, width: int):
        super().__init__({"bits": In(width), "count": Out(bits_for(width))})

    def elaborate(self, platform):
        m = Module()
        width = len(self.bits)
        bytes_ = [self.bits[at : at + 8] for at in range(0, width, 8)]
        partial = [Signal(4, name=f"partial{i}") for i in range(len(bytes_))]
        m.d.sync += [total.eq(sum(byte)) for total, byte in zip(partial, bytes_, strict=True)]
        m.d.sync += self.count.eq(sum(partial))
        return m
