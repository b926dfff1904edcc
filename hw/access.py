"""READ and WRITE: words of the address spaces."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.hostport import READ_CYCLES, HostPort
from relaxon.hw.operation import address_bits, group_bits
from relaxon.hw.replies import REPLY_BYTE
from relaxon.layout import Layout
from relaxon.protocol import Space, Status


def host_ports(layout: Layout) -> dict[Space, HostPort]:
    """The signature of every address space's port."""
    bits = {
        Space.REGISTERS: bits_for(len(protocol.REGISTERS) - 1),
        Space.COUNTERS: bits_for(len(protocol.COUNTERS) - 1),
        Space.WEIGHTS: address_bits(layout),
        Space.READOUT: bits_for(layout.slots - 1),
        Space.STATE: group_bits(layout),
    }
    return {space: HostPort(bits[space], 8 * layout.word_bytes(space)) for space in Space}


def port_name(space: Space) -> str:
    """The member that is a space's port."""
    return f"{space.name.lower()}_port"


class AccessPort(wiring.Component):
    """Carries out a READ or a WRITE.

    ::

        REQUEST ▶ MEASURE ▶ MULTIPLY ▶ CHECK ─┬▶ FETCH ▶ SEND … ───────┐
                                              ├▶ COLLECT ▶ STORE … ────┼▶ DONE
                                              └▶ error ────────────────┘

    Words of every space pass through one shift register, lowest byte first.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    active : In(1)
        Holds from the body's first byte until the answer is complete; then low for a cycle. The
        machine must be at rest.
    reads : In(1), length : In
        READ, not WRITE; bytes of the body.
    bytes : In(stream of 8)
        The body.
    result : Out(valid, status, empty)
        The answer may begin; holds while `active`.
    body : Out(stream of data, last)
        The words read.
    *_port : Out(HostPort)
        One for each `Space`.
    invalidate : Out(1)
        A word was written that the machine computes with.

    Timing
    ------
    A word is read in `READ_CYCLES` + 2 cycles and 1 for each byte, written in 1 and 2 for each byte.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        super().__init__(
            {
                "active": In(1),
                "reads": In(1),
                "length": In(range(layout.rx_bytes)),
                "bytes": In(stream.Signature(8)),
                "result": Out(data.StructLayout({"valid": 1, "status": 8, "empty": 1})),
                "body": Out(stream.Signature(REPLY_BYTE)),
                **{port_name(s): Out(port) for s, port in host_ports(layout).items()},
                "invalidate": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        largest = max(self.layout.word_bytes(space) for space in Space)
        self.register = Signal(8 * largest)
        self.size = Signal(range(largest + 1))  # bytes of a word
        self.left = Signal(range(max(largest, protocol.ACCESS.size) + 1))  # bytes still to move
        self.request = Signal(
            data.StructLayout(
                {name: 8 * size for name, (_, size) in protocol.ACCESS.offsets().items()}
            )
        )
        with m.FSM():
            self._check(m)
            self._read(m)
            self._write(m)
            with m.State("DONE"):
                m.d.comb += self.result.valid.eq(1)
                with m.If(~self.active):
                    m.next = "REST"
        return m

    def _check(self, m: Module) -> None:
        """Take the request and see whether it can be carried out."""
        layout, request = self.layout, self.request
        words = Array(layout.words(s) for s in Space)
        sizes = Array(layout.word_bytes(s) for s in Space)
        total = Signal(8 + len(self.size))

        with m.State("REST"):
            m.d.sync += self.left.eq(protocol.ACCESS.size)
            with m.If(self.active):
                m.next = "REQUEST"
        with m.State("REQUEST"):  # space, address, count
            m.d.comb += self.bytes.ready.eq(1)
            with m.If(self.bytes.valid):
                m.d.sync += [
                    request.eq(Cat(request.as_value()[8:], self.bytes.payload)),
                    self.left.eq(self.left - 1),
                ]
                with m.If(self.left == 1):
                    m.next = "MEASURE"
        with m.State("MEASURE"):
            m.d.sync += self.size.eq(sizes[request.space])
            m.next = "MULTIPLY"
        with m.State("MULTIPLY"):
            m.d.sync += total.eq(request.count * self.size)
            m.next = "CHECK"
        with m.State("CHECK"):
            known = request.space < len(Space)
            inside = request.address + request.count <= words[request.space]
            fits = total <= layout.reply_body
            exact = self.length == protocol.ACCESS.size + Mux(self.reads, 0, total)
            m.d.sync += [
                self.left.eq(self.size),
                self.result.status.eq(Status.OK),
                self.result.empty.eq(1),
            ]
            m.next = "DONE"
            with m.If(~known | (request.count == 0) | ~inside):
                m.d.sync += self.result.status.eq(Status.BAD_ADDRESS)
            with m.Elif(~fits | ~exact):
                m.d.sync += self.result.status.eq(Status.BAD_LENGTH)
            with m.Elif(self.reads):
                m.d.sync += self.result.empty.eq(0)
                m.next = "FETCH"
            with m.Else():
                m.next = "COLLECT"

    def _ports(self) -> list[tuple[Space, wiring.FlippedInterface]]:
        return [(space, getattr(self, port_name(space))) for space in Space]

    def _count_word(self, m: Module, then: str) -> None:
        """On to the next word, or to the end."""
        m.d.sync += [
            self.left.eq(self.size),
            self.request.address.eq(self.request.address + 1),
            self.request.count.eq(self.request.count - 1),
        ]
        m.next = then
        with m.If(self.request.count == 1):
            m.next = "DONE"

    def _read(self, m: Module) -> None:
        wait = Signal(range(READ_CYCLES + 1), init=READ_CYCLES)
        for _, port in self._ports():
            m.d.comb += port.address.eq(self.request.address)
        with m.State("FETCH"):  # a word into the shift register
            m.d.comb += [self.result.valid.eq(1), *(port.active.eq(1) for _, port in self._ports())]
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                with m.Switch(self.request.space):
                    for space, port in self._ports():
                        with m.Case(space):
                            m.d.sync += self.register.eq(port.read_data)
                m.d.sync += wait.eq(READ_CYCLES)
                m.next = "SEND"
        with m.State("SEND"):  # and into the answer
            m.d.comb += [
                self.result.valid.eq(1),
                self.body.valid.eq(1),
                self.body.payload.data.eq(self.register[:8]),
                self.body.payload.last.eq((self.left == 1) & (self.request.count == 1)),
            ]
            with m.If(self.body.ready):
                m.d.sync += [self.register.eq(self.register >> 8), self.left.eq(self.left - 1)]
                with m.If(self.left == 1):
                    self._count_word(m, "FETCH")

    def _write(self, m: Module) -> None:
        for space, port in self._ports():
            width = 8 * self.layout.word_bytes(space)
            m.d.comb += port.write_data.eq(self.register[len(self.register) - width :])
        with m.State("COLLECT"):  # a word from the frame
            m.d.comb += self.bytes.ready.eq(1)
            with m.If(self.bytes.valid):
                m.d.sync += [
                    self.register.eq(Cat(self.register[8:], self.bytes.payload)),
                    self.left.eq(self.left - 1),
                ]
                with m.If(self.left == 1):
                    m.next = "STORE"
        with m.State("STORE"):
            for space, port in self._ports():
                chosen = self.request.space == space
                m.d.comb += [port.active.eq(chosen), port.write.eq(chosen)]
            m.d.comb += self.invalidate.eq(self.request.space != Space.COUNTERS)
            self._count_word(m, "COLLECT")
