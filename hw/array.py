"""The neuron array: lanes, their weights, and the states, driven by one operation per cycle."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.hostport import HostPort
from relaxon.hw.lane import Lane
from relaxon.hw.operation import (
    Kind,
    Mode,
    Sign,
    address_bits,
    entry_layout,
    group_bits,
    operation_layout,
)
from relaxon.hw.popcount import Popcount
from relaxon.hw.registers import REGISTERS
from relaxon.hw.store import ColumnStore
from relaxon.layout import Layout
from relaxon.protocol import Space


class NeuronArray(wiring.Component):
    """P lanes in lock-step over one weight store.

    ::

        operation ─▶ t0 ─▶ t1 ─▶ t2 ─▶ t3 ─▶ t4 ─▶ t5 ─▶ t6 ─▶ reported
                     │store─────▶│lanes                   └▶ counts
        inputs, states ─▶ column's sign

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    operation : In(operation_layout)
        What to do; taken every cycle.
    self_coupling, chain_coupling, margin : In(signed)
        Registers.
    input_write : In(valid, address, data)
        Writes byte `address` of the packed input vector.
    learner : In(valid, mask, state)
        The neurons of the group whose rows are updated from now on.
    state_write : In(valid, group, state)
        New states of a group.
    state_read : In(address), state_word : Out(P)
        The states of group `address`, one cycle later.
    reported : Out(valid, entry)
        After an EVALUATE: the neurons that flip, or are unstable; valid if there are any.
    evaluating : Out(1)
        An EVALUATE has yet to reach `reported`.
    count : Out
        Unstable neurons (after EVALUATE in mode STABILITY) or couplings that were cut (after
        UPDATE) of one operation, `count_unstable` / `count_cut` saying which.
    envelope : Out(field_bits), envelope_valid : Out(1)
        Bitwise or of the envelopes of the lanes of an EVALUATE.
    weights, states : In(HostPort)

    Timing
    ------
    One operation per cycle; `reported` seven cycles after `operation`.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        lanes = layout.config.lanes
        group = group_bits(layout)
        super().__init__(
            {
                "operation": In(operation_layout(layout)),
                "self_coupling": In(REGISTERS["self_coupling"].shape),
                "chain_coupling": In(REGISTERS["chain_coupling"].shape),
                "margin": In(REGISTERS["margin"].shape),
                "input_write": In(
                    data.StructLayout(
                        {"valid": 1, "address": bits_for(max(1, layout.input_bytes - 1)), "data": 8}
                    )
                ),
                "learner": In(data.StructLayout({"valid": 1, "mask": lanes, "state": lanes})),
                "state_write": In(data.StructLayout({"valid": 1, "group": group, "state": lanes})),
                "state_read": In(group),
                "state_word": Out(lanes),
                "reported": Out(data.StructLayout({"valid": 1, "entry": entry_layout(layout)})),
                "evaluating": Out(1),
                "count": Out(bits_for(lanes)),
                "count_unstable": Out(1),
                "count_cut": Out(1),
                "envelope": Out(layout.config.field_bits),
                "envelope_valid": Out(1),
                "weights": In(HostPort(address_bits(layout), 8 * layout.word_bytes(Space.WEIGHTS))),
                "states": In(HostPort(group, 8 * layout.word_bytes(Space.STATE))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = ColumnStore(self.layout)
        wiring.connect(m, store.host, wiring.flipped(self.weights))
        lanes = [Lane(self.layout) for _ in range(self.layout.config.lanes)]
        for p, lane in enumerate(lanes):
            m.submodules[f"lane{p}"] = lane

        t = self._pipeline(m)
        column_word, neighbours = self._states(m, t)
        positive = self._column_signs(m, t, column_word)
        learner = Signal.like(self.learner)
        with m.If(self.learner.valid):
            m.d.sync += learner.eq(self.learner)
        m.d.comb += [
            store.read_address.eq(t[0].address),
            store.write_address.eq(t[3].address),
            store.write.eq(t[3].kind == Kind.UPDATE),
        ]
        own_column = Signal(self.layout.config.lanes)
        m.d.comb += own_column.eq(1 << t[2].column[: bits_for(self.layout.config.lanes - 1)])
        for p, lane in enumerate(lanes):
            block, place = self.layout.block_of_lane(p)
            exists_before, exists_after = self._neighbours_exist(block, t[3])
            m.d.comb += [
                lane.t2.eq(t[2]),
                lane.t3.eq(t[3]),
                lane.t4.eq(t[4]),
                lane.t5.eq(t[5]),
                lane.takes.eq(t[3].blocks[block]),
                lane.positive.eq(positive[block]),
                lane.weight.eq(store.word[p]),
                lane.state.eq(neighbours[1][p]),
                lane.previous.eq(neighbours[0][p]),
                lane.next.eq(neighbours[2][p]),
                lane.has_previous.eq(exists_before),
                lane.has_next.eq(exists_after),
                # The diagonal stays 0: no neuron learns a coupling to itself.
                lane.learns.eq(learner.mask[p] & ~(t[2].diagonal & own_column[place])),
                lane.learns_positive.eq(learner.state[p]),
                lane.self_coupling.eq(self.self_coupling),
                lane.chain_coupling.eq(self.chain_coupling),
                lane.margin.eq(self.margin),
                store.write_word[p].eq(lane.updated),
            ]
        self._report(m, t, lanes)
        return m

    def _pipeline(self, m: Module) -> list:
        """The operation as it ages: t[i] is i cycles after its arrival."""
        t = [Signal(operation_layout(self.layout), name=f"t{age}") for age in range(7)]
        m.d.sync += [after.eq(before) for before, after in zip([self.operation, *t], t)]
        waiting = [stage.kind == Kind.EVALUATE for stage in (self.operation, *t)]
        m.d.comb += self.evaluating.eq(Cat(waiting).any())
        return t

    def _states(self, m: Module, t: list) -> tuple[Signal, list[Signal]]:
        """State memory. Returns the word of the column's group (at t0) and, at t3, the words of
        the neurons before, at and after those of `group` in the chain."""
        layout, p, h = self.layout, self.layout.config.lanes, self.layout.config.neurons
        m.submodules.state = memory = Memory(shape=p, depth=max(2, layout.groups), init=[])
        write = memory.write_port()
        host = self.states
        m.d.comb += [
            write.addr.eq(Mux(host.active, host.address, self.state_write.group)),
            write.data.eq(Mux(host.active, host.write_data[:p], self.state_write.state)),
            write.en.eq(Mux(host.active, host.write, self.state_write.valid)),
        ]

        column, readout = memory.read_port(), memory.read_port()
        m.d.comb += [
            column.addr.eq(self.operation.group),
            readout.addr.eq(Mux(host.active, host.address, self.state_read)),
            self.state_word.eq(readout.data),
            host.read_data.eq(readout.data),
        ]
        center = memory.read_port()
        m.d.comb += center.addr.eq(t[2].group)
        if layout.config.modules == 1:
            return column.data, [center.data] * 3

        before, after = memory.read_port(), memory.read_port()
        step = layout.groups_per_module
        m.d.comb += [before.addr.eq(t[2].group - step), after.addr.eq(t[2].group + step)]
        if layout.modules_per_group == 1:
            return column.data, [before.data, center.data, after.data]
        # Modules side by side: neighbours are H lanes away, across words at the group's ends.
        width = layout.modules_per_group * h
        previous = Cat(before.data[width - h : width], center.data)
        following = Cat(center.data[h:width], after.data[:h], center.data[width:])
        return column.data, [previous, center.data, following]

    def _neighbours_exist(self, block: int, operation) -> tuple:
        """Whether the modules before and after that of a block are there."""
        layout = self.layout
        blocks_in_foot = layout.config.modules - (layout.rows - 1) * layout.modules_per_group
        return (
            Const(1) if block else ~operation.head,
            Const(1) if block < blocks_in_foot - 1 else ~operation.foot,
        )

    def _column_signs(self, m: Module, t: list, column_word: Signal) -> Signal:
        """Sign of the column at t2, one bit a block."""
        layout, h = self.layout, self.layout.config.neurons
        m.submodules.inputs = inputs = Memory(
            shape=8, depth=max(2, layout.input_bytes), init=[]
        )
        write, read = inputs.write_port(), inputs.read_port()
        m.d.comb += [
            write.addr.eq(self.input_write.address),
            write.data.eq(self.input_write.data),
            write.en.eq(self.input_write.valid),
            read.addr.eq(self.operation.column >> 3),
        ]
        blocks = layout.modules_per_group
        t1, t2 = Signal(blocks), Signal(blocks, name="positive")
        span = h if blocks > 1 else layout.config.lanes
        for b in range(blocks):
            states = column_word[b * h : b * h + span]
            with m.Switch(t[0].sign):
                with m.Case(Sign.PLUS):
                    m.d.sync += t1[b].eq(1)
                with m.Case(Sign.MINUS):
                    m.d.sync += t1[b].eq(0)
                with m.Case(Sign.INPUT):
                    m.d.sync += t1[b].eq(read.data.bit_select(t[0].column[:3], 1))
                with m.Case(Sign.STATE):
                    m.d.sync += t1[b].eq(Array(states)[t[0].column])
        m.d.sync += t2.eq(t1)
        return t2

    def _report(self, m: Module, t: list, lanes: list[Lane]) -> None:
        """Masks, counts and the envelope of the operation at t6 (an UPDATE's at t3)."""
        layout, p = self.layout, self.layout.config.lanes
        body, tail = layout.padding()
        valid = Signal(p)
        m.d.comb += valid.eq(Mux(t[6].tail, tail, body))

        evaluated = t[6].kind == Kind.EVALUATE
        mask = Signal(p)
        m.d.comb += [
            mask.eq(Cat(lane.reported for lane in lanes) & valid),
            self.reported.valid.eq(evaluated & mask.any()),
            self.reported.entry.group.eq(t[6].group),
            self.reported.entry.local.eq(t[6].local),
            self.reported.entry.mask.eq(mask),
            self.reported.entry.state.eq(Cat(lane.sign for lane in lanes) & valid),
        ]

        m.submodules.popcount = popcount = Popcount(p)
        cut = t[3].kind == Kind.UPDATE
        m.d.comb += [
            popcount.bits.eq(Mux(cut, Cat(x.saturated for x in lanes), mask)),
            self.count.eq(popcount.count),
        ]
        flags = Cat(evaluated & (t[6].mode == Mode.STABILITY), cut)
        for _ in range(popcount.latency):
            delayed = Signal(2)
            m.d.sync += delayed.eq(flags)
            flags = delayed
        m.d.comb += Cat(self.count_unstable, self.count_cut).eq(flags)

        masked = [Mux(valid[i], lane.envelope, 0) for i, lane in enumerate(lanes)]
        envelope = masked[0]
        for other in masked[1:]:
            envelope = envelope | other
        m.d.sync += self.envelope_valid.eq(evaluated)
        with m.If(evaluated):
            m.d.sync += self.envelope.eq(envelope)
