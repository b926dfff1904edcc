"""Everything that computes: array, events, readout and the sequencer that drives them."""

from __future__ import annotations

from amaranth import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.array import NeuronArray
from relaxon.hw.counters import amounts_layout
from relaxon.hw.decision import Decision
from relaxon.hw.events import EntryList, EventScanner
from relaxon.hw.hostport import HostPort
from relaxon.hw.operation import address_bits, group_bits
from relaxon.hw.readout import Readout
from relaxon.hw.registers import REGISTERS
from relaxon.hw.sequencer import Sequencer, outcome_layout
from relaxon.layout import Layout
from relaxon.protocol import PHASES, Space


class Machine(wiring.Component):
    """The learning machine without its link.

    ::

        sequencer ──operation──▶ array ──reported──▶ list ──▶ scanner
            ▲  ▲                                      │          │
            │  └───────────────learners───────────────┘          │
            └──────────────────events────────────────────────────┤
        decision ◀──scores── readout ◀───────────────────────────┘

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    start, training : In(1), label : In, busy, done : Out(1), outcome : Out
        One sample; see `Sequencer`.
    input_write : In(valid, address, data)
        Bytes of the packed input; write them while not `busy`.
    registers : In(REGISTERS)
    scores : Out(C × signed)
        r of the last sample.
    amounts : Out
        What the machine's counters take in this cycle; the link's are 0.
    weights, readout, states : In(HostPort)
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        config = layout.config
        super().__init__(
            {
                "start": In(1),
                "training": In(1),
                "label": In(range(config.classes)),
                "busy": Out(1),
                "done": Out(1),
                "outcome": Out(outcome_layout(layout)),
                "input_write": In(
                    data.StructLayout(
                        {"valid": 1, "address": bits_for(max(1, layout.input_bytes - 1)), "data": 8}
                    )
                ),
                "registers": In(REGISTERS),
                "scores": Out(data.ArrayLayout(signed(config.score_bits), config.classes)),
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
        m.submodules.array = array = NeuronArray(self.layout)
        m.submodules.list = entries = EntryList(self.layout)
        m.submodules.scanner = scanner = EventScanner(self.layout)
        m.submodules.readout = readout = Readout(self.layout)
        m.submodules.decision = decision = Decision(self.layout)
        m.submodules.sequencer = sequencer = Sequencer(self.layout)
        wiring.connect(m, array.weights, wiring.flipped(self.weights))
        wiring.connect(m, array.states, wiring.flipped(self.states))
        wiring.connect(m, readout.host, wiring.flipped(self.readout))
        wiring.connect(m, scanner.events, sequencer.events)

        m.d.comb += [
            sequencer.start.eq(self.start),
            sequencer.training.eq(self.training),
            sequencer.label.eq(self.label),
            sequencer.registers.eq(self.registers),
            self.busy.eq(sequencer.busy),
            self.done.eq(sequencer.done),
            self.outcome.eq(sequencer.outcome),
            # the array
            array.operation.eq(sequencer.operation),
            array.self_coupling.eq(self.registers.self_coupling),
            array.chain_coupling.eq(self.registers.chain_coupling),
            array.margin.eq(self.registers.margin),
            array.input_write.eq(self.input_write),
            array.learner.eq(sequencer.learner),
            array.state_write.eq(scanner.state_write),
            array.state_read.eq(readout.state_read),
            sequencer.evaluating.eq(array.evaluating),
            sequencer.unstable.eq(array.count & array.count_unstable.replicate(len(array.count))),
            # reported neurons go to the scanner in a sweep, to the sequencer in a learning step
            entries.push.eq(array.reported),
            entries.clear.eq(sequencer.entries_clear),
            scanner.entries.payload.eq(entries.entries.payload),
            scanner.entries.valid.eq(entries.entries.valid & sequencer.scan),
            sequencer.entries.payload.eq(entries.entries.payload),
            sequencer.entries.valid.eq(entries.entries.valid),
            entries.entries.ready.eq(
                (scanner.entries.ready & sequencer.scan) | sequencer.entries.ready
            ),
            sequencer.scanning.eq(scanner.busy),
            # the readout
            readout.clear.eq(sequencer.readout_clear),
            readout.event.eq(sequencer.readout_event),
            readout.learn.eq(sequencer.readout_learn),
            readout.up.eq(decision.up),
            readout.down.eq(decision.down),
            readout.step_true.eq(self.registers.readout_step_true),
            readout.step_false.eq(self.registers.readout_step_false),
            readout.state_word.eq(array.state_word),
            sequencer.readout_learning.eq(readout.learning),
            self.scores.eq(readout.scores),
            # the decision
            decision.scores.eq(readout.scores),
            decision.label.eq(sequencer.decided_label),
            decision.gate.eq(self.registers.gate),
            decision.margin_true.eq(self.registers.readout_margin_true),
            decision.margin_false.eq(self.registers.readout_margin_false),
            decision.start.eq(sequencer.decide),
            sequencer.deciding.eq(decision.busy),
            sequencer.passes.eq(decision.passes),
            sequencer.prediction.eq(decision.prediction),
            sequencer.improves.eq(decision.up.any() | decision.down.any()),
        ]
        self._count(m, array, readout, sequencer)
        return m

    def _count(self, m: Module, array: NeuronArray, readout: Readout, sequencer: Sequencer) -> None:
        amounts = self.amounts
        m.d.comb += [
            amounts.samples.eq(sequencer.done),
            amounts.learned.eq(sequencer.learned),
            amounts.sweeps.eq(sequencer.swept),
            amounts.flips.eq(sequencer.flipped),
            amounts.updates.eq(sequencer.unstable),
            amounts.saturations.eq(array.count & array.count_cut.replicate(len(array.count))),
            amounts.readout_saturations.eq(readout.cut),
            amounts.cycles.eq(sequencer.phase.any()),
        ]
        with m.If(array.envelope_valid):
            m.d.comb += amounts.field_envelope.eq(array.envelope)
        for bit, name in enumerate(PHASES):
            m.d.comb += amounts[f"cycles_{name}"].eq(sequencer.phase[bit])
