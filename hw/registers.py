"""The run-time registers, made from their description in `relaxon.protocol`."""

from __future__ import annotations

from amaranth import Array, Module, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.config import Config, default_registers
from relaxon.hw.hostport import HostPort

REGISTERS = data.StructLayout(
    {r.name: Shape(r.bits, signed=r.signed) for r in protocol.REGISTERS}
)
"""All registers side by side, by name."""


class Registers(wiring.Component):
    """Holds the registers; after reset, the papers' values for this configuration's sizes.

    Members
    -------
    values : Out(REGISTERS)
    host : In(HostPort)
        One 32-bit word a register, sign-extended on reading, truncated on writing.
    """

    def __init__(self, config: Config):
        self._defaults = default_registers(config).as_dict()
        bits = bits_for(len(protocol.REGISTERS) - 1)
        width = 8 * protocol.REGISTER_BYTES
        super().__init__(
            {
                "values": Out(REGISTERS, init=self._defaults),
                "host": In(HostPort(bits, width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = []
        for address, register in enumerate(protocol.REGISTERS):
            value = self.values[register.name]
            word = Signal(Shape(8 * protocol.REGISTER_BYTES, signed=register.signed))
            m.d.comb += word.eq(value)
            words.append(word.as_unsigned())
            with m.If(self.host.active & self.host.write & (self.host.address == address)):
                m.d.sync += value.eq(self.host.write_data[: register.bits])
        m.d.sync += self.host.read_data.eq(Array(words)[self.host.address])
        return m
