"""READ and WRITE: words of the address spaces."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.arithmetic import times
from relaxon.hw.hostport import host_port
from relaxon.hw.replies import REPLY_BYTE
from relaxon.layout import Layout
from relaxon.protocol import Space, Status


def port_name(space: Space) -> str:
    """The member that is a space's port."""
    return f"{space.name.lower()}_port"


class AccessPort(wiring.Component):
    """Carries out a READ or a WRITE.

    ::

        REQUEST ▶ MEASURE ▶ CHECK ─┬▶ FETCH ▶ SEND … ───────┐
                                   ├▶ COLLECT ▶ STORE … ────┼▶ DONE
                                   └▶ error ────────────────┘

    Words of every space pass byte by byte, lowest first.

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
    4 cycles for a byte read or written, and what the port takes.
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
                **{port_name(space): Out(host_port(layout, space)) for space in Space},
                "invalidate": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        self.space = Signal(range(len(Space)))
        self.address = Signal(bits_for(max(layout.words(space) for space in Space)))
        self.count = Signal(8)  # words still to move
        self.byte = Signal(range(max(protocol.ACCESS.size, *map(layout.word_bytes, Space))))
        self.data = Signal(8)
        self.last = Signal()  # the byte at hand is its word's last; known before a port is done
        sizes = Array(layout.word_bytes(space) for space in Space)
        m.d.sync += self.last.eq(self.byte == sizes[self.space] - 1)
        # Registered: the ports are far away.
        self.asked, self.writes = Signal(len(Space)), Signal()
        self.done, self.found = Signal(), Signal(8)
        ports = [self._port(space) for space in Space]
        self.answers = Signal()
        m.d.comb += self.answers.eq((self.asked & Cat(port.done for port in ports)).any())
        m.d.sync += self.done.eq(self.answers)
        with m.If(self.asked.any()):
            m.d.sync += self.found.eq(
                reduce(
                    or_, (Mux(self.asked[n], port.read_data, 0) for n, port in enumerate(ports))
                )
            )
        m.d.sync += [self.asked.eq(0), self.writes.eq(~self.reads)]
        for number, port in enumerate(ports):
            m.d.comb += [
                port.address.eq(self.address),
                port.byte.eq(self.byte),
                port.write_data.eq(self.data),
                port.active.eq(self.asked[number]),
                port.write.eq(self.writes),
            ]
        self.begun = Signal()  # the answer has come to its body
        with m.If(~self.active):
            m.d.sync += self.begun.eq(0)
        with m.Elif(self.body.ready):
            m.d.sync += self.begun.eq(1)
        with m.FSM():
            self._request(m)
            self._check(m)
            self._read(m)
            self._write(m)
            with m.State("DONE"):
                m.d.comb += self.result.valid.eq(1)
                with m.If(~self.active):
                    m.next = "REST"
        return m

    def _port(self, space: Space) -> wiring.FlippedInterface:
        return getattr(self, port_name(space))

    def _request(self, m: Module) -> None:
        """Take space, address and count."""
        self.exists = Signal()  # as far as can be told from too large a space or address
        byte = self.bytes.payload
        first, size = protocol.ACCESS.offsets()["address"]
        with m.State("REST"):
            m.d.sync += self.byte.eq(0)
            with m.If(self.active):
                m.next = "REQUEST"
        with m.State("REQUEST"):
            m.d.comb += self.bytes.ready.eq(1)
            with m.If(self.bytes.valid):
                m.d.sync += self.byte.eq(self.byte + 1)
                with m.Switch(self.byte):
                    with m.Case(0):
                        m.d.sync += [self.space.eq(byte), self.exists.eq(byte < len(Space))]
                    for i in range(size):
                        with m.Case(first + i):
                            held = self.address[8 * i : 8 * i + 8]
                            m.d.sync += held.eq(byte)
                            with m.If(byte[len(held) :].any()):
                                m.d.sync += self.exists.eq(0)
                with m.If(self.byte == protocol.ACCESS.size - 1):
                    m.d.sync += [self.count.eq(byte), self.byte.eq(0)]
                    m.next = "MEASURE"

    def _check(self, m: Module) -> None:
        """See whether it can be carried out."""
        layout, count = self.layout, self.count
        totals = Array(times(count, layout.word_bytes(space)) for space in Space)
        words = Array(layout.words(space) for space in Space)
        total = Signal(max(len(each) for each in totals))
        inside = Signal()
        with m.State("MEASURE"):
            m.d.sync += [
                total.eq(totals[self.space]),
                inside.eq(self.address + count <= words[self.space]),
            ]
            m.next = "CHECK"
        with m.State("CHECK"):
            fits = total <= layout.reply_body
            exact = self.length == protocol.ACCESS.size + Mux(self.reads, 0, total)
            m.d.sync += [self.result.status.eq(Status.OK), self.result.empty.eq(1)]
            m.next = "DONE"
            with m.If(~self.exists | (count == 0) | ~inside):
                m.d.sync += self.result.status.eq(Status.BAD_ADDRESS)
            with m.Elif(~fits | ~exact):
                m.d.sync += self.result.status.eq(Status.BAD_LENGTH)
            with m.Elif(self.reads):
                m.d.sync += self.result.empty.eq(0)
                m.next = "FETCH"
            with m.Else():
                m.next = "COLLECT"

    def _step(self, m: Module, then: str) -> None:
        """On to the next byte, or to the end."""
        m.d.sync += self.byte.eq(self.byte + 1)
        m.next = then
        with m.If(self.last):
            m.d.sync += [
                self.byte.eq(0),
                self.address.eq(self.address + 1),
                self.count.eq(self.count - 1),
            ]
            with m.If(self.count == 1):
                m.next = "DONE"

    def _ask(self, m: Module):
        """Ask the port of the space; the returned condition holds when it is done."""
        with m.If(~self.answers & ~self.done):
            m.d.sync += self.asked.eq(1 << self.space)
        return m.If(self.done)

    def _read(self, m: Module) -> None:
        with m.State("FETCH"):  # a byte of a word
            m.d.comb += self.result.valid.eq(1)
            with m.If(self.begun):
                with self._ask(m):
                    m.next = "SEND"
        with m.State("SEND"):  # into the answer
            m.d.comb += [
                self.result.valid.eq(1),
                self.body.valid.eq(1),
                self.body.payload.data.eq(self.found),
                self.body.payload.last.eq(self.last & (self.count == 1)),
            ]
            with m.If(self.body.ready):
                self._step(m, "FETCH")

    def _write(self, m: Module) -> None:
        with m.State("COLLECT"):  # a byte from the frame
            m.d.comb += self.bytes.ready.eq(1)
            with m.If(self.bytes.valid):
                m.d.sync += self.data.eq(self.bytes.payload)
                m.next = "STORE"
        with m.State("STORE"):  # into a word
            m.d.comb += self.invalidate.eq(self.space != Space.COUNTERS)
            with self._ask(m):
                self._step(m, "COLLECT")
