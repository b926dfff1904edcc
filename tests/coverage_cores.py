"""The cores whose RTL coverage is measured, and what carries bytes to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring

from relaxon import Config
from relaxon.hw.core import MEMBERS, Core
from relaxon.hw.top import Top
from relaxon.hw.uart import UartReceiver
from relaxon.hw.wishbone import BYTE, DATA, STATUS_WORD, WishbonePeripheral
from relaxon.sim.selftest import expected

CLOCK_HZ = 8_000_000
CYCLES = 8
"""Of a bit on the UART's line."""
TOLD = {"build": 0xFEDCBA98, "about": b"board=covered\n"}


class Door(wiring.Component):
    """A door of a core, and the other end of it: as a whole, a core with byte streams again."""

    def __init__(self, inner: wiring.Component):
        self.inner = inner
        super().__init__(MEMBERS)


class UartDoor(Door):
    """Plays each byte that it gets on the line, a bit of it per cycle, the lowest first."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = self.inner
        m.submodules.ear = ear = UartReceiver(CYCLES)
        wiring.connect(m, ear.bytes, wiring.flipped(self.tx))
        levels, left = Signal(8, init=0xFF), Signal(range(9))
        quiet = Signal(range(16 * CYCLES))
        m.d.comb += [self.rx.ready.eq(left <= 1), top.rx.eq(levels[0]), ear.line.eq(top.tx)]
        m.d.sync += levels.eq(Cat(levels[1:], 1))
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(self.rx.ready & self.rx.valid):
            m.d.sync += [levels.eq(self.rx.payload), left.eq(8)]
        with m.If((left != 0) | ~top.tx | ~top.idle):
            m.d.sync += quiet.eq(0)
        with m.Elif(~quiet.all()):
            m.d.sync += quiet.eq(quiet + 1)
        m.d.comb += [self.idle.eq(quiet.all()), self.status.eq(top.status)]
        return m


class BusDoor(Door):
    """An initiator that writes what it gets, and asks in turn for the state and the next byte."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.peripheral = peripheral = self.inner
        bus = peripheral.bus
        turn = Signal(range(4))
        writes, reads, byte = Signal(), Signal(), Signal(BYTE)
        m.d.comb += [
            byte.eq(bus.dat_r),
            writes.eq((turn == 0) & self.rx.valid),
            reads.eq((turn == 1) & peripheral.irq & ~self.tx.valid),
            bus.cyc.eq((turn != 3) & ~((turn == 0) & ~self.rx.valid)),
            bus.stb.eq(bus.cyc & ~((turn == 1) & ~reads)),
            bus.we.eq(writes),
            bus.adr.eq((turn == 2) & (STATUS_WORD != DATA)),
            bus.sel.eq((bus.stb & ~((turn == 2) & self.rx.payload[0])).replicate(4)),
            bus.dat_w.eq(self.rx.payload.replicate(4)),
            self.rx.ready.eq(writes & bus.ack),
            self.idle.eq(~peripheral.irq & ~self.tx.valid & ~self.rx.valid & quiet(m, bus.dat_r)),
        ]
        with m.If(bus.ack | ~bus.stb | ~bus.sel[0]):
            m.d.sync += turn.eq(turn + 1)
        with m.If(self.tx.ready):
            m.d.sync += self.tx.valid.eq(0)
        with m.If((turn == 1) & bus.ack):  # the byte after it may not be there yet
            m.d.sync += [self.tx.valid.eq(byte.valid), self.tx.payload.eq(byte.byte)]
        return m


def quiet(m: Module, data: Signal) -> Signal:
    """The core has been idle whenever STATUS was read, for some time."""
    # Bit 1 of STATUS; while DATA is read, no byte waits that could be taken for it.
    count, still = Signal(6), Signal()
    m.d.comb += still.eq(count.all())
    with m.If(data[1]):
        m.d.sync += count.eq(count + ~still)
    with m.Else():
        m.d.sync += count.eq(0)
    return still


def on_the_line(data: bytes) -> bytes:
    """The levels of a UART's line, `CYCLES` to a bit and a byte, after a glitch now and then."""
    levels = bytearray()
    for byte in data:
        if byte == 0x11:
            levels += b"\xFE\xFF"  # low for a cycle: no start bit
        if byte == 0x22:
            levels += bytes(10) + b"\xFF\xFF"  # no stop bit: no byte
        bits = (0, *(byte >> i & 1 for i in range(8)), 1)
        levels += bytes(0xFF * bit for bit in bits)
    return bytes(levels)


@dataclass(frozen=True)
class CoreUnderTest:
    """A core to be covered.

    Attributes
    ----------
    name
        For the table.
    config
        The machine.
    self_test
        The signature its self-test expects, if it has one.
    make
        What is compiled.
    inside
        The submodule that is covered, where what is compiled has a door around it.
    wire
        Bytes to the board, as its door takes them.
    intervals
        Clock cycles a byte takes to the core and from it, board by board; where that is long, answers
        pile up.
    """

    name: str
    config: Config
    self_test: int | None
    make: Callable[[], wiring.Component]
    clock_hz: int = 0
    wire: Callable[[bytes], bytes] = bytes
    intervals: tuple[int, ...] = (1, 1, 40)
    inside: str = ""


def _core(name: str, config: Config, self_test: int | None) -> CoreUnderTest:
    def make() -> Core:
        return Core(config, self_test=self_test, clock_hz=CLOCK_HZ, **TOLD)

    return CoreUnderTest(name, config, self_test, make, CLOCK_HZ)


def _uart(config: Config, self_test: int) -> CoreUnderTest:
    def make() -> UartDoor:
        baud = CLOCK_HZ // CYCLES
        return UartDoor(Top(config, clock_hz=CLOCK_HZ, baud=baud, self_test=self_test, **TOLD))

    return CoreUnderTest("UART", config, self_test, make, CLOCK_HZ, on_the_line, (1, 1), "top")


def _bus(config: Config) -> CoreUnderTest:
    def make() -> BusDoor:
        return BusDoor(WishbonePeripheral(config, **TOLD))

    return CoreUnderTest("Wishbone", config, None, make, inside="peripheral")


def cores() -> list[CoreUnderTest]:
    """All of them, each different in what it is made of."""
    # Five modules on two strips, the last group partly empty, a chain from group to group.
    chain = Config(modules=5, neurons=3, inputs=11, classes=3, lanes=8).with_registers(
        chain_coupling=20
    )
    # As on an iCEBreaker: one strip over a memory with one port. Two modules of three groups.
    column = Config(modules=2, neurons=10, inputs=9, classes=4, lanes=4, store="column")
    # Strips with a memory of one port each, and weights of two bytes.
    strips = Config(
        modules=4, neurons=2, inputs=7, classes=3, lanes=4, store="column", weight_bits=9
    )
    small = Config(modules=1, neurons=8, inputs=5, classes=2, lanes=8)
    return [
        _core("skewed, chain", chain, expected(chain).signature),
        _core("column", column, None),
        _core("column, strips", strips, expected(strips).signature ^ 1),  # which fails
        _uart(small, expected(small).signature),
        _bus(small),
    ]
