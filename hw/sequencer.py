"""The course of one sample: input, free sweep, clamped and released sweeps, decision, learning."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.cycles import timing
from relaxon.hw.events import pair_layout
from relaxon.hw.groups import GroupWalker
from relaxon.hw.inputs import input_tag
from relaxon.hw.operation import Mode, Use, access_layout, evaluation_layout, reported_layout
from relaxon.hw.registers import REGISTERS
from relaxon.layout import Layout


class Phase(enum.Enum, shape=2):
    """Which sweeps are running, and so what follows when they end."""

    START = 0
    """None but the free one; the label comes next."""
    INFER = 1
    """Without label, before a decision."""
    CLAMPED = 2
    """With the label's feedback."""
    RELEASED = 3
    """After its release, before learning."""


def outcome_layout(layout: Layout) -> data.StructLayout:
    """What a sample's answer says (`relaxon.protocol.OUTCOME`)."""
    return data.StructLayout(
        {"prediction": bits_for(layout.config.classes - 1), "learned": 1, "sweeps": 16, "unstable": 16}
    )


def sample_layout(layout: Layout) -> data.StructLayout:
    """What comes with a sample's inputs."""
    return data.StructLayout({"training": 1, "label": bits_for(layout.config.classes - 1)})


class Sequencer(wiring.Component):
    """Tells the array, cycle by cycle, what all of it does; strips find their own events.

    ::

        IDLE ▶ INPUT ▶ SWEEP ▶ EVENT ▶ NEXT ─┬▶ SWEEP …   (EVENT ▶ SWEEP: the next group's turn)
                                             ├▶ DECIDE ─┬▶ NEXT (gate not passed)
                                             │          └▶ IDLE
                                             └▶ STABILITY ▶ LEARN ▶ FINISH ▶ IDLE

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    sample : In(stream)
        Taken when the machine is idle.
    registers : In
    invalidate : In(1)
        What the fields were made from has changed: they are made anew by the next sample.
    busy, done : Out(1), outcome : Out
        `done` for one cycle; `outcome` holds until the next sample is taken.
    access, evaluation : Out; apply, learn, coupled, rest, clear : Out(1); reported, idle : In(1)
        To and from the array; see `Strip`.
    input_take, input_all : Out(1), inputs : In(stream), input_more : In(1)
        See `Inputs`.
    decide, conclude : Out(1), reading, passes : In(1), prediction : In
        To and from the readout: begin a decision, or the last one and the readout's learning, beside
        which the array learns (a serial readout: after it); it is busy; see `SerialReadout`.
    training, label : Out
        Of the sample under way.
    unstable : In
        Neurons found unstable.
    phase : Out
        One bit for each of `protocol.PHASES`: this cycle belongs to it.
    swept, free, learned : Out(1), input_changes : Out(2)
        To count: a sweep has ended; it is the free one; learning begins; inputs that differed.

    Timing
    ------
    `relaxon.cycles` has the cycles of each phase.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        self._settle = timing(layout.config).latency  # when neighbours' states have been read
        pairs = pair_layout(layout.input_word, input_tag(layout))
        super().__init__(
            {
                "sample": In(stream.Signature(sample_layout(layout))),
                "registers": In(REGISTERS),
                "invalidate": In(1),
                "busy": Out(1),
                "done": Out(1),
                "outcome": Out(outcome_layout(layout)),
                "access": Out(access_layout(layout)),
                "evaluation": Out(evaluation_layout(layout)),
                "apply": Out(1),
                "learn": Out(1),
                "coupled": Out(1),
                "rest": Out(1),
                "clear": Out(1),
                "reported": In(reported_layout(layout)),
                "idle": In(1),
                "input_take": Out(1),
                "input_all": Out(1),
                "inputs": In(stream.Signature(pairs)),
                "input_more": In(1),
                "conclude": Out(1),
                "decide": Out(1),
                "reading": In(1),
                "passes": In(1),
                "prediction": In(range(layout.config.classes)),
                "training": Out(1),
                "label": Out(range(layout.config.classes)),
                "unstable": In(bits_for(layout.lanes)),
                "phase": Out(len(protocol.PHASES)),
                "swept": Out(1),
                "free": Out(1),
                "learned": Out(1),
                "input_changes": Out(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        m.submodules.groups = self.groups = groups = GroupWalker(layout)
        self.offset = Signal.like(self.access.a)
        self.feedback = Signal.like(self.access.a)  # of the label's column in the first group
        self.sweeps = Signal(Phase)
        self.remaining = Signal(8)
        self.moved = Signal(layout.row_bins)  # where the sweep under way has changed a neuron
        self.again = Signal()  # this phase has had a sweep
        self.in_turn, self.ends = Signal(), Signal()  # a group at a time; it was the last one
        if layout.config.modules > 1 and not layout.serial:
            m.d.sync += self.coupled.eq(self.registers.chain_coupling != 0)
        self.invalid = Signal(init=1)
        m.d.comb += self.input_all.eq(self.invalid)

        self.more = Signal()  # inputs may follow (registered: they are far away)
        self.chooses = Signal()  # the next sweep is of the groups that may have changed
        self.begins, early = Signal(), Signal()
        # Free fields are of A alone: R may change meanwhile.
        m.d.comb += [groups.bins.eq(self.moved), early.eq(self.free & (not layout.serial))]
        m.d.sync += [
            self.more.eq(self.input_more),
            self.begins.eq(0),
            self.in_turn.eq(self.registers.sequential & ~self.free),
        ]
        with m.If(self.begins):  # in time: nothing is reported in a sweep's first cycles
            m.d.sync += [self.moved.eq(0), self.apply.eq(early)]
        m.d.sync += [
            self.done.eq(0),
            self.feedback.eq(layout.feedback_base + self.label * layout.groups),
        ]
        with m.If(self.reported.valid):
            m.d.sync += self.moved.bit_select(self.reported.bin, 1).eq(1)
        m.d.sync += self.outcome.unstable.eq(self.outcome.unstable + self.unstable)
        with m.FSM() as fsm:
            self._idle(m)
            self._clear(m)
            self._input(m)
            self._sweep(m)
            self._next(m)
            if layout.serial:
                self._label(m)
            self._decide(m)
            self._learn(m)
        with m.If(self.begins):
            m.d.comb += self.clear.eq(1)
        with m.If(self.invalidate):
            m.d.sync += self.invalid.eq(1)
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        states = {
            "input": ("CLEAR", "INPUT"),
            "sweep": ("SWEEP", "NEXT", "CHOOSE", *(("LABEL",) if layout.serial else ())),
            "event": ("EVENT",),
            "decide": ("ASK", "DECIDE"),
            "learn": ("STABILITY", "LEARN", "FINISH"),
        }
        for bit, name in enumerate(protocol.PHASES):
            ongoing = sum(fsm.ongoing(s) for s in states[name]) != 0
            m.d.comb += self.phase[bit].eq(ongoing | (self.input_take if name == "input" else 0))
        return m

    def _idle(self, m: Module) -> None:
        sample, registers = self.sample, self.registers
        infer_first = ~sample.payload.training | registers.gate_enable
        with m.State("IDLE"):
            m.d.comb += sample.ready.eq(1)
            with m.If(sample.valid):
                m.d.comb += self.input_take.eq(1)
                m.d.sync += [
                    self.more.eq(1),
                    self.training.eq(sample.payload.training),
                    self.label.eq(sample.payload.label),
                    self.sweeps.eq(Mux(infer_first, Phase.INFER, Phase.START)),
                    self.remaining.eq(Mux(infer_first, registers.sweeps_infer, 0)),
                    self.rest.eq(self.invalid),
                    self.invalid.eq(0),
                    self.free.eq(1),
                    self.outcome.eq(0),
                    self.offset.eq(0),
                    self.again.eq(0),
                ]
                m.next = "INPUT"
                with m.If(self.invalid):
                    m.next = "CLEAR"

    def _clear(self, m: Module) -> None:
        with m.State("CLEAR"):  # A = R = 0 in every group
            m.d.comb += [
                self.access.use.eq(Use.CLEAR),
                self.access.group.eq(self.groups.group),
                self.groups.step.eq(1),
            ]
            with m.If(self.groups.last):
                m.next = "INPUT"

    def _input(self, m: Module) -> None:
        layout, access, groups, pair = self.layout, self.access, self.groups, self.inputs.payload
        column = layout.input_base + pair.tag.word * layout.input_word
        with m.State("INPUT"):  # A += (W[:, n] << b) (x[n] − x'[n]), a pair of columns at a time
            m.d.comb += [
                access.use.eq(Mux(self.inputs.valid, Use.ADD, Use.NONE)),
                access.a.eq(column + pair.a + self.offset),
                access.b.eq(column + pair.b + self.offset),
                access.two.eq(pair.two),
                access.positive_a.eq(pair.positive_a),
                access.positive_b.eq(pair.positive_b),
                access.shift.eq(self.registers.input_shift),
                access.twice.eq(~self.rest),
                access.group.eq(groups.group),
                access.drive.eq(1),
                groups.step.eq(self.inputs.valid),
                self.inputs.ready.eq(groups.last),
            ]
            with m.If(self.inputs.valid):
                m.d.sync += self.offset.eq(self.offset + layout.config.inputs)
                with m.If(groups.last):
                    m.d.comb += self.input_changes.eq(1 + pair.two)
                    m.d.sync += self.offset.eq(0)
            # An evaluation may not follow at once on an addition to the same group: it does not, for
            # where there is one group `more` is a cycle late.
            with m.If(~self.more & (~self.inputs.valid | groups.last)):
                self._to_sweep(m, "SWEEP")

    def _to_sweep(self, m: Module, state: str) -> None:
        """Evaluate all groups, or those chosen; the list starts empty."""
        m.d.sync += self.begins.eq(1)
        m.next = state

    def _evaluate(self, m: Module, mode, clamped) -> None:
        """The evaluation of the current group."""
        groups = self.groups
        m.d.comb += [
            self.evaluation.valid.eq(1),
            self.evaluation.mode.eq(mode),
            self.evaluation.group.eq(groups.group),
            self.evaluation.local.eq(groups.local),
            self.evaluation.clamped.eq(clamped),
            self.evaluation.bin.eq(groups.bin),
            self.evaluation.head.eq(groups.head),
            self.evaluation.foot.eq(groups.foot),
            self.evaluation.tail.eq(groups.tail),
            groups.step.eq(1),
        ]

    def _sweep(self, m: Module) -> None:
        access, registers = self.access, self.registers
        clamped = (self.sweeps == Phase.CLAMPED) & ~self.free & (not self.layout.serial)
        waited = Signal(range(self._settle + 1))
        free = Mux(registers.keep_state, Mode.KEEP, Mode.FREE)
        with m.State("SWEEP"):  # s' = sign(h) of every neuron, or a group's, from the old states
            self._evaluate(m, Mux(self.free, free, Mode.SWEEP), clamped)
            m.d.comb += self.evaluation.rest.eq(self.rest)
            if not self.layout.serial:
                m.d.comb += [
                    access.use.eq(Mux(clamped, Use.FEEDBACK, Use.NONE)),
                    access.a.eq(self.feedback + self.groups.group),
                    access.positive_a.eq(1),
                    access.shift.eq(registers.feedback_shift),
                ]
            m.d.sync += self.ends.eq(self.groups.last)
            with m.If(self.groups.last | self.in_turn):
                m.d.sync += [waited.eq(0), self.apply.eq(self.free | ~self.coupled)]
                m.next = "EVENT"
        with m.State("EVENT"):  # R += J[:, j] (s[j] − s'[j]), neuron by neuron; r likewise
            with m.If(waited != self._settle):
                m.d.sync += waited.eq(waited + 1)
            # Neighbours in a chain must have read the old states.
            with m.If(waited == self._settle - 1):
                m.d.sync += self.apply.eq(1)
            with m.If(self.idle):
                m.d.sync += self.apply.eq(0)
                m.next = "SWEEP"
            with m.If(self.idle & self.ends):
                m.d.comb += self.swept.eq(1)
                m.d.sync += [
                    self.outcome.sweeps.eq(self.outcome.sweeps + 1),
                    self.free.eq(0),
                    self.rest.eq(0),
                ]
                # At a fixed point further sweeps would change nothing.
                with m.If((self.moved == 0) & ~self.free):
                    m.d.sync += self.remaining.eq(0)
                m.next = "NEXT"

    def _next(self, m: Module) -> None:
        with m.State("NEXT"):  # another sweep, or what follows this phase
            with m.If(self.remaining != 0):
                m.d.sync += [
                    self.remaining.eq(self.remaining - 1),
                    self.again.eq(1),
                    # Modules that are alone change no more once they have not changed.
                    self.chooses.eq(self.again & ~self.coupled & ~self.in_turn),
                ]
                m.next = "CHOOSE"
            with m.Else():
                m.d.sync += self.again.eq(0)
                with m.Switch(self.sweeps):
                    with m.Case(Phase.START):
                        self._clamp(m, "NEXT")
                    with m.Case(Phase.INFER):
                        m.next = "ASK"
                    with m.Case(Phase.CLAMPED):
                        m.d.sync += [
                            self.sweeps.eq(Phase.RELEASED),
                            self.remaining.eq(self.registers.sweeps_released),
                        ]
                        if self.layout.serial:
                            m.next = "LABEL"
                    with m.Case(Phase.RELEASED):
                        m.d.comb += [self.conclude.eq(not self.layout.serial), self.learned.eq(1)]
                        m.d.sync += self.outcome.learned.eq(1)
                        self._to_sweep(m, "STABILITY")

        with m.State("CHOOSE"):
            m.d.comb += self.groups.choose.eq(self.chooses)
            self._to_sweep(m, "SWEEP")

    def _clamp(self, m: Module, then: str) -> None:
        m.d.sync += [
            self.sweeps.eq(Phase.CLAMPED),
            self.remaining.eq(self.registers.sweeps_clamped),
        ]
        m.next = "LABEL" if self.layout.serial else then

    def _label(self, m: Module) -> None:
        access, groups = self.access, self.groups
        with m.State("LABEL"):  # A ± F[:, y] << f, for compact lanes
            m.d.comb += [
                access.use.eq(Use.ADD),
                access.a.eq(self.feedback + groups.group),
                access.positive_a.eq(self.sweeps == Phase.CLAMPED),
                access.shift.eq(self.registers.feedback_shift),
                access.group.eq(groups.group),
                access.drive.eq(1),
                groups.step.eq(1),
            ]
            with m.If(groups.last):
                m.next = "NEXT"

    def _decide(self, m: Module) -> None:
        with m.State("ASK"):
            m.d.comb += self.decide.eq(1)
            m.next = "DECIDE"
        with m.State("DECIDE"):  # argmax r; gate and margins
            with m.If(~self.reading):
                m.d.sync += self.outcome.prediction.eq(self.prediction)
                with m.If(self.training & ~self.passes):
                    self._clamp(m, "NEXT")
                with m.Else():
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"

    def _learn(self, m: Module) -> None:
        learns = self.registers.learn_input | self.registers.learn_recurrent
        with m.State("STABILITY"):  # which neurons have s·h ≤ κ?
            self._evaluate(m, Mode.STABILITY, 0)
            m.d.comb += self.clear.eq(~learns)
            with m.If(self.groups.last):
                m.d.sync += self.learn.eq(learns)
                m.next = "LEARN"
        with m.State("LEARN"):  # J[i, j] += u[i] s[j], W[i, n] += u[i] x[n]; the readout beside it
            m.d.comb += self.clear.eq(~learns)
            with m.If(self.idle):
                m.d.sync += self.learn.eq(0)
                if self.layout.serial:
                    m.d.comb += self.conclude.eq(1)
                m.next = "FINISH"
        with m.State("FINISH"):
            with m.If(~self.reading):
                with m.If(~self.registers.gate_enable):
                    m.d.sync += self.outcome.prediction.eq(self.prediction)
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
