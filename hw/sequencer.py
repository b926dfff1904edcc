"""The course of one sample: input, free sweep, clamped and released sweeps, decision, learning."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.groups import GroupCounter
from relaxon.hw.operation import (
    Kind,
    Mode,
    Sign,
    entry_layout,
    event_layout,
    operation_layout,
)
from relaxon.hw.registers import REGISTERS
from relaxon.layout import Layout

SCORES_SETTLE = 4
"""Cycles to wait for the scores that include the last event; `Readout` needs three."""
LEARNER_HOLD = 2
"""Cycles for which a row's last UPDATE still needs the row's `learner`."""


class Phase(enum.Enum, shape=2):
    """Which sweeps are running, and so what follows when they end."""

    START = 0
    """None yet; the label comes next."""
    INFER = 1
    """Without label, before a decision."""
    CLAMPED = 2
    """With the label's feedback."""
    RELEASED = 3
    """After its release, before the final decision and learning."""


def outcome_layout(layout: Layout) -> data.StructLayout:
    """What a sample's answer says (`relaxon.protocol.OUTCOME`)."""
    return data.StructLayout(
        {"prediction": bits_for(layout.config.classes - 1), "learned": 1, "sweeps": 16, "unstable": 16}
    )


class Sequencer(wiring.Component):
    """Issues one array operation per cycle and waits where a result decides what comes next.

    ::

        INPUT ▶ SWEEP ▶ SETTLE ▶ EVENT ▶ NEXT ─┬▶ SWEEP …
                                               ├▶ CLAMP ▶ NEXT
                                               └▶ DRAIN ▶ DECIDE ─┬▶ CLAMP (gate not passed)
              done ◀ FINISH ◀ ROW … ◀ JUDGE ◀ STABILITY ◀─────────┴▶ done

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    start : In(1), training : In(1), label : In
        Begin a sample (only while not `busy`); `training` and `label` are taken then.
    registers : In(REGISTERS)
    busy : Out(1), done : Out(1), outcome : Out
        `done` for one cycle; `outcome` holds until the next start.
    operation : Out, evaluating : In(1)
        To the array; see `NeuronArray`.
    entries_clear : Out(1), entries : In(stream), learner : Out
        Reported neurons; in a learning step they become the array's `learner`.
    scan : Out(1), scanning : In(1), events : In(stream)
        `scan` lets the scanner take the entries.
    readout_clear, readout_event, readout_learn : Out, readout_learning : In(1)
        See `Readout`.
    decide : Out(1), decided_label : Out, deciding, passes, prediction, improves : In
        See `Decision`; `improves`: some class is below its margin.
    unstable : In
        Neurons found unstable in this cycle.
    phase : Out(6)
        One bit for each of `protocol.PHASES`: this cycle belongs to it.
    swept, flipped, learned : Out(1)
        Pulses to count.

    Timing
    ------
    `relaxon.cycles` has the cycles of each phase as formulas.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        lanes = layout.config.lanes
        event = event_layout(layout)
        super().__init__(
            {
                "start": In(1),
                "training": In(1),
                "label": In(range(layout.config.classes)),
                "registers": In(REGISTERS),
                "busy": Out(1),
                "done": Out(1),
                "outcome": Out(outcome_layout(layout)),
                "operation": Out(operation_layout(layout)),
                "evaluating": In(1),
                "entries_clear": Out(1),
                "entries": In(stream.Signature(entry_layout(layout))),
                "learner": Out(data.StructLayout({"valid": 1, "mask": lanes, "state": lanes})),
                "scan": Out(1),
                "scanning": In(1),
                "events": In(stream.Signature(event)),
                "readout_clear": Out(1),
                "readout_event": Out(
                    data.StructLayout(
                        {"valid": 1, "slot": event["slot"].shape, "positive": 1, "from_rest": 1}
                    )
                ),
                "readout_learn": Out(1),
                "readout_learning": In(1),
                "decide": Out(1),
                "decided_label": Out(range(layout.config.classes)),
                "deciding": In(1),
                "passes": In(1),
                "prediction": In(range(layout.config.classes)),
                "improves": In(1),
                "unstable": In(range(lanes + 1)),
                "phase": Out(len(protocol.PHASES)),
                "swept": Out(1),
                "flipped": Out(1),
                "learned": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        m.submodules.groups = self.groups = GroupCounter(layout)
        self.address = Signal.like(self.operation.address)
        self.index = Signal(range(max(layout.config.inputs, layout.config.neurons)))
        self.free = Signal()  # the sweep under way is the free one
        self.sweeps = Signal(Phase)
        self.remaining = Signal(range(256))
        self.trains = Signal()
        self.target = self.decided_label
        self.quiet = Signal()  # the entry list is complete
        self.wait = Signal(range(8))

        m.d.sync += [self.quiet.eq(~self.evaluating), self.done.eq(0)]
        m.d.sync += self.outcome.unstable.eq(self.outcome.unstable + self.unstable)
        with m.FSM() as fsm:
            self._idle(m)
            self._input(m)
            self._sweep(m)
            self._clamp(m)
            self._decide(m)
            self._learn(m)
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        states = {
            "input": ("INPUT",),
            "sweep": ("SWEEP", "SETTLE", "NEXT"),
            "event": ("EVENT",),
            "clamp": ("CLAMP",),
            "decide": ("DRAIN", "DECIDE"),
            "learn": ("STABILITY", "JUDGE", "ROW", "ROW_INPUT", "ROW_RECURRENT", "HOLD", "FINISH"),
        }
        for bit, name in enumerate(protocol.PHASES):
            m.d.comb += self.phase[bit].eq(sum(fsm.ongoing(s) for s in states[name]) != 0)
        return m

    def _idle(self, m: Module) -> None:
        with m.State("IDLE"):
            infer_first = ~self.training | self.registers.gate_enable
            with m.If(self.start):
                m.d.comb += self.readout_clear.eq(1)
                m.d.sync += [
                    self.trains.eq(self.training),
                    self.target.eq(self.label),
                    self.sweeps.eq(Mux(infer_first, Phase.INFER, Phase.START)),
                    self.remaining.eq(Mux(infer_first, self.registers.sweeps_infer, 0)),
                    self.address.eq(self.layout.input_base),
                    self.index.eq(0),
                    self.outcome.eq(0),
                ]
                m.next = "INPUT"

    def _input(self, m: Module) -> None:
        operation, groups = self.operation, self.groups
        with m.State("INPUT"):  # A += (W[:, n] << b) x[n], column by column
            m.d.comb += [
                operation.kind.eq(Kind.ADD),
                operation.sign.eq(Sign.INPUT),
                operation.address.eq(self.address),
                operation.group.eq(groups.group),
                operation.column.eq(self.index),
                operation.shift.eq(self.registers.input_shift),
                operation.drive.eq(1),
                operation.first.eq(self.index == 0),
                operation.blocks.eq(-1),
                groups.step.eq(1),
            ]
            m.d.sync += self.address.eq(self.address + 1)
            with m.If(groups.last):
                m.d.sync += self.index.eq(self.index + 1)
                with m.If(self.index == self.layout.config.inputs - 1):
                    m.d.sync += self.free.eq(1)
                    m.next = "SWEEP"

    def _evaluate(self, m: Module, mode) -> None:
        """One EVALUATE of the current group; the list starts empty."""
        operation, groups = self.operation, self.groups
        m.d.comb += [
            operation.kind.eq(Kind.EVALUATE),
            operation.mode.eq(mode),
            operation.group.eq(groups.group),
            operation.local.eq(groups.local),
            operation.head.eq(groups.head),
            operation.foot.eq(groups.foot),
            operation.tail.eq(groups.tail),
            groups.step.eq(1),
            self.entries_clear.eq(groups.group == 0),
        ]

    def _sweep(self, m: Module) -> None:
        event = self.events.payload
        with m.State("SWEEP"):  # s' = sign(h) of every neuron, from the old states
            self._evaluate(m, Mux(self.free, Mode.FREE, Mode.SWEEP))
            with m.If(self.groups.last):
                m.next = "SETTLE"
        with m.State("SETTLE"):  # the last fields are on their way
            with m.If(self.quiet):
                m.d.comb += self.swept.eq(1)
                m.d.sync += self.outcome.sweeps.eq(self.outcome.sweeps + 1)
                with m.If(self.entries.valid):
                    m.next = "EVENT"
                with m.Else():  # a fixed point: further sweeps would change nothing
                    m.d.sync += self.remaining.eq(0)
                    m.next = "NEXT"

        step = self.layout.groups_per_module
        part = Signal(range(max(2, step)))
        last_part = part == step - 1
        with m.State("EVENT"):  # R += ±J[:, j] from rest, ±2 J[:, j] after a flip; r likewise
            m.d.comb += [
                self.scan.eq(1),
                self.operation.kind.eq(Mux(self.events.valid, Kind.ADD, Kind.IDLE)),
                self.operation.sign.eq(Mux(event.positive, Sign.PLUS, Sign.MINUS)),
                self.operation.address.eq(event.address + part),
                self.operation.group.eq(event.group + part),
                self.operation.blocks.eq(event.blocks),
                self.operation.shift.eq(~self.free),
                self.events.ready.eq(last_part),
                self.readout_event.valid.eq(self.events.valid & last_part),
                self.flipped.eq(self.readout_event.valid & ~self.free),
            ]
            with m.If(self.events.valid):
                m.d.sync += part.eq(Mux(last_part, 0, part + 1))
            with m.If(~self.entries.valid & ~self.scanning):
                m.d.sync += self.free.eq(0)
                m.next = "NEXT"
        m.d.comb += [
            self.readout_event.slot.eq(event.slot),
            self.readout_event.positive.eq(event.positive),
            self.readout_event.from_rest.eq(self.free),
        ]

        with m.State("NEXT"):  # another sweep, or what follows this phase
            with m.If(self.remaining != 0):
                m.d.sync += self.remaining.eq(self.remaining - 1)
                m.next = "SWEEP"
            with m.Elif((self.sweeps == Phase.START) | (self.sweeps == Phase.CLAMPED)):
                self._to_clamp(m)
            with m.Else():
                m.d.sync += self.wait.eq(SCORES_SETTLE)
                m.next = "DRAIN"

    def _to_clamp(self, m: Module) -> None:
        m.d.sync += self.address.eq(self.layout.feedback_base + self.target * self.layout.groups)
        m.next = "CLAMP"

    def _clamp(self, m: Module) -> None:
        release = self.sweeps == Phase.CLAMPED
        with m.State("CLAMP"):  # R += F[:, y] << f, or −= to release the label
            m.d.comb += [
                self.operation.kind.eq(Kind.ADD),
                self.operation.sign.eq(Mux(release, Sign.MINUS, Sign.PLUS)),
                self.operation.address.eq(self.address),
                self.operation.group.eq(self.groups.group),
                self.operation.shift.eq(self.registers.feedback_shift),
                self.operation.blocks.eq(-1),
                self.groups.step.eq(1),
            ]
            m.d.sync += self.address.eq(self.address + 1)
            with m.If(self.groups.last):
                with m.If(release):
                    m.d.sync += self.sweeps.eq(Phase.RELEASED)
                    m.d.sync += self.remaining.eq(self.registers.sweeps_released)
                with m.Else():
                    m.d.sync += self.sweeps.eq(Phase.CLAMPED)
                    m.d.sync += self.remaining.eq(self.registers.sweeps_clamped)
                m.next = "NEXT"

    def _decide(self, m: Module) -> None:
        with m.State("DRAIN"):  # the last events reach the scores
            m.d.sync += self.wait.eq(self.wait - 1)
            with m.If(self.wait == 0):
                m.d.comb += self.decide.eq(1)
                m.next = "DECIDE"
        with m.State("DECIDE"):  # argmax r; gate and margins
            with m.If(~self.deciding):
                with m.If((self.sweeps == Phase.INFER) | ~self.registers.gate_enable):
                    m.d.sync += self.outcome.prediction.eq(self.prediction)
                with m.If(self.sweeps == Phase.RELEASED):
                    m.d.sync += self.outcome.learned.eq(1)
                    m.d.comb += self.learned.eq(1)
                    m.next = "STABILITY"
                with m.Elif(self.trains & ~self.passes):
                    self._to_clamp(m)
                with m.Else():
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"

    def _learn(self, m: Module) -> None:
        layout, registers, operation = self.layout, self.registers, self.operation
        step = layout.groups_per_module
        entry = self.entries.payload
        module_group, own = Signal.like(entry.group), Signal.like(entry.local)
        lane, part = Signal(range(layout.config.lanes)), Signal.like(entry.local)
        recurrent_start, recurrent_address = Signal.like(self.address), Signal.like(self.address)

        with m.State("STABILITY"):  # which neurons have s·h ≤ κ? Meanwhile the readout learns
            self._evaluate(m, Mode.STABILITY)
            m.d.comb += self.readout_learn.eq(
                (self.groups.group == 0) & registers.learn_readout & self.improves
            )
            with m.If(self.groups.last):
                m.next = "JUDGE"
        with m.State("JUDGE"):
            with m.If(self.quiet):
                m.next = "ROW"
        with m.State("ROW"):  # the next group with unstable neurons
            first = (entry.group - entry.local)[: len(entry.group)]
            m.d.comb += [
                self.entries.ready.eq(1),
                self.learner.valid.eq(self.entries.valid),
                self.learner.mask.eq(entry.mask),
                self.learner.state.eq(entry.state),
                recurrent_start.eq(
                    layout.recurrent_base + first * layout.config.neurons + entry.local
                ),
            ]
            m.d.sync += [
                self.address.eq(layout.input_base + entry.group),
                recurrent_address.eq(recurrent_start),
                module_group.eq(first),
                own.eq(entry.local),
                self.index.eq(0),
                lane.eq(0),
                part.eq(0),
            ]
            with m.If(~self.entries.valid):
                m.next = "FINISH"
            with m.Elif(registers.learn_input):
                m.next = "ROW_INPUT"
            with m.Elif(registers.learn_recurrent):
                m.d.sync += self.address.eq(recurrent_start)
                m.next = "ROW_RECURRENT"
        with m.State("ROW_INPUT"):  # W[i, n] += u[i] x[n]
            m.d.comb += [
                operation.kind.eq(Kind.UPDATE),
                operation.sign.eq(Sign.INPUT),
                operation.address.eq(self.address),
                operation.column.eq(self.index),
            ]
            m.d.sync += [self.address.eq(self.address + layout.groups), self.index.eq(self.index + 1)]
            with m.If(self.index == layout.config.inputs - 1):
                m.d.sync += [self.index.eq(0), self.address.eq(recurrent_address)]
                m.d.sync += self.wait.eq(LEARNER_HOLD - 1)
                m.next = "HOLD"
                with m.If(registers.learn_recurrent):
                    m.next = "ROW_RECURRENT"
        with m.State("ROW_RECURRENT"):  # J[i, j] += u[i] s[j], j ≠ i
            m.d.comb += [
                operation.kind.eq(Kind.UPDATE),
                operation.sign.eq(Sign.STATE),
                operation.address.eq(self.address),
                operation.group.eq(module_group + part),
                operation.column.eq(lane),
                operation.diagonal.eq(part == own),
            ]
            m.d.sync += [
                self.address.eq(self.address + step),
                self.index.eq(self.index + 1),
                lane.eq(lane + 1),
            ]
            with m.If(lane == layout.config.lanes - 1):
                m.d.sync += [lane.eq(0), part.eq(part + 1)]
            with m.If(self.index == layout.config.neurons - 1):
                m.d.sync += self.wait.eq(LEARNER_HOLD - 1)
                m.next = "HOLD"
        with m.State("HOLD"):  # the row's last updates still need its learner
            m.d.sync += self.wait.eq(self.wait - 1)
            with m.If(self.wait == 0):
                m.next = "ROW"
        with m.State("FINISH"):
            with m.If(~self.readout_learning):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
