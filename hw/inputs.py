"""The inputs: the next sample's while they arrive, this sample's, and which of them differ."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.events import EntryList, Scanner, marked_layout, pair_layout
from relaxon.layout import Layout


def byte_write_layout(layout: Layout) -> data.StructLayout:
    """One byte of the packed inputs."""
    return data.StructLayout(
        {"valid": 1, "address": bits_for(max(1, layout.input_bytes - 1)), "data": 8}
    )


def word_bits(layout: Layout) -> int:
    """Width of the number of a word of inputs."""
    return bits_for(max(1, input_words(layout) - 1))


def input_words(layout: Layout) -> int:
    """Words that hold all inputs."""
    return -(-layout.config.inputs // layout.input_word)


def word_write_layout(layout: Layout) -> data.StructLayout:
    """One word of this sample's inputs."""
    return data.StructLayout(
        {"valid": 1, "address": word_bits(layout), "data": layout.input_word}
    )


def input_tag(layout: Layout) -> data.StructLayout:
    """Which word of the inputs an entry is."""
    return data.StructLayout({"word": word_bits(layout)})


class Inputs(wiring.Component):
    """Two buffers: bytes are written to one while the other is in use.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    write : In
        A byte of the next sample's packed inputs, only while `free`.
    free : Out(1)
    take : In(1), all : In(1)
        The next sample's inputs become this sample's; those that differ, or all, become events.
    current : Out
        This sample's words as they are taken, for whoever keeps a copy.
    look : In, looked : Out
        A word of this sample's, a cycle after asking; not while it is being taken.
    pairs : Out(stream)
        The events.
    more : Out(1)
        There are, or may be, events beside those in `pairs`.

    Timing
    ------
    A word per cycle; the first event six cycles after `take`, at the earliest.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        super().__init__(
            {
                "write": In(byte_write_layout(layout)),
                "free": Out(1, init=1),
                "take": In(1),
                "all": In(1),
                "current": Out(word_write_layout(layout)),
                "look": In(word_bits(layout)),
                "looked": Out(layout.input_word),
                "pairs": Out(stream.Signature(pair_layout(layout.input_word, input_tag(layout)))),
                "more": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, width, words = self.layout, self.layout.input_word, input_words(self.layout)
        shape = data.ArrayLayout(8, width // 8)
        m.submodules.next = following = Memory(shape=shape, depth=max(2, words), init=[])
        m.submodules.now = now = Memory(shape=width, depth=max(2, words), init=[])
        fill, copy = following.write_port(granularity=1), now.write_port()
        new, old = following.read_port(), now.read_port()
        bytes_ = width // 8
        lane, word = self.write.address % bytes_, self.write.address // bytes_
        m.d.comb += [
            fill.addr.eq(word),
            *(fill.data[i].eq(self.write.data) for i in range(bytes_)),
            fill.en.eq(self.write.valid << lane),
        ]

        # Walk over the words: read both, compare, keep the new one.
        walking, at = Signal(), Signal(word_bits(layout))
        read, everything = Signal(), Signal()
        m.d.comb += [
            new.addr.eq(at),
            old.addr.eq(Mux(walking, at, self.look)),
            self.looked.eq(old.data),
            copy.addr.eq(self.current.address),
        ]
        m.d.sync += [read.eq(walking), self.current.address.eq(at)]
        with m.If(self.take):
            m.d.sync += [walking.eq(1), at.eq(0), everything.eq(self.all), self.free.eq(0)]
        with m.Elif(walking):
            m.d.sync += at.eq(at + 1)
            with m.If(at == words - 1):
                m.d.sync += walking.eq(0)
        with m.If(read & ~walking):
            m.d.sync += self.free.eq(1)
        m.d.comb += [
            self.current.valid.eq(read),
            self.current.data.eq(new.data.as_value()),
            copy.data.eq(self.current.data),
            copy.en.eq(read),
        ]

        tag = input_tag(layout)
        m.submodules.list = entries = EntryList(marked_layout(width, tag), words)
        m.submodules.scanner = scanner = Scanner(width, tag, layout.columns)
        entry = entries.push.entry
        there = Const(-1, width)
        if layout.config.inputs % width:
            last = Const((1 << layout.config.inputs % width) - 1, width)
            there = Mux(self.current.address == words - 1, last, there)
        m.d.comb += [
            entries.clear.eq(self.take),
            entry.mask.eq((self.current.data ^ old.data | everything.replicate(width)) & there),
            entry.state.eq(self.current.data),
            entry.tag.word.eq(self.current.address),
            entries.push.valid.eq(read & entry.mask.any()),
            self.more.eq(walking | read | entries.entries.valid | scanner.more),
        ]
        wiring.connect(m, entries.entries, scanner.entries)
        wiring.connect(m, scanner.pairs, wiring.flipped(self.pairs))
        return m
