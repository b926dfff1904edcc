"""From masks to events: lists of words with marked bits, and the scanner that walks over them."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.cycles import WIDE
from relaxon.hw.streams import Stage

PRIORITY_CHUNK = 4
"""Bits among which the lowest is found by one level of logic."""


class EntryList(wiring.Component):
    """Entries in order: filled by one pass, read out from then on or meanwhile.

    Parameters
    ----------
    entry
        Shape of an entry.
    depth
        Entries of one pass.

    Members
    -------
    clear : In(1)
        Forget everything, before a new pass.
    push : In(valid, entry)
    entries : Out(stream)
        The entries, oldest first.

    Timing
    ------
    One entry per cycle each way; an entry can be read a cycle after it was pushed.
    """

    def __init__(self, entry: data.StructLayout, depth: int):
        self._entry, self._depth = entry, max(2, depth)
        super().__init__(
            {
                "clear": In(1),
                "push": In(data.StructLayout({"valid": 1, "entry": entry})),
                "entries": Out(stream.Signature(entry)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._entry, depth=self._depth, init=[])
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        end, at, following = (
            Signal(bits_for(self._depth), name=n) for n in ("end", "at", "following")
        )
        takes, one = Signal(), Signal()  # an entry leaves; there is one
        m.d.comb += [
            takes.eq(self.entries.valid & self.entries.ready),
            write.addr.eq(end),
            write.data.eq(self.push.entry),
            write.en.eq(self.push.valid),
            following.eq(at + takes),
            read.addr.eq(following),
            self.entries.payload.eq(read.data),
        ]
        m.d.sync += [end.eq(end + self.push.valid), at.eq(following)]
        with m.If(self.push.valid & ~takes):
            m.d.sync += [self.entries.valid.eq(1), one.eq(~self.entries.valid)]
        with m.Elif(~self.push.valid & takes):
            m.d.sync += [self.entries.valid.eq(~one), one.eq(end == (at + 2)[: len(at)])]
        with m.If(self.clear):
            m.d.sync += [end.eq(0), at.eq(0), self.entries.valid.eq(0)]
        return m


def marked_layout(width: int, tag: data.StructLayout) -> data.StructLayout:
    """An entry of the scanner: marked bits, whether to take them one by one, their new signs, and what
    else is to go with them."""
    return data.StructLayout({"mask": width, "single": 1, "state": width, "tag": tag})


def pair_layout(width: int, tag: data.StructLayout) -> data.StructLayout:
    """One or (`two`) two marked bits of an entry: their places and signs, and the entry's tag."""
    place = bits_for(max(1, width - 1))
    return data.StructLayout(
        {"a": place, "b": place, "two": 1, "positive_a": 1, "positive_b": 1, "tag": tag}
    )


class Scanner(wiring.Component):
    """Takes the marked bits of entries, the lowest and the highest at a time.

    Parameters
    ----------
    width
        Bits of a mask.
    tag
        What goes with an entry.
    columns
        Bits taken at a time: 1 (the lowest) or, but of entries that are `single`, 2.

    Members
    -------
    entries : In(stream of marked_layout)
        A mask that is 0 is passed over.
    pairs : Out(stream of pair_layout)
    more : Out(1)
        Bits are left beside those in `pairs`.

    Timing
    ------
    One pair per cycle, without a gap between entries; the first three cycles after its entry.
    """

    def __init__(self, width: int, tag: data.StructLayout, columns: int):
        self._width, self._columns, self._tag = width, columns, tag
        super().__init__(
            {
                "entries": In(stream.Signature(marked_layout(width, tag))),
                "pairs": Out(stream.Signature(pair_layout(width, tag))),
                "more": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        picks = self._pick(m)
        pick, pairs = picks.payload, Signal.like(self.pairs.payload)
        # From marked bits to their places.
        m.d.comb += [
            pairs.a.eq(place_of(pick.lowest)),
            pairs.b.eq(place_of(pick.highest)),
            pairs.two.eq(pick.two),
            pairs.positive_a.eq((pick.state & pick.lowest).any()),
            pairs.positive_b.eq((pick.state & pick.highest).any()),
            pairs.tag.eq(pick.tag),
        ]
        if self._columns == 1 and self._width < WIDE:
            m.d.comb += [
                picks.ready.eq(~self.pairs.valid | self.pairs.ready),
                self.more.eq(self._left | picks.valid),
            ]
            with m.If(picks.ready):
                m.d.sync += [self.pairs.valid.eq(picks.valid), self.pairs.payload.eq(pairs)]
            return m
        # What they wait for is deep or far, and what waits behind them is wide.
        m.submodules.stage = stage = Stage(pairs.shape())
        m.d.comb += [
            stage.source.payload.eq(pairs),
            stage.source.valid.eq(picks.valid),
            picks.ready.eq(stage.source.ready),
            self.more.eq(self._left | picks.valid | ~stage.source.ready),
        ]
        wiring.connect(m, stage.sink, wiring.flipped(self.pairs))
        return m

    def _pick(self, m: Module):
        """The lowest and the highest bit of the entry, turn by turn."""
        entry, width = Signal.like(self.entries.payload), self._width
        alone = Const(1) if self._columns == 1 else entry.single
        picks = stream.Signature(
            data.StructLayout(
                {"lowest": width, "highest": width, "two": 1, "state": width, "tag": self._tag}
            )
        ).create()
        two, last, advance = Signal(), Signal(), Signal()
        self._left = Signal()  # of this entry
        lowest, highest = lowest_bit(m, entry.mask), Const(0, width)
        takes = self.entries.valid & self.entries.ready
        if self._columns == 2:
            highest = lowest_bit(m, entry.mask[::-1])[::-1]
        if self._columns == 2 or self._width < WIDE:
            left = Signal(range(width + 1))  # bits, counted: to tell the last turn at once
            m.d.comb += [
                two.eq(~alone & (left >= 2)),
                last.eq(left <= Mux(alone, 1, 2)),
                self._left.eq(left != 0),
            ]
            with m.If(advance & self._left):
                m.d.sync += left.eq(Mux(last, 0, left - Mux(two, 2, 1)))
            with m.If(takes):
                m.d.sync += left.eq(sum(self.entries.payload.mask))
        else:  # counting takes too long, and what matters is whether one bit is left, or two
            before, there = few(m, entry.mask), few(m, self.entries.payload.mask)
            with m.If(advance & self._left):
                m.d.sync += [self._left.eq(before >= 2), last.eq(before == 2)]
            with m.If(takes):
                m.d.sync += [self._left.eq(there != 0), last.eq(there == 1)]
        m.d.comb += [
            advance.eq(~picks.valid | picks.ready),
            self.entries.ready.eq(~self._left | (advance & last)),
        ]
        with m.If(advance):
            m.d.sync += picks.valid.eq(self._left)
            with m.If(self._left):
                m.d.sync += [
                    entry.mask.eq(entry.mask & ~lowest & ~Mux(two, highest, 0)),
                    picks.payload.lowest.eq(lowest),
                    picks.payload.highest.eq(highest),
                    picks.payload.two.eq(two),
                    picks.payload.state.eq(entry.state),
                    picks.payload.tag.eq(entry.tag),
                ]
        with m.If(takes):
            m.d.sync += entry.eq(self.entries.payload)
        return picks


def few(m: Module, bits) -> Value:
    """How many bits are set: 0, 1, 2, or 3 for more; no carry chain, a few levels of logic."""
    counts = [Cat(bit, Const(0, 1)) for bit in bits]
    while len(counts) > 1:
        sums = []
        for a, b in zip(counts[::2], counts[1::2], strict=False):
            sums.append(Signal(2, name="few"))
            m.d.comb += sums[-1].eq(
                Cat(
                    (a[0] ^ b[0]) | (a[1] & b[1]) | (a[0] & a[1]) | (b[0] & b[1]),
                    a[1] | b[1] | (a[0] & b[0]),
                )
            )
        counts = sums + counts[len(counts) & ~1 :]
    return counts[0]


def lowest_bit(m: Module, value) -> Signal:
    """The lowest bit that is set, alone; no carry chain, a few levels of logic."""
    given, lowest = Signal(len(value), name="given"), Signal(len(value), name="lowest")
    m.d.comb += given.eq(value)
    chunks = [given[at : at + PRIORITY_CHUNK] for at in range(0, len(given), PRIORITY_CHUNK)]
    first = [1] if len(chunks) == 1 else lowest_bit(m, Cat(chunk.any() for chunk in chunks))
    m.d.comb += lowest.eq(
        Cat(
            chunk[i] & ~chunk[:i].any() & first[number]
            for number, chunk in enumerate(chunks)
            for i in range(len(chunk))
        )
    )
    return lowest


def place_of(one_hot):
    """Number of the bit that is set: an or tree."""
    places = range(len(one_hot))
    return Cat(
        Cat(one_hot[i] for i in places if i >> bit & 1).any()
        for bit in range(bits_for(max(1, len(one_hot) - 1)))
        if any(i >> bit & 1 for i in places)
    )


