"""Pseudo-random bytes."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from relaxon.selftest import PRBS_BITS, PRBS_SEED, PRBS_TAP


class Prbs(wiring.Component):
    """The bytes of `relaxon.selftest.prbs`, eight bits of the sequence in a cycle.

    Members
    -------
    data : Out(8)
        The next byte.
    step, restart : In(1)
        On by one byte; back to the first.
    """

    def __init__(self):
        super().__init__({"data": Out(8), "step": In(1), "restart": In(1)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(PRBS_BITS, init=PRBS_SEED)
        m.d.comb += self.data.eq(state)
        with m.If(self.restart):
            m.d.sync += state.eq(PRBS_SEED)
        with m.Elif(self.step):
            m.d.sync += state.eq(Cat(state[8:], state[:8] ^ state[PRBS_TAP : PRBS_TAP + 8]))
        return m
