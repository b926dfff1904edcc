"""The event scanner: every marked bit of every entry once, none else, entry after entry."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from relaxon.cycles import WIDE
from relaxon.hw.events import Scanner, marked_layout, pair_layout
from relaxon.hw.rotation import delayed
from relaxon.sim.testbench.formal import local, watch

LATEST = 3
"""Cycles without a pair while bits wait, at most."""


BEFORE, THIS, AFTER = range(3)
"""Tags: of the entry that is watched, and of those before and after it. The scanner does not look at
them, so they stand for any tags."""


class EveryBitOnce(Component):
    """Watches any one entry on its way through a `Scanner`: the bits of it that are still to come.

    Members
    -------
    entries : In(stream), pairs : Out(stream)
        The scanner's.
    this : In(1)
        The entry offered is to be watched, if none was before.
    """

    def __init__(self, width: int, columns: int, scanner: type[Scanner] = Scanner):
        self._width, self._columns = width, columns
        tag = data.StructLayout({"age": 2})
        self._scanner = scanner(width, tag, columns)
        super().__init__(
            {
                "entries": In(stream.Signature(marked_layout(width, tag))),
                "pairs": Out(stream.Signature(pair_layout(width, tag))),
                "this": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.scanner = scanner = self._scanner
        wiring.connect(m, wiring.flipped(self.entries), scanner.entries)
        wiring.connect(m, scanner.pairs, wiring.flipped(self.pairs))
        entry, pair = self.entries.payload, self.pairs.payload
        known, begun = Signal(), Signal()  # it has entered; a bit of it has come out
        to_come, state = Signal(self._width), Signal(self._width)
        single = Signal()
        self.watched = known, begun, to_come, state, single
        watch(scanner, self._invariants)

        was_offered, before = delayed(m, 1, self.entries.valid & ~self.entries.ready, entry)
        own = self.this & ~known
        m.d.comb += [
            Assume(~was_offered | (self.entries.valid & (entry.as_value() == before))),
            Assume(
                entry.tag.age == Mux(known, AFTER, Mux(own, THIS, BEFORE))
            ),
        ]
        with m.If(self.entries.valid & self.entries.ready & own):
            m.d.sync += [
                known.eq(1), to_come.eq(entry.mask), state.eq(entry.state), single.eq(entry.single),
            ]  # fmt: skip
        a, b = Signal(self._width), Signal(self._width)
        m.d.comb += [a.eq(1 << pair.a), b.eq(Mux(pair.two, 1 << pair.b, 0))]
        with m.If(self.pairs.valid):
            with m.Switch(pair.tag.age):
                with m.Case(BEFORE):
                    m.d.comb += Assert(~begun, "entry after entry")
                with m.Case(THIS):
                    m.d.comb += [
                        Assert(((a | b) & ~to_come) == 0, "a marked bit, and only once"),
                        Assert((a & b) == 0, "two are different"),
                        Assert(pair.positive_a == (state & a).any(), "its sign"),
                        Assert(~pair.two | (pair.positive_b == (state & b).any()), "the other's sign"),
                        Assert(~(pair.two & single), "one at a time, if single"),
                        Cover(begun & (pair.two if self._columns == 2 else 1), "further bits"),
                    ]
                    with m.If(self.pairs.ready):
                        m.d.sync += [to_come.eq(to_come & ~(a | b)), begun.eq(1)]
                with m.Default():
                    m.d.comb += [
                        Assert(known & (to_come == 0), "none is left behind"),
                        Cover(begun, "a later entry"),
                    ]
        patience, waits = Signal(range(LATEST + 2)), to_come.any() & ~self.pairs.valid
        m.d.sync += patience.eq(Mux(waits, patience + 1, 0))
        m.d.comb += [
            Assert(scanner.more | self.pairs.valid | ~to_come.any(), "none is lost"),
            Assert(patience < LATEST, "in time"),
        ]
        return m

    def _invariants(self, scanner: Module):
        """Where the bits to come are: in the entry, picked, in the registers behind."""
        known, begun, to_come, state, single = self.watched
        entry = data.View(self.entries.payload.shape(), local(scanner, "width"))
        tag, width = entry.shape()["tag"].shape, self._width
        pick = data.View(
            data.StructLayout(
                {"lowest": width, "highest": width, "two": 1, "state": width, "tag": tag}
            ),
            local(scanner, "picks__payload"),
        )
        left, picked = self._scanner._left, local(scanner, "picks__valid")
        highest = Mux(pick.two, pick.highest, 0)
        # The bits at each place, whether there are any, whose they are: the first in comes first.
        places = [
            (entry.mask, left, entry.tag.age), (pick.lowest | highest, picked, pick.tag.age)
        ]  # fmt: skip
        holds = [
            left == entry.mask.any(),
            ~picked | (alone(pick.lowest) & (~pick.two | alone(highest))),
            ~picked | ((pick.lowest & highest) == 0),
            ~left | (entry.tag.age != THIS) | ((entry.state == state) & (entry.single == single)),
            ~picked | (pick.tag.age != THIS) | ((pick.state == state) & ~(pick.two & single)),
        ]
        if self._columns == 2 or width < WIDE:
            holds.append(local(scanner, "left") == sum(entry.mask))
        else:
            last = local(scanner, "$signal")
            holds.append(~left | (last == alone(entry.mask)))
        outputs = [(self._scanner.pairs.payload, self._scanner.pairs.valid)]
        if self._columns == 2 or width >= WIDE:
            stage, held = scanner.submodules.stage, Signal()
            spare = Signal(stage.sink.payload.shape())
            watch(stage, lambda m: [held.eq(local(m, "$signal")), spare.eq(local(m, "spare"))])
            outputs = [(spare, held), (stage.sink.payload, stage.sink.valid)]
            holds.append(~held | stage.sink.valid)
        for pair, valid in outputs:
            a, b = Signal(width), Signal(width)
            yield from (a.eq(1 << pair.a), b.eq(Mux(pair.two, 1 << pair.b, 0)))
            places.append((a | b, valid, pair.tag.age))
            holds.append(
                ~valid
                | (pair.tag.age != THIS)
                | (
                    ((a & b) == 0)
                    & (pair.positive_a == (state & a).any())
                    & (~pair.two | (pair.positive_b == (state & b).any()))
                    & ~(pair.two & single)
                )
            )
        own = [Mux(there & (age == THIS), bits, 0) for bits, there, age in places]
        holds += [to_come == reduce(or_, own), known | ~(begun | to_come.any())]
        for at, (_, there, age) in enumerate(places):
            holds += [
                ~there | (age <= Mux(known, AFTER, BEFORE)),
                ~there | ~begun | (age >= THIS),
                *((own[at] & other) == 0 for other in own[:at]),
                *(~there | ~also | (age <= behind) for _, also, behind in places[:at]),
            ]
        yield from (Assert(condition, "invariant") for condition in holds)


def alone(bits):
    """One bit is set."""
    return bits.any() & ((bits & (bits - 1)) == 0)
