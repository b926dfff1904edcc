"""The order of frames: which one is due, and which were carried out already.

A board that was reset expects number 0, which may be just what its host sends next; so it takes no
command until a host has opened it.
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from relaxon import protocol


class Order(wiring.Component):
    """Keeps the sequence number that is due.

    Members
    -------
    sequence : In(8)
        A frame's number.
    due, repeated : Out(1)
        It is the next one, and the board is open; it was carried out and its answer is kept.
        Otherwise one is missing. Each a cycle after `sequence` was set.
    open : In(1), opened : Out(1)
        OPEN was answered; it was since the reset.
    aside : In(1)
        Frames have no numbers: every one is due, and none steps on.
    expected : Out(8)
        The number that is due.
    step : In(1)
        The frame that was due is carried out, or handed over: on to the next.
    complain, forgive : In(1)
        OUT_OF_SEQUENCE or CLOSED is being answered; a greeting was.
    complained : Out(1)
        OUT_OF_SEQUENCE was answered for this gap.
    """

    def __init__(self):
        super().__init__(
            {
                "sequence": In(8),
                "aside": In(1),
                "due": Out(1),
                "repeated": Out(1),
                "expected": Out(8),
                "open": In(1),
                "opened": Out(1),
                "step": In(1),
                "complain": In(1),
                "forgive": In(1),
                "complained": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        behind = Signal(8)
        kept = Signal(range(protocol.SLOTS))  # answers that may be sent again
        m.d.comb += behind.eq(self.expected - self.sequence)
        m.d.sync += [
            self.due.eq(self.aside | (self.opened & (behind == 0))),
            self.repeated.eq((behind != 0) & (behind <= kept)),
        ]
        with m.If(self.open):
            m.d.sync += self.opened.eq(1)
        with m.If(self.step & ~self.aside):
            m.d.sync += self.expected.eq(self.expected + 1)
            with m.If(kept != protocol.SLOTS - 1):
                m.d.sync += kept.eq(kept + 1)
        with m.If((self.step & ~self.aside) | self.forgive):
            m.d.sync += self.complained.eq(0)
        with m.Elif(self.complain & self.opened):
            m.d.sync += self.complained.eq(1)
        return m
