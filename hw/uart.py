"""A UART: 8 data bits, no parity, one stop bit."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


class UartReceiver(wiring.Component):
    """Bytes from a line.

    Members
    -------
    line : In(1)
    bytes : Out(stream of 8)
        Offered for one cycle; a byte not taken then is lost (the `Receiver` always takes it).

    Timing
    ------
    A bit is sampled in its middle; a byte appears in the middle of its stop bit, or not at all if
    that is low. With 4 cycles to a bit the sender's rate may be off by 2 %, with more by more.
    """

    def __init__(self, cycles: int):
        self._cycles = cycles
        super().__init__({"line": In(1, init=1), "bytes": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules += FFSynchronizer(self.line, line, init=1)
        timer, bit = Signal(range(2 * self._cycles)), Signal(range(9))
        m.d.sync += [self.bytes.valid.eq(0), timer.eq(timer - 1)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [timer.eq(self._cycles // 2 - 1), bit.eq(0)]
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(timer == 0):
                    m.d.sync += timer.eq(self._cycles - 1)
                    m.next = "DATA"
                    with m.If(line):  # a glitch
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self._cycles - 1), bit.eq(bit + 1)]
                    with m.If(bit == 8):
                        m.d.sync += self.bytes.valid.eq(line)
                        m.next = "RECOVER"
                        with m.If(line):  # the next start bit may be a cycle away
                            m.next = "IDLE"
                    with m.Else():
                        m.d.sync += self.bytes.payload.eq(Cat(self.bytes.payload[1:], line))
            with m.State("RECOVER"):  # no stop bit: the line is broken, or this was no byte
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto a line.

    Members
    -------
    bytes : In(stream of 8)
    line : Out(1)

    Timing
    ------
    Ten bits a byte, back to back.
    """

    def __init__(self, cycles: int):
        self._cycles = cycles
        super().__init__({"bytes": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        bits = Signal(10, init=-1)
        left, timer = Signal(range(11)), Signal(range(self._cycles))
        ends = (left == 1) & (timer == 0)  # the stop bit
        m.d.comb += [self.line.eq(bits[0]), self.bytes.ready.eq((left == 0) | ends)]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [
                bits.eq(Cat(Const(0, 1), self.bytes.payload, Const(1, 1))),
                left.eq(10),
                timer.eq(self._cycles - 1),
            ]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [
                bits.eq(Cat(bits[1:], Const(1, 1))),
                left.eq(left - 1),
                timer.eq(self._cycles - 1),
            ]
        return m
