"""The run-time registers, made from their description in `relaxon.protocol`, and the build's text."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.config import Config, power_up_registers
from relaxon.hw.hostport import REGISTERS_PORT, HostPort

REGISTERS = data.StructLayout(
    {r.name: Shape(r.bits, signed=r.signed) for r in protocol.REGISTERS}
)
"""All registers side by side, by name."""


class Registers(wiring.Component):
    """Holds the registers; after reset they have the values of `power_up_registers`.

    The host reads them from a copy in memory, which needs no multiplexer. The other half of that
    memory holds the text of the build, since block RAM comes in larger pieces than either needs.

    Parameters
    ----------
    config
        Sizes and widths, which decide the values after reset.
    about
        The text of Space.BUILD, at most `BUILD_BYTES`; zeros follow.

    Members
    -------
    values : Out(REGISTERS)
    host : In(HostPort)
        One 32-bit word a register, sign-extended on reading, truncated on writing.
    build : In(HostPort)
        One byte a word; what is written is ignored.
    """

    def __init__(self, config: Config, about: bytes):
        if len(about) > protocol.BUILD_BYTES:
            raise ValueError(
                f"about must have {protocol.BUILD_BYTES} bytes at most, not {len(about)}"
            )
        self._defaults, self._config = power_up_registers(config).as_dict(), config
        self._about = about
        super().__init__(
            {
                "values": Out(REGISTERS, init=self._defaults),
                "host": In(REGISTERS_PORT),
                "build": In(HostPort(protocol.BUILD_BYTES, 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        host, size = self.host, protocol.REGISTER_BYTES
        last = size - 1  # the byte above all registers: copies of the sign
        assert all(r.bits == 8 * last if r.signed else r.bits <= 8 * last for r in protocol.REGISTERS)
        words = [
            self._defaults[r.name].to_bytes(size, "little", signed=r.signed)
            for r in protocol.REGISTERS
        ]
        half = protocol.BUILD_BYTES
        copied = b"".join(words).ljust(half, b"\0")
        assert len(copied) == half
        m.submodules.copy = copy = Memory(
            shape=8, depth=2 * half, init=copied + self._about.ljust(half, b"\0")
        )
        read, write = copy.read_port(), copy.write_port()
        exists = Array(
            (1 << r.bits) - 1 >> 8 * byte & 0xFF
            for r in protocol.REGISTERS
            for byte in range(size)
        )
        at, mask, found = Cat(host.byte, host.address), Signal(8), Signal(8)
        m.d.comb += [
            mask.eq(exists[at]),
            read.addr.eq(
                Mux(
                    self.build.active,
                    self.build.address | half,
                    Cat(Mux(host.byte == last, last - 1, host.byte)[:2], host.address),
                )
            ),
            self.build.read_data.eq(found),
            host.read_data.eq(Mux(host.byte == last, found[-1].replicate(8), found)),
            write.addr.eq(at),
            write.data.eq(host.write_data & mask),
            write.en.eq(host.active & host.write & mask.any()),
        ]
        # The host's address is there a cycle before it is active; what tells it from the text's is not.
        waits = Signal()
        m.d.sync += [
            found.eq(read.data),
            host.done.eq(host.active & ~host.done),
            waits.eq(self.build.active & ~self.build.done),
            self.build.done.eq(waits & ~self.build.done),
        ]
        for address, register in enumerate(protocol.REGISTERS):
            value = Signal(self._shape(register), init=self._defaults[register.name])
            m.d.comb += self.values[register.name].eq(value)
            with m.If(host.active & host.write & (host.address == address)):
                with m.Switch(host.byte):
                    for byte in range(-(-len(value) // 8)):
                        with m.Case(byte):
                            part = Value.cast(value)[8 * byte : 8 * byte + 8]
                            m.d.sync += part.eq(host.write_data)
        return m

    def _shape(self, register: protocol.Register) -> Shape:
        """As wide as the machine has use for: the driver keeps fields within `field_bits`."""
        bits = register.bits
        if register.name in ("self_coupling", "chain_coupling", "margin"):
            bits = min(bits, self._config.field_bits)
        if register.name == "chain_coupling" and self._config.store == "column":
            bits = 0
        return Shape(bits, signed=register.signed and bits > 0)
