"""The activity and link counters, made from their description in `relaxon.protocol`."""

from __future__ import annotations

from amaranth import Array, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.hostport import HostPort

AMOUNT_BITS = 11
"""Widest amount a counter grows by in one cycle: all elements of 128 strips of 8 banks."""
ENVELOPE = "field_envelope"
"""The one figure that is not summed but or-ed."""


def amounts_layout(field_bits: int) -> data.StructLayout:
    """What each counter takes in one cycle, by name."""
    return data.StructLayout(
        {
            c.name: unsigned(field_bits if c.name == ENVELOPE else AMOUNT_BITS)
            for c in protocol.COUNTERS
        }
    )


class Counters(wiring.Component):
    """Adds up the amounts; each counter wraps at its width.

    Members
    -------
    amounts : In(amounts_layout)
    host : In(HostPort)
        One 64-bit word a counter; writing sets it.

    Timing
    ------
    An amount is in the counter two cycles later.
    """

    def __init__(self, field_bits: int):
        self._amounts = amounts_layout(field_bits)
        bits = bits_for(len(protocol.COUNTERS) - 1)
        super().__init__(
            {
                "amounts": In(self._amounts),
                "host": In(HostPort(bits, 8 * protocol.COUNTER_BYTES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        amounts = Signal(self._amounts)  # registered: the sources are far apart
        m.d.sync += amounts.eq(self.amounts)
        values = []
        for address, counter in enumerate(protocol.COUNTERS):
            value, amount = Signal(counter.bits, name=counter.name), amounts[counter.name]
            written = self.host.active & self.host.write & (self.host.address == address)
            with m.If(written):
                m.d.sync += value.eq(self.host.write_data)
            with m.Elif(amount.any()):
                m.d.sync += value.eq(value | amount if counter.name == ENVELOPE else value + amount)
            values.append(value)
        m.d.sync += self.host.read_data.eq(Array(values)[self.host.address])
        return m
