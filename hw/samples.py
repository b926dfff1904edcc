"""TRAIN, INFER and SCORE: samples fetched ahead of the machine and answered behind it."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.answer import Answer
from relaxon.hw.inputs import byte_write_layout
from relaxon.hw.sequencer import outcome_layout, sample_layout
from relaxon.layout import Layout
from relaxon.protocol import Status

UNDER_WAY = 2
"""Most samples handed to the machine and not answered yet: one computed, one being answered."""


class SampleTarget(wiring.Signature):
    """The machine, to who gives it samples.

    Members
    -------
    input_write : Out(valid, address, data)
        A byte of the next sample's packed inputs; only while `input_free`.
    input_free : In(1)
        The inputs of the sample before are not needed any more.
    sample : Out(stream of training, label)
        The next sample, once its inputs are written.
    busy : In(1)
        A sample is computed, or still learned by the readout.
    done : In(1), outcome : In
        For one cycle, when its outcome is there.
    ask : Out(1), score_of : Out, score, known : In
        A class's score, when it is known; from then on until the next sample is taken.
    """

    def __init__(self, layout: Layout):
        config = layout.config
        super().__init__(
            {
                "input_write": Out(byte_write_layout(layout)),
                "input_free": In(1),
                "sample": Out(stream.Signature(sample_layout(layout))),
                "busy": In(1),
                "done": In(1),
                "outcome": In(outcome_layout(layout)),
                "ask": Out(1),
                "score_of": Out(range(config.classes)),
                "score": In(signed(config.score_bits)),
                "known": In(1),
            }
        )


class SamplePort(wiring.Component):
    """Keeps the machine busy: the next sample is fetched, the last one answered, while it computes.

    ::

        bytes ─▶ LABEL ▶ INPUTS ▶ OFFER ──sample──▶ machine ──done──▶ REST ▶ SEND ▶ CLOSE ─▶ answer
                                                                              └▶ SCORE

    The outcome of a finished sample waits in a register of its own until the answer before it is
    complete, so the machine may finish one sample while the one before is still being answered.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    fetch : In(1)
        The next sample's frame is at `bytes`; holds until `taken` or `bad_label`.
    training, scoring : In(1)
        TRAIN; SCORE, which must be alone under way.
    bytes : In(stream of 8)
        The frame's body, of the right length.
    taken, bad_label : Out(1)
        The machine has the sample; there is no such class, and no sample.
    expected : In(8)
        The sequence number after that of the sample `taken` last.
    answer : Out(Answer)
    machine : Out(SampleTarget)
    busy : Out(1)
        The machine is busy or a sample is not answered yet.
    link_cycle : Out(1)
        A sample is being fetched or answered, and nothing is computed.

    Timing
    ------
    Fetching takes a cycle and 2 for each byte of the body, if the machine is free. Answering is as
    quick as the `AnswerWriter` and the reply cache are.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        super().__init__(
            {
                "fetch": In(1),
                "training": In(1),
                "scoring": In(1),
                "bytes": In(stream.Signature(8)),
                "taken": Out(1),
                "bad_label": Out(1),
                "expected": In(8),
                "answer": Out(Answer()),
                "machine": Out(SampleTarget(layout)),
                "busy": Out(1),
                "link_cycle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        answered = self.answer.head.valid & self.answer.head.ready
        self.under_way = Signal(range(UNDER_WAY + 1))
        m.d.sync += self.under_way.eq(self.under_way + self.taken - answered)
        m.d.comb += [
            self.busy.eq(self.machine.busy | (self.under_way != 0)),
            self.link_cycle.eq(
                (self.fetch | (self.under_way != 0)) & ~self.machine.busy & ~self.machine.sample.valid
            ),
        ]
        self._fetch(m)
        self._answer(m)
        return m

    def _fetch(self, m: Module) -> None:
        """A frame into the buffer of the next sample."""
        at = Signal(range(self.layout.input_bytes))
        write, sample = self.machine.input_write, self.machine.sample
        m.d.comb += [
            write.address.eq(at),
            write.data.eq(self.bytes.payload),
            sample.payload.training.eq(self.training),
        ]
        with m.FSM():
            with m.State("LABEL"):
                with m.If(self.fetch & ~self.training):
                    m.next = "INPUTS"
                with m.Elif(self.fetch):
                    m.d.comb += self.bytes.ready.eq(1)
                    m.d.sync += sample.payload.label.eq(self.bytes.payload)
                    with m.If(self.bytes.valid):
                        m.d.comb += self.bad_label.eq(
                            self.bytes.payload >= self.layout.config.classes
                        )
                        with m.If(~self.bad_label):
                            m.next = "INPUTS"
            with m.State("INPUTS"):  # x, eight inputs a byte
                m.d.comb += self.bytes.ready.eq(self.machine.input_free)
                with m.If(self.bytes.valid & self.bytes.ready):
                    m.d.comb += write.valid.eq(1)
                    m.d.sync += at.eq(at + 1)
                    with m.If(at == self.layout.input_bytes - 1):
                        m.d.sync += at.eq(0)
                        m.next = "OFFER"
            with m.State("OFFER"):  # until the machine is free, and will be able to tell its outcome
                m.d.comb += sample.valid.eq(self.under_way != UNDER_WAY)
                with m.If(sample.valid & sample.ready):
                    m.d.comb += self.taken.eq(1)
                    m.next = "LABEL"

    def _answer(self, m: Module) -> None:
        """The outcome, and a SCORE's scores, oldest sample first."""
        head, body = self.answer.head, self.answer.body
        finished, outcome = Signal(), Signal.like(self.machine.outcome)
        scoring = Signal()
        register = Signal(8 * max(protocol.OUTCOME.size, protocol.SCORE_BYTES))
        left = Signal(range(len(register) // 8 + 1))  # bytes still to send from it
        scored = Signal(range(self.layout.config.classes + 1))

        with m.If(self.taken):
            m.d.sync += scoring.eq(self.scoring)
        # Of the oldest sample: it stays when one is taken, and is new before the next is answered.
        oldest = Signal(8)
        m.d.sync += oldest.eq(self.expected - self.under_way)
        last = left == 1
        final = ~scoring | (scored == self.layout.config.classes)
        m.d.comb += [
            head.payload.slot.eq(oldest),
            head.payload.sequence.eq(oldest),
            head.payload.status.eq(Status.OK),
            body.payload.data.eq(register[:8]),
            body.payload.last.eq(last & final),
        ]
        with m.FSM() as fsm:
            with m.State("REST"):
                m.d.sync += [register.eq(_packed(m, outcome)), left.eq(protocol.OUTCOME.size)]
                m.d.sync += scored.eq(0)
                with m.If(finished):
                    m.d.sync += finished.eq(0)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += body.valid.eq(1)
                with m.If(body.ready):
                    m.d.sync += [register.eq(register >> 8), left.eq(left - 1)]
                    with m.If(last & final):
                        m.next = "CLOSE"
                    with m.Elif(last):
                        m.next = "SCORE"
            with m.State("SCORE"):  # the next class's score
                value = Signal(signed(8 * protocol.SCORE_BYTES))
                m.d.comb += [
                    self.machine.ask.eq(1),
                    self.machine.score_of.eq(scored),
                    value.eq(self.machine.score),
                ]
                with m.If(self.machine.known):
                    m.d.sync += [
                        register.eq(value.as_unsigned()),
                        left.eq(protocol.SCORE_BYTES),
                        scored.eq(scored + 1),
                    ]
                    m.next = "SEND"
            with m.State("CLOSE"):
                with m.If(head.ready):
                    m.next = "REST"
        m.d.comb += head.valid.eq(~fsm.ongoing("REST"))
        with m.If(self.machine.done):
            m.d.sync += [finished.eq(1), outcome.eq(self.machine.outcome)]


def _packed(m: Module, outcome: data.View):
    """The bytes of OUTCOME, each member zero-extended."""
    wide = {
        name: Signal(8 * size, name=f"{name}_bytes")
        for name, (_, size) in protocol.OUTCOME.offsets().items()
    }
    m.d.comb += [signal.eq(outcome[name]) for name, signal in wide.items()]
    return Cat(wide.values())
