"""What the LEDs say: the lamps that `relaxon.boards.embedding` explains, held long enough to be seen."""

from __future__ import annotations

from math import log2

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from relaxon.boards.target import LAMPS
from relaxon.hw.core import STATUS

SHOWN_SECONDS = 0.05
"""How long a moment stays visible, at most; at least half of it."""
TICKS = 16
"""Parts of it that are counted."""


class Lights(wiring.Component):
    """Lamps of a board.

    Parameters
    ----------
    clock_hz
        Frequency of `sync`.

    Members
    -------
    idle : In(1), status : In(STATUS)
        As `Top`'s.
    busy, learning, passed, error : Out(1)
        The board has something to do; training samples are computed; the self-test passed; the last
        frame was refused or the self-test failed. Each stays on up to `SHOWN_SECONDS` after its cause.
    """

    def __init__(self, clock_hz: int):
        self._clock_hz = clock_hz
        members = {"idle": In(1, init=1), "status": In(STATUS)}
        super().__init__(members | {lamp: Out(1) for lamp in LAMPS})

    def elaborate(self, platform):
        m = Module()
        # One prescaler for all, whose carry is the tick that the lamps count. It is never loaded:
        # an iCE40's carry chain breaks between registers that are set and those that are cleared.
        tick = Signal()
        prescaler = Signal(max(1, int(log2(self._clock_hz * SHOWN_SECONDS / TICKS))))
        m.d.sync += Cat(prescaler, tick).eq(prescaler + 1)
        status = self.status
        causes = (~self.idle, status.learning, status.passed, status.error | status.failed)
        for lamp, cause in zip(LAMPS, causes, strict=True):
            left = Signal(range(TICKS + 1), name=f"{lamp}_left")
            m.d.comb += getattr(self, lamp).eq(left != 0)
            caused = Signal(name=f"{lamp}_caused")  # registered: it comes from far away
            m.d.sync += caused.eq(cause)
            with m.If(caused):
                m.d.sync += left.eq(TICKS)
            with m.Elif(tick & (left != 0)):
                m.d.sync += left.eq(left - 1)
        return m
