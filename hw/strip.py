"""A strip: lanes over a weight store of their own, and what walks over their events and learners."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.cycles import WIDE, timing
from relaxon.hw.cluster import LANES, Cluster
from relaxon.hw.compact import LANES as FEW_LANES
from relaxon.hw.compact import CompactLanes
from relaxon.hw.events import EntryList, Scanner, pair_layout
from relaxon.hw.hostport import WordPort
from relaxon.hw.inputs import input_words, word_bits, word_write_layout
from relaxon.hw.lane import addend_layout, factor_of, target_layout
from relaxon.hw.learners import ColumnLearner, RowLearner, neuron_tag
from relaxon.hw.operation import (
    Mode,
    Use,
    access_layout,
    address_bits,
    entry_layout,
    evaluation_layout,
    group_bits,
    reported_layout,
    side_layout,
)
from relaxon.hw.popcount import Popcount
from relaxon.hw.registers import REGISTERS
from relaxon.hw.rotation import delayed
from relaxon.hw.states import States
from relaxon.hw.store import weight_store
from relaxon.layout import Layout


class Strip(wiring.Component):
    """One strip.

    ::

        evaluation ──────────────┬─▶ lanes ─▶ list ─▶ scanner ─┬─▶ events ──┐
        access ─▶┬─▶ store ─────▶┘     ▲                       └─▶ learner ─┤
                 └──────────────────── │ ◀──────────────────────────────────┘
                        └─▶ change ────┘

    Parameters
    ----------
    layout
        The machine's geometry.
    number
        Which strip it is.

    Members
    -------
    access : In, evaluation : In
        What all strips do. No ADD may come while the strip's own events do.
    apply : In(1), learn : In(1)
        Reported neurons become events; or they learn.
    coupled : In(1)
        Modules are coupled in a chain.
    rest : In(1)
        Events count once, not twice: the neurons had no state before.
    clear : In(1)
        Forget what was reported.
    input : In, input_read : Out, input_word : In
        Words of this sample's inputs as they come; for a lone strip (`relaxon.layout`) without a
        copy, one of them a cycle after asking.
    registers : In
    center : Out, previous, next : In, before, after : Out
        At stage 1 of the lanes: the states of the group, of its neighbours in the chain; those that
        are neighbours of other strips' neurons, in the rows before and after.
    reported : Out(valid, bin)
        An evaluation reported a neuron in this bin of rows; the bin is the same for all strips.
    idle : Out(1)
        No evaluation is under way, nothing reported is left to be done.
    event : Out(stream-like valid, pair)
        A pair of neurons has changed; for the readout.
    unstable, cut : Out
        Neurons found unstable; couplings cut. To count.
    used : Out(1)
        The weight memory is used.
    envelope : Out(valid, value)
        Bitwise or of the lanes' envelopes.
    state_read : In(group), state_word : Out
        States for the readout.
    states : In(WordPort)
    weights : In(WordPort)
        Unless the readout is serial (`relaxon.layout`); in this case
    side : In, word : Out
        instead: see `ColumnStore`.

    Timing
    ------
    `relaxon.cycles` says how long evaluations, events and learning take.
    """

    def __init__(self, layout: Layout, number: int):
        self.layout, self._number = layout, number
        lanes, group = layout.strip_lanes, group_bits(layout)
        self._latency = 1 + timing(layout.config).latency
        if layout.serial:
            memory = {"side": In(side_layout(layout)), "word": Out(8 * layout.strip_bytes)}
        else:
            memory = {"weights": In(WordPort(address_bits(layout), 8 * layout.strip_bytes))}
        super().__init__(
            memory
            | {
                "access": In(access_layout(layout)),
                "evaluation": In(evaluation_layout(layout)),
                "apply": In(1),
                "learn": In(1),
                "coupled": In(1),
                "rest": In(1),
                "clear": In(1),
                "input": In(word_write_layout(layout)),
                "input_read": Out(word_bits(layout)),
                "input_word": In(layout.input_word),
                "registers": In(REGISTERS),
                "center": Out(lanes),
                "before": Out(lanes),
                "after": Out(lanes),
                "previous": In(lanes),
                "next": In(lanes),
                "reported": Out(reported_layout(layout)),
                "idle": Out(1),
                "event": Out(data.StructLayout({"valid": 1, "pair": self._pairs()})),
                "unstable": Out(bits_for(lanes)),
                "cut": Out(bits_for(layout.banks)),
                "used": Out(1),
                "envelope": Out(
                    data.StructLayout({"valid": 1, "value": layout.config.field_bits})
                ),
                "state_read": In(group),
                "state_word": Out(lanes),
                "states": In(WordPort(group, lanes)),
            }
        )

    def _pairs(self) -> data.StructLayout:
        return pair_layout(self.layout.strip_lanes, neuron_tag(self.layout))

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        m.submodules.store = self.store = store = weight_store(layout)
        m.submodules.states = self.states_memory = states = States(layout)
        if layout.serial:
            m.d.comb += [store.side.eq(self.side), self.word.eq(store.word)]
        else:
            wiring.connect(m, store.host, wiring.flipped(self.weights))
        wiring.connect(m, states.host, wiring.flipped(self.states))
        m.d.comb += [
            states.readout.eq(self.state_read),
            self.state_word.eq(states.readout_word),
            self.used.eq(store.used),
            self.cut.eq(store.cut),
        ]

        evaluations = self._evaluations(m)
        entries = self._report(m, evaluations)
        event = self._events(m, entries)
        self._access(m, event)
        if layout.serial:
            self._run_compact(m, evaluations)
        else:
            self._run_lanes(m, evaluations)
        return m

    # ---- evaluation -------------------------------------------------------------------------

    def _evaluations(self, m: Module) -> list:
        """The evaluation at the stages −1 … 4 of the lanes (−1 … 3 of compact ones, if few)."""
        stages = []
        now = self.evaluation
        waiting = [now.valid]
        for age in range(self._latency + timing(self.layout.config).report - 2):
            later = Signal(evaluation_layout(self.layout), name=f"evaluation{age}")
            m.d.sync += later.valid.eq(now.valid)
            with m.If(now.valid):
                m.d.sync += [
                    later[name].eq(now[name]) for name in later.shape().members if name != "valid"
                ]
            stages.append(later)
            waiting.append(later.valid)
            now = later
        self._evaluating = Cat(waiting).any()
        return stages[self._latency - 2 :]

    def _report(self, m: Module, evaluations: list) -> stream.Interface:
        """What lanes report at their last stage, as a list of entries."""
        layout, lanes, at = self.layout, self.layout.strip_lanes, evaluations[-1]
        body, tail = self._padding()
        valid, mask, self._reported = Signal(lanes), Signal(lanes), Signal(lanes)
        self._signs = Signal(lanes)
        m.submodules.list = entries = EntryList(entry_layout(layout), layout.groups)
        entry = entries.push.entry
        forgets = Signal()
        m.d.sync += forgets.eq(self.clear)  # in time: nothing is reported in a pass's first cycles
        stability = at.mode == Mode.STABILITY
        m.d.comb += [
            valid.eq(Mux(at.tail, tail, body)),
            mask.eq((self._reported | at.rest.replicate(lanes)) & valid),
            entries.clear.eq(forgets),
            entries.push.valid.eq(at.valid & mask.any()),
            entry.learns.eq(stability),
            entry.mask.eq(mask),
            entry.state.eq(self._signs & valid),
            entry.group.eq(at.group),
            entry.local.eq(at.local),
            self.reported.valid.eq(entries.push.valid),
            self.reported.bin.eq(at.bin),
        ]
        self._valid = valid

        m.submodules.popcount = popcount = Popcount(lanes)
        m.d.comb += popcount.bits.eq(mask & (at.valid & stability).replicate(lanes))
        m.d.comb += self.unstable.eq(popcount.count)
        return entries.entries

    def _padding(self) -> tuple[int, int]:
        """Masks of the lanes of this strip that hold a neuron."""
        every = (1 << self.layout.strip_lanes) - 1
        body, tail = (
            mask >> self._number * self.layout.strip_lanes & every for mask in self.layout.padding()
        )
        return body, tail

    # ---- events and learners ----------------------------------------------------------------

    def _events(self, m: Module, entries: stream.Interface):
        """Entries to pairs, pairs to accesses."""
        layout, config, lanes = self.layout, self.layout.config, self.layout.strip_lanes
        skewed = config.store == "skewed"
        m.submodules.scanner = scanner = Scanner(lanes, neuron_tag(layout), layout.columns)
        m.submodules.learner = learner = (RowLearner if skewed else ColumnLearner)(layout)
        entry, marked = entries.payload, scanner.entries.payload
        first = (entry.group - entry.local)[: len(entry.group)]
        # Neighbours in a chain must have read the old states first. Else the states may change, and
        # the first events be found, while groups are still being evaluated; but not where there is
        # one port for all who read states.
        take = self.apply if layout.serial else self.apply | ~self.coupled | entry.learns
        moves = self.apply if layout.serial else ~entry.learns
        m.d.comb += [
            marked.mask.eq(entry.mask),
            marked.state.eq(entry.state),
            marked.tag.group.eq(entry.group),
            marked.tag.local.eq(entry.local),
            marked.tag.base.eq(
                layout.recurrent_base + first * config.neurons + entry.local * lanes
            ),
            marked.single.eq(entry.learns),
            scanner.entries.valid.eq(entries.valid & take),
            entries.ready.eq(scanner.entries.ready & take),
            self.states_memory.write.valid.eq(entries.valid & entries.ready & moves),
            self.states_memory.write.group.eq(entry.group),
            self.states_memory.write.state.eq(entry.state),
        ]

        # A pair's columns, one group of its module after another.
        pair, access = scanner.pairs.payload, Signal(access_layout(layout))
        parts = layout.groups_per_module
        part, offset = Signal(range(max(2, parts))), Signal.like(access.a)
        last = part == parts - 1
        issues = scanner.pairs.valid & self.apply
        start = pair.tag.base + offset
        if layout.serial and all(n & (n - 1) == 0 for n in (config.neurons, lanes)):
            # The column's number, the part, the module: side by side in the address.
            bits, place = (parts - 1).bit_length(), Const(0, (lanes - 1).bit_length())
            start = layout.recurrent_base + Cat(
                place, pair.tag.local[:bits], part[:bits], pair.tag.group[bits:]
            )
        m.d.comb += [
            access.use.eq(Mux(issues, Use.ADD, Use.NONE)),
            access.a.eq(start + pair.a),
            access.b.eq(start + pair.b),
            access.two.eq(pair.two),
            access.positive_a.eq(pair.positive_a),
            access.positive_b.eq(pair.positive_b),
            access.shift.eq(self.registers.recurrent_shift),
            access.twice.eq(~self.rest),
            access.group.eq(pair.tag.group - pair.tag.local + part),
            self.event.valid.eq(issues & last),
            self.event.pair.eq(pair),
        ]
        with m.If(issues):
            m.d.sync += [
                part.eq(Mux(last, 0, part + 1)),
                offset.eq(Mux(last, 0, offset + config.neurons)),
            ]

        if skewed:
            m.d.comb += [
                learner.neurons.payload.eq(pair),
                learner.neurons.valid.eq(scanner.pairs.valid & self.learn),
                scanner.pairs.ready.eq(Mux(self.learn, learner.neurons.ready, issues & last)),
            ]
        else:
            m.d.comb += [
                learner.neurons.payload.eq(entry),
                learner.neurons.valid.eq(entries.valid & self.learn),
                scanner.pairs.ready.eq(issues & last),
            ]
            with m.If(self.learn):
                m.d.comb += entries.ready.eq(learner.neurons.ready)
        m.d.comb += self.idle.eq(
            ~(self._evaluating | entries.valid | scanner.more | scanner.pairs.valid | learner.busy)
        )

        if layout.lone:
            m.d.comb += [
                self.input_read.eq(learner.input_read),
                learner.input_word.eq(self.input_word),
            ]
        else:
            m.submodules.inputs = inputs = Memory(
                shape=layout.input_word, depth=max(2, input_words(layout)), init=[]
            )
            write, read = inputs.write_port(), inputs.read_port()
            m.d.comb += [
                write.addr.eq(self.input.address),
                write.data.eq(self.input.data),
                write.en.eq(self.input.valid),
                read.addr.eq(learner.input_read),
                learner.input_word.eq(read.data),
            ]
        m.d.comb += [
            self.states_memory.learner.eq(learner.state_read),
            learner.state_word.eq(self.states_memory.learner_word),
            learner.input.eq(self.registers.learn_input),
            learner.recurrent.eq(self.registers.learn_recurrent),
        ]
        self._learner = learner
        return access

    # ---- store ------------------------------------------------------------------------------

    def _access(self, m: Module, event) -> None:
        """One access at a time; how its words, and what it changes, reach the lanes."""
        layout, store, learner = self.layout, self.store, self._learner
        chosen = Signal(access_layout(layout))
        with m.If(learner.access.use != Use.NONE):
            m.d.comb += chosen.eq(learner.access)
        with m.Elif(event.use != Use.NONE):
            m.d.comb += chosen.eq(event)
        with m.Else():
            m.d.comb += chosen.eq(self.access)
        m.d.sync += store.access.use.eq(chosen.use)
        with m.If(chosen.use != Use.NONE):
            m.d.sync += [
                store.access[name].eq(chosen[name])
                for name in chosen.shape().members
                if name != "use"
            ]
        if layout.config.store == "skewed":
            with m.If(learner.access.use != Use.NONE):
                m.d.sync += store.learn.eq(learner.learn)
        else:
            m.d.comb += store.learn.eq(learner.learn)

        # The addend, and the accumulator it goes to, a stage before the lanes' first …
        now, registers = store.access, self.registers
        how, where = Signal(addend_layout(layout)), Signal(target_layout(layout))
        m.d.comb += [
            how.valid.eq((now.use == Use.ADD) | (now.use == Use.FEEDBACK) | where.clear),
            how.learned.eq(where.clear),  # nothing: no lane is hit
            how.two.eq(now.two),
            how.differ.eq(now.two & (now.positive_a ^ now.positive_b)),
            where.valid.eq((now.use == Use.ADD) | where.clear),
            where.drive.eq(now.drive),
            where.clear.eq(now.use == Use.CLEAR),
            where.group.eq(now.group),
        ]
        added, target, positive, shift, twice = delayed(
            m, self._latency - 2, how, where, now.positive_a, now.shift, now.twice
        )

        # … or, later but the same way, what learning adds to the fields.
        states = Signal.like(learner.positive)
        m.d.sync += states.eq(learner.positive)
        drive, group, up = delayed(m, store.change_latency, now.drive, now.group, states)
        lane_by_lane = len(up) == layout.strip_lanes
        learned_shift = Mux(drive, registers.input_shift, registers.recurrent_shift)
        changed, learned = Signal.like(where), Signal.like(how)
        m.d.comb += [
            changed.valid.eq(1),
            changed.drive.eq(drive),
            changed.group.eq(group),
            learned.valid.eq(1),
            learned.learned.eq(1),
        ]
        change = store.change
        self._adding = {
            "addend": Mux(change.valid, learned.as_value(), added),
            "target": Mux(change.valid, changed.as_value(), target),
            "factor": Mux(
                change.valid,
                factor_of(Const(1) if lane_by_lane else up, learned_shift, 0),
                factor_of(positive, shift, twice),
            ),
            "hit": change.hit,
            "up": up if lane_by_lane else Const(0, layout.strip_lanes),
            "count": change.count,
        }

    # ---- lanes ------------------------------------------------------------------------------

    def _run_compact(self, m: Module, evaluations: list) -> None:
        lanes, states = self.layout.strip_lanes, self.states_memory
        m.d.comb += [
            states.center.eq(evaluations[0].group),
            states.evaluating.eq(evaluations[0].valid),
            states.learning.eq(self._learner.busy),
        ]
        clusters = []
        size = FEW_LANES if lanes >= WIDE else lanes
        for first in range(0, lanes, size):
            part = slice(first, first + size)
            cluster = CompactLanes(self.layout, min(size, lanes - first))
            m.submodules[f"cluster{first // size}" if size < lanes else "lanes"] = cluster
            m.d.comb += [
                *(getattr(cluster, name).eq(value[part] if name in ("hit", "up") else value)
                  for name, value in self._adding.items() if name != "count"),
                cluster.state.eq(states.center_word[part]),
                cluster.evaluation.eq(evaluations[0]),
                *(a.eq(self.store.a[first + p]) for p, a in enumerate(cluster.a)),
                cluster.self_coupling.eq(self.registers.self_coupling),
                cluster.margin.eq(self.registers.margin),
            ]
            clusters.append(cluster)
        m.d.comb += [
            self._reported.eq(Cat(cluster.reported for cluster in clusters)),
            self._signs.eq(Cat(cluster.sign for cluster in clusters)),
        ]

    def _run_lanes(self, m: Module, evaluations: list) -> None:
        layout, states, registers = self.layout, self.states_memory, self.registers
        step = layout.groups_per_module
        group = evaluations[1].group
        m.d.comb += [
            states.center.eq(group),
            states.before.eq(group - step),
            states.after.eq(group + step),
            self.center.eq(states.center_word),
            self.before.eq(states.before_word),
            self.after.eq(states.after_word),
        ]
        has_previous, has_next = delayed(m, 1, *self._neighbours_exist(evaluations[1]))
        clusters = []
        for first in range(0, layout.strip_lanes, LANES):
            size = min(LANES, layout.strip_lanes - first)
            part = slice(first, first + size)
            cluster = Cluster(layout, size)
            m.submodules[f"cluster{first // LANES}"] = cluster
            m.d.comb += [
                *(getattr(cluster, name).eq(value[part] if name in ("hit", "up") else value)
                  for name, value in self._adding.items()),
                cluster.evaluation.eq(evaluations[0]),
                *(cluster.a[p].eq(self.store.a[first + p]) for p in range(size)),
                *(cluster.b[p].eq(self.store.b[first + p]) for p in range(size)),
                cluster.state.eq(states.center_word[part]),
                cluster.previous.eq(self.previous[part]),
                cluster.next.eq(self.next[part]),
                cluster.has_previous.eq(has_previous),
                cluster.has_next.eq(has_next),
                cluster.self_coupling.eq(registers.self_coupling),
                cluster.chain_coupling.eq(registers.chain_coupling),
                cluster.margin.eq(registers.margin),
                cluster.valid.eq(self._valid[part]),
            ]
            clusters.append(cluster)
        m.d.comb += [
            self._reported.eq(Cat(cluster.reported for cluster in clusters)),
            self._signs.eq(Cat(cluster.sign for cluster in clusters)),
        ]
        m.d.sync += self.envelope.valid.eq(evaluations[5].valid)
        with m.If(evaluations[5].valid):
            m.d.sync += self.envelope.value.eq(reduce(or_, (c.envelope for c in clusters)))

    def _neighbours_exist(self, evaluation) -> tuple:
        """Whether the modules before and after this strip's are there."""
        layout = self.layout
        in_foot = layout.config.modules - (layout.rows - 1) * layout.strips
        has_previous = Const(1) if self._number else ~evaluation.head
        if self._number == layout.strips - 1:
            return has_previous, ~evaluation.foot
        return has_previous, Const(1) if self._number < in_foot - 1 else ~evaluation.foot
