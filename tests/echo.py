"""A small component with the core's ports, for tests of what carries bytes to a core."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

STUCK = 0xFF
"""A byte that the echo never answers, and never comes to rest from."""


class Echo(wiring.Component):
    """Answers byte b with the number of earlier bytes b (0 … 7, wrapping), `delay` cycles later."""

    def __init__(self, delay: int):
        self._delay = delay
        super().__init__(
            {"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8)), "idle": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.seen = seen = memory.Memory(shape=3, depth=256, init=[0, 1, 2])
        write, read = seen.write_port(), seen.read_port()
        left = Signal(range(self._delay + 2))
        byte = Signal(8)
        waiting = left != 0
        m.d.comb += [
            self.rx.ready.eq(~waiting & ~self.tx.valid),
            self.idle.eq(~waiting & ~self.tx.valid),
            read.addr.eq(self.rx.payload),
            write.addr.eq(byte),
            write.data.eq(read.data + 1),
            write.en.eq(left == self._delay + 1),
        ]
        with m.If(self.rx.valid & self.rx.ready):
            m.d.sync += [byte.eq(self.rx.payload), left.eq(self._delay + 1)]
        with m.If(left == self._delay + 1):
            m.d.sync += [self.tx.payload.eq(read.data), left.eq(self._delay)]
        with m.Elif(waiting & (byte != STUCK)):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += self.tx.valid.eq(1)
        with m.If(self.tx.valid & self.tx.ready):
            m.d.sync += self.tx.valid.eq(0)
        return m


class EchoModel:
    """What an `Echo` answers."""

    def __init__(self) -> None:
        self._seen = [0, 1, 2] + [0] * 253

    def answer(self, data: bytes) -> bytes:
        """The answers to these bytes."""
        answers = bytearray()
        for byte in data:
            answers.append(self._seen[byte])
            self._seen[byte] = (self._seen[byte] + 1) & 7
        return bytes(answers)
