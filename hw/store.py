"""The weight store: every element of W, J and F, P to a word, read and written by columns."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon.hw.hostport import HostPort
from relaxon.hw.operation import address_bits, element_shape
from relaxon.layout import Layout
from relaxon.protocol import Space


class ColumnStore(wiring.Component):
    """One memory with a read and a write port; a word is P elements of one column.

    Parameters
    ----------
    layout
        The machine's geometry (`relaxon.layout` says what lies at which address).

    Members
    -------
    read_address : In(address_bits)
    word : Out(P elements)
        What `read_address` named two cycles ago.
    write_address : In(address_bits), write_word : In(P elements), write : In(1)
    host : In(HostPort)
        Elements as on the link, each sign-extended to whole bytes; takes the ports over while
        `host.active`.

    Timing
    ------
    One read and one write per cycle. A read of the word being written returns the old word.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        words = data.ArrayLayout(element_shape(layout), layout.config.lanes)
        bits = address_bits(layout)
        super().__init__(
            {
                "read_address": In(bits),
                "word": Out(words),
                "write_address": In(bits),
                "write_word": In(words),
                "write": In(1),
                "host": In(HostPort(bits, 8 * layout.word_bytes(Space.WEIGHTS))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        elements, wire = self.word.shape(), 8 * self.layout.element_bytes
        m.submodules.memory = memory = Memory(
            shape=elements, depth=self.layout.weight_words, init=[]
        )
        read, write = memory.read_port(), memory.write_port()
        host_word = Signal(elements)
        if wire == self.layout.element_bits:
            m.d.comb += [
                host_word.eq(self.host.write_data),
                self.host.read_data.eq(self.word),
            ]
        else:
            extended = [Signal(wire, name=f"element{p}") for p in range(elements.length)]
            for p in range(elements.length):
                element = self.host.write_data.word_select(p, wire)[: self.layout.element_bits]
                m.d.comb += [host_word[p].eq(element.as_signed()), extended[p].eq(self.word[p])]
            m.d.comb += self.host.read_data.eq(Cat(extended))

        host = self.host
        m.d.sync += self.word.eq(read.data)
        m.d.comb += [
            read.addr.eq(Mux(host.active, host.address, self.read_address)),
            write.addr.eq(Mux(host.active, host.address, self.write_address)),
            write.data.eq(Mux(host.active, host_word, self.write_word)),
            write.en.eq(Mux(host.active, host.write, self.write)),
        ]
        return m
