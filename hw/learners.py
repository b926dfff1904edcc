"""Which couplings of the unstable neurons learn, cycle by cycle: by rows or by columns."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon.cycles import timing
from relaxon.hw.arithmetic import times
from relaxon.hw.events import pair_layout
from relaxon.hw.inputs import input_words, word_bits
from relaxon.hw.operation import (
    Use,
    access_layout,
    entry_layout,
    group_bits,
    learn_layout,
)
from relaxon.layout import Layout


def learner_members(layout: Layout, neurons, states: int) -> dict[str, wiring.Member]:
    """What a learner is connected by.

    ============================  ===============================================================
    neurons : In(stream)          who learns
    input, recurrent : In(1)      whether W, J learn (at least one does)
    input_read : Out              a word of the inputs, in `input_word` one cycle later
    state_read : Out              a group's states, in `state_word` one cycle later
    access, learn : Out           to the store (of columns: `learn` two cycles after `access`)
    positive : Out                states of the neurons that learn (skewed: of the one)
    busy : Out(1)                 an access may still follow
    ============================  ===============================================================
    """
    return {
        "neurons": In(stream.Signature(neurons)),
        "input": In(1),
        "recurrent": In(1),
        "input_read": Out(word_bits(layout)),
        "input_word": In(layout.input_word),
        "state_read": Out(group_bits(layout)),
        "state_word": In(layout.strip_lanes),
        "access": Out(access_layout(layout)),
        "learn": Out(learn_layout(layout)),
        "positive": Out(states),
        "busy": Out(1),
    }


class RowLearner(wiring.Component):
    """One neuron after another: its row of W, a word of inputs at a time; then that of J, a group
    at a time.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    See `learner_members`; `neurons` are pairs of which `a` counts.

    Timing
    ------
    ⌈N/B⌉ + ⌈H/P⌉ cycles per neuron (those of the arrays that learn), without gaps; the first access
    three cycles after the neuron was taken.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        pairs = pair_layout(layout.strip_lanes, neuron_tag(layout))
        super().__init__(learner_members(layout, pairs, 1))

    def elaborate(self, platform):
        m = Module()
        layout, config = self.layout, self.layout.config
        words, parts = input_words(layout), layout.groups_per_module
        neuron = self.neurons.payload

        # The neuron that learns next, and where its rows begin …
        waits, following = Signal(), Signal.like(neuron)
        start_input, start_recurrent = (
            Signal.like(self.access.a, name=name) for name in ("start_input", "start_recurrent")
        )
        takes = Signal()
        m.d.comb += self.neurons.ready.eq(~waits | takes)
        with m.If(self.neurons.ready):
            m.d.sync += [
                waits.eq(self.neurons.valid),
                following.eq(neuron),
                start_input.eq(layout.input_base + neuron.tag.group * config.inputs),
                start_recurrent.eq(layout.recurrent_base + neuron.tag.group * config.neurons),
            ]

        # … the couplings being named …
        active, drive = Signal(), Signal()
        index = Signal(range(max(2, words, parts)))
        address, recurrent = Signal.like(self.access.a), Signal.like(self.access.a)
        own = Signal.like(neuron)
        last = index == Mux(drive, words - 1, parts - 1)
        m.d.comb += [
            takes.eq(~active | (last & (~drive | ~self.recurrent))),
            self.input_read.eq(index),
            self.state_read.eq(own.tag.group - own.tag.local + index),
        ]
        with m.If(active):
            m.d.sync += [
                index.eq(index + 1),
                address.eq(address + Mux(drive, layout.banks, layout.strip_lanes)),
            ]
            with m.If(last):
                m.d.sync += [drive.eq(0), index.eq(0), address.eq(recurrent)]
        with m.If(takes):
            m.d.sync += active.eq(waits)
            with m.If(waits):
                m.d.sync += [
                    own.eq(following),
                    index.eq(0),
                    drive.eq(self.input),
                    address.eq(Mux(self.input, start_input, start_recurrent)),
                    recurrent.eq(start_recurrent),
                ]

        # … and, a cycle later, their signs.
        valid, place, wraps = Signal(), Signal.like(self.learn.place), Signal(layout.banks)
        # Of each bank's address (`SkewedStore`); as wide as that, for a place may be narrower.
        bits = layout.banks.bit_length() - 1
        lows = [Signal(bits, name=f"low{p}") for p in range(layout.banks)]
        m.d.comb += [low.eq(p - own.a) for p, low in enumerate(lows)]
        # The banks of the first element and of the coupling to itself, if it is there.
        origin, itself = Signal(bits), Signal(bits)
        final, diagonal = Signal(), Signal()
        access, learn = self.access, self.learn
        m.d.sync += [
            valid.eq(active),
            access.a.eq(address),
            access.group.eq(own.tag.group),
            access.drive.eq(drive),
            self.positive.eq(own.positive_a),
            place.eq(own.a),
            wraps.eq(Cat(low < address[:bits] for low in lows)),
            origin.eq(own.a + address[:bits]),
            itself.eq((own.a << 1) + address[:bits]),
            final.eq(last),
            diagonal.eq(~drive & (index == own.tag.local)),
        ]
        m.d.comb += [
            access.use.eq(Mux(valid, Use.LEARN, Use.NONE)),
            learn.place.eq(place),
            learn.wraps.eq(wraps),
            learn.mask.eq(self._mask(m, origin, itself, final, diagonal)),
            learn.up.eq(
                ~(
                    Mux(access.drive, self.input_word, self.state_word)
                    ^ self.positive.replicate(layout.banks)
                )
            ),
            self.busy.eq(waits | active | valid),
        ]
        return m

    def _mask(self, m: Module, origin: Signal, itself: Signal, final: Signal, diagonal: Signal) -> Value:
        """The banks whose element of the row learns: those that the row still has, but the one of the
        coupling to itself."""
        layout, config = self.layout, self.layout.config
        every, rest = layout.banks, (config.inputs - 1) % layout.banks + 1
        body, tail = layout.strip_lanes, (config.neurons - 1) % layout.strip_lanes + 1
        masks = []
        for p in range(layout.banks):
            number = Signal(len(origin), name=f"number{p}")  # of the bank's element in the row
            m.d.comb += number.eq(p - origin)
            masks.append(
                Mux(
                    self.access.drive,
                    Mux(final, number < rest, number < every),
                    Mux(final, number < tail, number < body) & ~(diagonal & (itself == p)),
                )
            )
        return Cat(masks)


class ColumnLearner(wiring.Component):
    """One group after another: every column of W, then of J, on the lanes of the neurons that learn.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    See `learner_members`; `neurons` are entries.

    Timing
    ------
    2·(N + H) cycles per group (those of the arrays that learn); the first access two cycles after
    the group was taken.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        super().__init__(learner_members(layout, entry_layout(layout), layout.strip_lanes))

    def elaborate(self, platform):
        m = Module()
        layout, config = self.layout, self.layout.config
        entry = self.neurons.payload

        active, drive, odd = Signal(), Signal(), Signal()
        index = Signal(range(max(config.inputs, config.neurons)))
        word = Signal(range(max(2, input_words(layout), layout.groups_per_module)))
        bit = Signal(range(max(layout.input_word, layout.strip_lanes)))
        states = Signal.like(self.state_read)  # the group whose states are words of J
        address, recurrent = Signal.like(self.access.a), Signal.like(self.access.a)
        own = Signal.like(entry)
        last = index == Mux(drive, config.inputs - 1, config.neurons - 1)
        finishes = odd & last & (~drive | ~self.recurrent)
        start_input = layout.input_base + times(entry.group, config.inputs)
        start_recurrent = layout.recurrent_base + times(entry.group, config.neurons)
        m.d.comb += [
            self.neurons.ready.eq(~active | finishes),
            self.input_read.eq(word),
            self.state_read.eq(states),
        ]
        with m.If(active):
            m.d.sync += odd.eq(~odd)
            with m.If(odd):
                m.d.sync += [index.eq(index + 1), address.eq(address + 1), bit.eq(bit + 1)]
                with m.If(bit == Mux(drive, layout.input_word - 1, layout.strip_lanes - 1)):
                    m.d.sync += [bit.eq(0), word.eq(word + 1), states.eq(states + ~drive)]
                with m.If(last):
                    m.d.sync += [drive.eq(0), address.eq(recurrent)]
                    m.d.sync += [index.eq(0), bit.eq(0), word.eq(0)]
        with m.If(self.neurons.ready):
            m.d.sync += active.eq(self.neurons.valid)
            with m.If(self.neurons.valid):
                m.d.sync += [
                    own.eq(entry),
                    odd.eq(0),
                    index.eq(0),
                    bit.eq(0),
                    word.eq(0),
                    states.eq(entry.group - entry.local),
                    drive.eq(self.input),
                    address.eq(Mux(self.input, start_input, start_recurrent)),
                    recurrent.eq(start_recurrent),
                ]

        access, learn, lanes = self.access, self.learn, layout.strip_lanes
        valid, mask, at, diagonal = Signal(), Signal(lanes), Signal.like(bit), Signal()
        late = Signal(timing(layout.config).latency)  # the last word is still to be written
        m.d.sync += [
            valid.eq(active & ~odd),
            late.eq(Cat(valid, late)),
            access.a.eq(address),
            access.group.eq(own.group),
            access.drive.eq(drive),
            self.positive.eq(own.state),
            mask.eq(own.mask),
            at.eq(bit),
            diagonal.eq(~drive & (word == own.local)),
        ]
        sign = Signal()
        m.d.sync += [
            sign.eq(
                Mux(
                    access.drive,
                    self.input_word.bit_select(at, 1),
                    self.state_word.bit_select(at, 1),
                )
            ),
            # No neuron learns a coupling to itself.
            learn.mask.eq(mask & ~Mux(diagonal, 1 << at, 0)),
            learn.up.eq(~(sign.replicate(lanes) ^ self.positive)),
        ]
        m.d.comb += [
            access.use.eq(Mux(valid, Use.LEARN, Use.NONE)),
            self.busy.eq(active | valid | late.any()),
        ]
        return m


def neuron_tag(layout: Layout) -> data.StructLayout:
    """What goes with the neurons of an entry: their group, its number within its module, and the
    word of J that is the first of its columns in the first group of the module."""
    entry = entry_layout(layout)
    return data.StructLayout(
        {
            "group": entry["group"].shape,
            "local": entry["local"].shape,
            "base": access_layout(layout)["a"].shape,
        }
    )
