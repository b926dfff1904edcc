"""Everything that computes: the array, the decision and the sequencer that drives them."""

from __future__ import annotations

from amaranth import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.array import NeuronArray
from relaxon.hw.counters import amounts_layout
from relaxon.hw.decision import Decision
from relaxon.hw.hostport import HostPort
from relaxon.hw.inputs import byte_write_layout
from relaxon.hw.operation import address_bits, group_bits
from relaxon.hw.registers import REGISTERS
from relaxon.hw.sequencer import Sequencer, outcome_layout, sample_layout
from relaxon.layout import Layout
from relaxon.protocol import PHASES, Space


class Machine(wiring.Component):
    """The learning machine without its link.

    ::

        input bytes ──▶ array ◀──accesses, evaluations── sequencer ◀── samples
                          │ scores                          ▲
                          └──────────▶ decision ────────────┘

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    sample : In(stream)
        A sample, once its inputs are written.
    input_write : In, input_free : Out(1)
        Bytes of the next sample's packed inputs, to be written while `input_free`.
    busy : Out(1)
        A sample is under way, or the readout still learns; the host ports must wait.
    done : Out(1), outcome : Out
        `done` for one cycle per sample, and its outcome then.
    scores : Out(C × signed)
        r, from `done` until the next sample is taken.
    invalidate : In(1)
        The host wrote couplings, a register or a state: the fields must be made anew.
    registers : In
    amounts : Out
        What the machine's counters take in this cycle; the link's are 0.
    weights, readout, states : In(HostPort)
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        config = layout.config
        super().__init__(
            {
                "sample": In(stream.Signature(sample_layout(layout))),
                "input_write": In(byte_write_layout(layout)),
                "input_free": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "outcome": Out(outcome_layout(layout)),
                "scores": Out(data.ArrayLayout(signed(config.score_bits), config.classes)),
                "invalidate": In(1),
                "registers": In(REGISTERS),
                "amounts": Out(amounts_layout(config.field_bits)),
                "weights": In(HostPort(address_bits(layout), 8 * layout.word_bytes(Space.WEIGHTS))),
                "readout": In(
                    HostPort(bits_for(layout.slots - 1), 8 * layout.word_bytes(Space.READOUT))
                ),
                "states": In(HostPort(group_bits(layout), 8 * layout.word_bytes(Space.STATE))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, registers = self.layout, self.registers
        m.submodules.array = array = NeuronArray(layout)
        m.submodules.decision = decision = Decision(layout, array.score_latency)
        m.submodules.sequencer = sequencer = Sequencer(layout)
        wiring.connect(m, wiring.flipped(self.sample), sequencer.sample)
        wiring.connect(m, array.inputs, sequencer.inputs)
        for name in ("weights", "states", "readout"):
            wiring.connect(m, getattr(array, name), wiring.flipped(getattr(self, name)))
        to_array = (
            "access", "evaluation", "apply", "learn", "rest", "clear", "input_take", "input_all",
        )  # fmt: skip
        m.d.comb += [
            *(getattr(array, name).eq(getattr(sequencer, name)) for name in to_array),
            array.input_write.eq(self.input_write),
            array.forget_scores.eq(sequencer.input_take & sequencer.input_all),
            array.registers.eq(registers),
            self.input_free.eq(array.input_free),
            sequencer.reported.eq(array.reported),
            sequencer.idle.eq(array.idle),
            sequencer.input_more.eq(array.input_more),
            sequencer.unstable.eq(array.unstable),
            sequencer.registers.eq(registers),
            sequencer.invalidate.eq(self.invalidate),
            self.busy.eq(sequencer.busy),
            self.done.eq(sequencer.done),
            self.outcome.eq(sequencer.outcome),
            # the decision
            array.score_of.eq(decision.score_of),
            decision.score.eq(array.score),
            decision.label.eq(sequencer.label),
            decision.gate.eq(registers.gate),
            decision.margin_true.eq(registers.readout_margin_true),
            decision.margin_false.eq(registers.readout_margin_false),
            sequencer.deciding.eq(decision.busy),
            sequencer.passes.eq(decision.passes),
            sequencer.prediction.eq(decision.prediction),
            self.scores.eq(decision.scores),
        ]
        self._conclude(m, array, decision, sequencer)
        self._count(m, array, sequencer)
        return m

    def _conclude(self, m: Module, array, decision, sequencer) -> None:
        """At the final state: compare the scores, then let the readout learn."""
        m.d.comb += [array.up.eq(decision.up), array.down.eq(decision.down)]
        with m.FSM() as fsm:
            with m.State("REST"):
                m.d.comb += decision.start.eq(sequencer.decide)
                with m.If(sequencer.conclude):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += decision.start.eq(1)
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(~decision.busy):
                    m.next = "REST"
                    with m.If((decision.up | decision.down).any() & self.registers.learn_readout):
                        m.d.comb += array.learn_scores.eq(1)
                        m.next = "LEARN"
            with m.State("LEARN"):
                with m.If(~array.learning_scores):
                    m.next = "REST"
        m.d.comb += sequencer.concluding.eq(~fsm.ongoing("REST"))

    def _count(self, m: Module, array, sequencer) -> None:
        amounts = self.amounts
        m.d.comb += [
            amounts.samples.eq(sequencer.done),
            amounts.learned.eq(sequencer.learned),
            amounts.sweeps.eq(sequencer.swept),
            amounts.input_changes.eq(sequencer.input_changes),
            amounts.updates.eq(array.unstable),
            amounts.saturations.eq(array.cut),
            amounts.readout_saturations.eq(array.scores_cut),
            amounts.weight_accesses.eq(array.used),
            amounts.cycles.eq(sequencer.phase.any()),
        ]
        with m.If(sequencer.free):
            m.d.comb += amounts.moves.eq(array.events)
        with m.Else():
            m.d.comb += amounts.flips.eq(array.events)
        with m.If(array.envelope.valid):
            m.d.comb += amounts.field_envelope.eq(array.envelope.value)
        for bit, name in enumerate(PHASES):
            m.d.comb += amounts[f"cycles_{name}"].eq(sequencer.phase[bit])
