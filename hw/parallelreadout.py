"""The readout beside a skewed store: in every strip, scores that follow the events; one decision."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Array, Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.decision import Decision
from relaxon.hw.events import pair_layout
from relaxon.hw.hostport import word_port
from relaxon.hw.learners import neuron_tag
from relaxon.hw.operation import group_bits
from relaxon.hw.readout import Readout, total, total_latency
from relaxon.hw.registers import REGISTERS
from relaxon.layout import Layout
from relaxon.protocol import Space


def moved_layout(layout: Layout) -> data.StructLayout:
    """One or two neurons of a strip have changed."""
    return data.StructLayout(
        {"valid": 1, "pair": pair_layout(layout.strip_lanes, neuron_tag(layout))}
    )


class ParallelReadout(wiring.Component):
    """A `Readout` for every strip, and what compares their scores.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    moved : In
        What changed in each strip.
    rest, forget : In(1)
        See `Readout`.
    decide, conclude : In(1), training : In(1), label : In, registers : In, busy : Out(1),
    prediction : Out, passes : Out(1), ask : In(1), score_of : In, score : Out, known : Out(1),
    cut : Out, state_read : Out, state_words : In
        See `SerialReadout`.
    readout : In(WordPort)
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        config, strips = layout.config, layout.strips
        super().__init__(
            {
                "moved": In(data.ArrayLayout(moved_layout(layout), strips)),
                **{
                    name: In(1)
                    for name in ("rest", "forget", "decide", "conclude", "ask", "training")
                },
                "label": In(range(config.classes)),
                "registers": In(REGISTERS),
                "busy": Out(1),
                "prediction": Out(range(config.classes)),
                "passes": Out(1),
                "score_of": In(range(config.classes)),
                "score": Out(signed(config.score_bits)),
                "known": Out(1),
                "cut": Out(bits_for(strips * config.classes * layout.readout_width)),
                "state_read": Out(group_bits(layout)),
                "state_words": In(data.ArrayLayout(layout.strip_lanes, strips)),
                "readout": In(word_port(layout, Space.READOUT)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, registers = self.layout, self.registers
        m.submodules.decision = decision = Decision(layout, total_latency(layout.strips))
        readouts = [Readout(layout, number) for number in range(layout.strips)]
        learn = self._conclude(m, decision, Cat(readout.learning for readout in readouts).any())
        for number, readout in enumerate(readouts):
            m.submodules[f"readout{number}"] = readout
            m.d.comb += [
                readout.event.eq(self.moved[number]),
                readout.rest.eq(self.rest),
                readout.forget.eq(self.forget),
                readout.learn.eq(learn),
                readout.up.eq(decision.up),
                readout.down.eq(decision.down),
                readout.step_true.eq(registers.readout_step_true),
                readout.step_false.eq(registers.readout_step_false),
                readout.score_of.eq(decision.score_of),
                readout.state_word.eq(self.state_words[number]),
                readout.host.active.eq(self.readout.active),
                readout.host.address.eq(self.readout.address),
                readout.host.write.eq(self.readout.write),
                readout.host.write_data.eq(self.readout.write_data),
            ]
        m.d.sync += self.cut.eq(sum(readout.cut for readout in readouts))
        m.d.comb += [
            self.state_read.eq(readouts[0].state_read),  # all of them walk in step
            self.readout.read_data.eq(reduce(or_, (r.host.read_data for r in readouts))),
            decision.score.eq(total(m, [readout.score for readout in readouts])),
            decision.label.eq(self.label),
            decision.gate.eq(registers.gate),
            decision.margin_true.eq(registers.readout_margin_true),
            decision.margin_false.eq(registers.readout_margin_false),
            self.prediction.eq(decision.prediction),
            self.passes.eq(decision.passes),
            self.score.eq(Array(decision.scores)[self.score_of]),
            self.known.eq(self.ask),
        ]
        return m

    def _conclude(self, m: Module, decision: Decision, learning) -> Signal:
        """At the final state: compare the scores, then let the readouts learn, where the returned
        signal is 1."""
        learn = Signal()
        with m.FSM() as fsm:
            with m.State("REST"):
                m.d.comb += decision.start.eq(self.decide)
                with m.If(self.conclude):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += decision.start.eq(1)
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(~decision.busy):
                    m.next = "REST"
                    with m.If((decision.up | decision.down).any() & self.registers.learn_readout):
                        m.d.comb += learn.eq(1)
                        m.next = "LEARN"
            with m.State("LEARN"):
                with m.If(~learning):
                    m.next = "REST"
        m.d.comb += self.busy.eq(~fsm.ongoing("REST") | decision.busy)
        return learn
