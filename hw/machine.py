"""Everything that computes: the array, the readout and the sequencer that drives them."""

from __future__ import annotations

from amaranth import Module, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.array import STRIP_CONTROL, NeuronArray
from relaxon.hw.counters import amounts_layout
from relaxon.hw.hostport import host_port
from relaxon.hw.inputs import byte_write_layout
from relaxon.hw.parallelreadout import ParallelReadout
from relaxon.hw.registers import REGISTERS
from relaxon.hw.sequencer import Sequencer, outcome_layout, sample_layout
from relaxon.hw.serialreadout import SerialReadout
from relaxon.hw.wordbuffer import WordBuffer
from relaxon.layout import Layout
from relaxon.protocol import PHASES, Space


class Machine(wiring.Component):
    """The learning machine without its link.

    ::

        input bytes ──▶ array ◀──accesses, evaluations── sequencer ◀── samples
                          │ states, events                  ▲
                          └──────────▶ readout ─────────────┘

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
    ask : In(1), score_of : In, score : Out(signed), known : Out(1)
        r of a class, when it is `known`; asked for after `done` and before the next sample.
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
                "ask": In(1),
                "score_of": In(range(config.classes)),
                "score": Out(signed(config.score_bits)),
                "known": Out(1),
                "invalidate": In(1),
                "registers": In(REGISTERS),
                "amounts": Out(amounts_layout(layout)),
                "weights": In(host_port(layout, Space.WEIGHTS)),
                "readout": In(host_port(layout, Space.READOUT)),
                "states": In(host_port(layout, Space.STATE)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, registers = self.layout, self.registers
        m.submodules.array = array = NeuronArray(layout)
        m.submodules.sequencer = sequencer = Sequencer(layout)
        kind = SerialReadout if layout.serial else ParallelReadout
        m.submodules.readout = readout = kind(layout)
        wiring.connect(m, wiring.flipped(self.sample), sequencer.sample)
        wiring.connect(m, array.inputs, sequencer.inputs)
        to_array = (*STRIP_CONTROL, "input_take", "input_all")
        m.d.comb += [
            *(getattr(array, name).eq(getattr(sequencer, name)) for name in to_array),
            array.input_write.eq(self.input_write),
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
            # the readout
            *(getattr(readout, n).eq(getattr(sequencer, n)) for n in
              ("decide", "conclude", "training", "label")),
            readout.registers.eq(registers),
            readout.state_words.eq(array.state_words),
            array.state_read.eq(readout.state_read),
            sequencer.reading.eq(readout.busy),
            sequencer.passes.eq(readout.passes),
            sequencer.prediction.eq(readout.prediction),
            readout.ask.eq(self.ask),
            readout.score_of.eq(self.score_of),
            self.score.eq(readout.score),
            self.known.eq(readout.known),
        ]  # fmt: skip
        self._host(m, array, readout)
        self._count(m, array, sequencer, readout)
        return m

    def _host(self, m: Module, array, readout) -> None:
        """The host's bytes; words where the readout does not keep its elements with the weights."""
        words = {Space.STATE: array.states}
        if self.layout.serial:
            m.d.comb += [array.side.eq(readout.side), readout.words.eq(array.words)]
            wiring.connect(m, wiring.flipped(self.weights), readout.weights)
            wiring.connect(m, wiring.flipped(self.readout), readout.readout)
        else:
            m.d.comb += [
                readout.moved.eq(array.moved),
                readout.rest.eq(array.rest),
                readout.forget.eq(array.input_take & array.input_all),
            ]
            words |= {Space.WEIGHTS: array.weights, Space.READOUT: readout.readout}
        m.submodules.words = buffer = WordBuffer(self.layout, tuple(words))
        hosts = {Space.STATE: self.states, Space.WEIGHTS: self.weights, Space.READOUT: self.readout}
        for space, port in words.items():
            name = space.name.lower()
            wiring.connect(m, wiring.flipped(hosts[space]), getattr(buffer, f"{name}_host"))
            wiring.connect(m, getattr(buffer, f"{name}_word"), port)

    def _count(self, m: Module, array, sequencer, readout) -> None:
        amounts = self.amounts
        m.d.comb += [
            amounts.samples.eq(sequencer.done),
            amounts.learned.eq(sequencer.learned),
            amounts.sweeps.eq(sequencer.swept),
            amounts.input_changes.eq(sequencer.input_changes),
            amounts.updates.eq(array.unstable),
            amounts.saturations.eq(array.cut),
            amounts.readout_saturations.eq(readout.cut),
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
