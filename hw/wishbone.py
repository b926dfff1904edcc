"""The core as a Wishbone peripheral, for systems on a chip."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from relaxon.config import Config
from relaxon.hw.core import STATUS, Core

BYTE = data.StructLayout({"byte": 8, "valid": 1})
"""What reading DATA gives."""
STATE = data.StructLayout({"available": 1, "idle": 1, "status": STATUS})
"""What reading STATUS gives."""
DATA, STATUS_WORD = 0, 1
WORD_BITS = 32


class Bus(wiring.Signature):
    """A Wishbone B4 bus in classic cycles, from the initiator; words of 32 bits, bytes selectable.

    Members
    -------
    cyc, stb, we : Out(1), adr : Out(address_bits), sel : Out(4), dat_w : Out(32)
    dat_r : In(32), ack : In(1)
    """

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "cyc": Out(1),
                "stb": Out(1),
                "we": Out(1),
                "adr": Out(address_bits),
                "sel": Out(WORD_BITS // 8),
                "dat_w": Out(WORD_BITS),
                "dat_r": In(WORD_BITS),
                "ack": In(1),
            }
        )


class WishbonePeripheral(wiring.Component):
    """A `Core` behind two registers; the frames are those of every other link.

    ======  ====  ====  =========================================================================
    word    bits        meaning
    ======  ====  ====  =========================================================================
    DATA    7:0   w     a byte for the core
    DATA    7:0   r     the next byte from the core; it is taken by being read
    DATA    8     r     1: there was one; 0: bits 7:0 mean nothing
    STATUS  0     r     a byte from the core waits
    STATUS  1     r     the core is idle
    STATUS  6:2   r     `Core`'s status: learning, testing, passed, failed, error
    STATUS  0     w     1: start the self-test
    ======  ====  ====  =========================================================================

    DATA is word 0, STATUS word 1. An access without `sel[0]` does nothing.

    Parameters
    ----------
    config, options
        As for `Core`.

    Members
    -------
    bus : In(Bus)
    irq : Out(1)
        A byte from the core waits.

    Timing
    ------
    `ack` comes one cycle after `stb`. The core takes every byte at once and keeps answers until they
    are read, so nothing is lost as long as the host keeps to its credit.
    """

    def __init__(self, config: Config, **options):
        self._core = Core(config, **options)
        super().__init__({"bus": In(Bus(1)), "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._core
        bus = self.bus
        access = bus.cyc & bus.stb & bus.sel[0] & ~bus.ack
        to_data = access & (bus.adr == DATA)
        byte, state = Signal(BYTE), Signal(STATE)
        m.d.comb += [
            core.rx.payload.eq(bus.dat_w),
            core.rx.valid.eq(to_data & bus.we),
            core.tx.ready.eq(to_data & ~bus.we),
            core.start_self_test.eq(access & bus.we & (bus.adr == STATUS_WORD) & bus.dat_w[0]),
            self.irq.eq(core.tx.valid),
            byte.byte.eq(core.tx.payload),
            byte.valid.eq(core.tx.valid),
            state.available.eq(core.tx.valid),
            state.idle.eq(core.idle),
            state.status.eq(core.status),
        ]
        m.d.sync += bus.ack.eq(bus.cyc & bus.stb & ~bus.ack & (core.rx.ready | ~core.rx.valid))
        with m.If(access & ~bus.we):
            m.d.sync += bus.dat_r.eq(Mux(bus.adr == DATA, byte.as_value(), state.as_value()))
        return m
