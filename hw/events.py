"""From masks to events: the list of groups that changed, and the scanner that walks it."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.operation import entry_layout, event_layout, group_bits
from relaxon.layout import Layout


class EntryList(wiring.Component):
    """Groups with reported neurons, in order: filled by one pass over the groups, then read out.

    Members
    -------
    clear : In(1)
        Forget everything.
    push : In(valid, entry)
        Append; the list holds one entry per group, which a pass cannot exceed.
    entries : Out(stream)
        The entries, oldest first. Start reading only after the pass is complete.

    Timing
    ------
    One entry per cycle each way; an entry can be read two cycles after it was pushed.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        entry = entry_layout(layout)
        super().__init__(
            {
                "clear": In(1),
                "push": In(data.StructLayout({"valid": 1, "entry": entry})),
                "entries": Out(stream.Signature(entry)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = max(2, self.layout.groups)
        m.submodules.memory = memory = Memory(
            shape=entry_layout(self.layout), depth=depth, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        end, at, following = (Signal(bits_for(depth), name=n) for n in ("end", "at", "following"))
        m.d.comb += [
            write.addr.eq(end),
            write.data.eq(self.push.entry),
            write.en.eq(self.push.valid),
            following.eq(at + (self.entries.valid & self.entries.ready)),
            read.addr.eq(following),
            self.entries.payload.eq(read.data),
        ]
        m.d.sync += [
            end.eq(end + self.push.valid),
            at.eq(following),
            self.entries.valid.eq(following < end),
        ]
        with m.If(self.clear):
            m.d.sync += [end.eq(0), at.eq(0), self.entries.valid.eq(0)]
        return m


class EventScanner(wiring.Component):
    """Turns entries into events, one per neuron of the mask, lowest lane first.

    Members
    -------
    entries : In(stream)
    state_write : Out(valid, group, state)
        The new states of an entry's group, when the entry is taken.
    events : Out(stream)
    busy : Out(1)
        An event is under way (an entry still waiting at the input does not count).

    Timing
    ------
    One event per cycle, without a gap between entries; the first two cycles after its entry.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        lanes = layout.config.lanes
        super().__init__(
            {
                "entries": In(stream.Signature(entry_layout(layout))),
                "state_write": Out(
                    data.StructLayout({"valid": 1, "group": group_bits(layout), "state": lanes})
                ),
                "events": Out(stream.Signature(event_layout(layout))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, lanes, h = self.layout, self.layout.config.lanes, self.layout.config.neurons
        step, blocks = layout.groups_per_module, layout.modules_per_group
        entry = self.entries.payload
        mask, state = Signal(lanes), Signal(lanes)
        base = Signal.like(self.events.payload.address)
        first_group = Signal.like(entry.group)
        first_slot = Signal.like(self.events.payload.slot)

        places = [layout.block_of_lane(p) for p in range(lanes)]
        lowest, rest = Signal(lanes), Signal(lanes)
        column = Signal.like(base)
        lane = Signal(range(lanes))
        block = Signal(blocks)
        m.d.comb += [
            lowest.eq(mask & -mask),
            rest.eq(mask & ~lowest),
            lane.eq(_select(lowest, range(lanes))),
            column.eq(_select(lowest, [place * step for _, place in places])),
            block.eq(_select(lowest, [1 << block for block, _ in places])),
        ]

        event = self.events.payload
        advance = Signal()
        m.d.comb += [
            advance.eq(~self.events.valid | self.events.ready),
            self.entries.ready.eq(advance & (rest == 0)),
            self.busy.eq(self.events.valid | mask.any()),
            self.state_write.valid.eq(self.entries.valid & self.entries.ready),
            self.state_write.group.eq(entry.group),
            self.state_write.state.eq(entry.state),
        ]
        with m.If(advance):
            m.d.sync += [
                self.events.valid.eq(mask.any()),
                event.address.eq(base + column),
                event.group.eq(first_group),
                event.blocks.eq(block),
                event.slot.eq(first_slot + lane),
                event.positive.eq((state & lowest).any()),
                mask.eq(rest),
            ]
        with m.If(self.entries.valid & self.entries.ready):
            # A module's columns start at recurrent_base + H · (its first group).
            first = (entry.group - entry.local)[: len(first_group)]
            m.d.sync += [
                mask.eq(entry.mask),
                state.eq(entry.state),
                first_group.eq(first),
                first_slot.eq(entry.group * lanes),
                base.eq(layout.recurrent_base + first * h + entry.local * (lanes * step)),
            ]
        return m


def _select(one_hot: Signal, values) -> Signal:
    """The value beside the bit that is set: an and-or tree, no priority chain."""
    values = list(values)
    width = bits_for(max(values))
    return Cat(
        Cat(one_hot[i] for i, value in enumerate(values) if value >> bit & 1).any()
        if any(value >> bit & 1 for value in values)
        else Const(0, 1)
        for bit in range(width)
    )
