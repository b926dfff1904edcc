"""The neuron array: strips side by side, their readouts, and the inputs."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.counters import AMOUNT_BITS
from relaxon.hw.events import pair_layout
from relaxon.hw.hostport import HostPort
from relaxon.hw.inputs import Inputs, byte_write_layout, input_tag
from relaxon.hw.operation import (
    access_layout,
    address_bits,
    evaluation_layout,
    group_bits,
)
from relaxon.hw.readout import Readout, total, total_latency
from relaxon.hw.registers import REGISTERS
from relaxon.hw.strip import Strip
from relaxon.layout import Layout
from relaxon.protocol import Space


class NeuronArray(wiring.Component):
    """All neurons, driven by one access or evaluation per cycle.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    access, evaluation : In; apply, learn, rest, clear : In(1)
        To every strip; see `Strip`.
    reported : Out(row_bins), idle : Out(1)
        Bins of rows in which a neuron was reported; all strips are idle (one cycle late).
    input_write : In, input_free : Out(1), input_take, input_all : In(1), inputs : Out(stream),
    input_more : Out(1)
        See `Inputs`.
    forget_scores, learn_scores : In(1), up, down : In(C), learning_scores : Out(1)
        See `Readout`.
    score_of : In, score : Out
        r of that class, `score_latency` cycles later.
    events, unstable, cut, scores_cut, used : Out
        To count: neurons that changed, neurons found unstable, couplings and readout elements cut,
        strips whose weight memory is used.
    envelope : Out(valid, value)
    registers : In
    weights, states, readout : In(HostPort)
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        config = layout.config
        self.score_latency = total_latency(layout.strips)
        pairs = pair_layout(layout.input_word, input_tag(layout))
        super().__init__(
            {
                "access": In(access_layout(layout)),
                "evaluation": In(evaluation_layout(layout)),
                "apply": In(1),
                "learn": In(1),
                "rest": In(1),
                "clear": In(1),
                "reported": Out(layout.row_bins),
                "idle": Out(1),
                "input_write": In(byte_write_layout(layout)),
                "input_free": Out(1),
                "input_take": In(1),
                "input_all": In(1),
                "inputs": Out(stream.Signature(pairs)),
                "input_more": Out(1),
                "forget_scores": In(1),
                "learn_scores": In(1),
                "up": In(config.classes),
                "down": In(config.classes),
                "learning_scores": Out(1),
                "score_of": In(range(config.classes)),
                "score": Out(signed(config.score_bits)),
                **{
                    name: Out(AMOUNT_BITS)
                    for name in ("events", "unstable", "cut", "scores_cut", "used")
                },
                "envelope": Out(data.StructLayout({"valid": 1, "value": config.field_bits})),
                "registers": In(REGISTERS),
                "weights": In(HostPort(address_bits(layout), 8 * layout.word_bytes(Space.WEIGHTS))),
                "states": In(HostPort(group_bits(layout), 8 * layout.word_bytes(Space.STATE))),
                "readout": In(
                    HostPort(bits_for(layout.slots - 1), 8 * layout.word_bytes(Space.READOUT))
                ),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        m.submodules.inputs_buffer = inputs = Inputs(layout)
        wiring.connect(m, inputs.pairs, wiring.flipped(self.inputs))
        m.d.comb += [
            inputs.write.eq(self.input_write),
            inputs.take.eq(self.input_take),
            inputs.all.eq(self.input_all),
            self.input_free.eq(inputs.free),
            self.input_more.eq(inputs.more),
        ]

        strips = [Strip(layout, number) for number in range(layout.strips)]
        readouts = [Readout(layout, number) for number in range(layout.strips)]
        for number, (strip, readout) in enumerate(zip(strips, readouts, strict=True)):
            m.submodules[f"strip{number}"] = strip
            m.submodules[f"readout{number}"] = readout
            m.d.comb += [
                *(
                    getattr(strip, name).eq(getattr(self, name))
                    for name in ("access", "evaluation", "apply", "learn", "rest", "clear")
                ),
                strip.registers.eq(self.registers),
                strip.input.eq(inputs.current),
                strip.previous.eq(strips[number - 1].center if number else strips[-1].before),
                strip.next.eq(
                    strips[number + 1].center if number + 1 < len(strips) else strips[0].after
                ),
                readout.event.eq(strip.event),
                readout.rest.eq(self.rest),
                readout.forget.eq(self.forget_scores),
                readout.learn.eq(self.learn_scores),
                readout.up.eq(self.up),
                readout.down.eq(self.down),
                readout.step_true.eq(self.registers.readout_step_true),
                readout.step_false.eq(self.registers.readout_step_false),
                readout.score_of.eq(self.score_of),
                strip.state_read.eq(readout.state_read),
                readout.state_word.eq(strip.state_word),
            ]
        idle = Signal(init=1)
        m.d.sync += idle.eq(Cat(strip.idle for strip in strips).all())
        m.d.comb += [
            self.reported.eq(reduce(or_, (strip.reported for strip in strips))),
            self.idle.eq(idle),
            self.learning_scores.eq(Cat(readout.learning for readout in readouts).any()),
            self.score.eq(total(m, [readout.score for readout in readouts])),
        ]
        self._count(m, strips, readouts)
        self._host(m, strips, readouts)
        return m

    def _count(self, m: Module, strips: list[Strip], readouts: list[Readout]) -> None:
        m.d.sync += [
            self.events.eq(
                sum(strip.event.valid + (strip.event.valid & strip.event.pair.two) for strip in strips)
            ),
            self.unstable.eq(sum(strip.unstable for strip in strips)),
            self.cut.eq(sum(strip.cut for strip in strips)),
            self.used.eq(sum(strip.used for strip in strips)),
            self.scores_cut.eq(sum(readout.cut for readout in readouts)),
            self.envelope.valid.eq(strips[0].envelope.valid),
        ]
        m.d.sync += self.envelope.value.eq(reduce(or_, (s.envelope.value for s in strips)))

    def _host(self, m: Module, strips: list[Strip], readouts: list[Readout]) -> None:
        """A word of couplings or states is the strips' words side by side; a word of the readout
        belongs to one strip."""
        for name in ("weights", "states"):
            port = getattr(self, name)
            parts = [getattr(strip, name) for strip in strips]
            width = len(parts[0].write_data)
            for number, part in enumerate(parts):
                m.d.comb += [
                    part.active.eq(port.active),
                    part.address.eq(port.address),
                    part.write.eq(port.write),
                    part.write_data.eq(port.write_data[number * width : (number + 1) * width]),
                ]
            m.d.comb += port.read_data.eq(Cat(part.read_data for part in parts))
        for readout in readouts:
            m.d.comb += [
                readout.host.active.eq(self.readout.active),
                readout.host.address.eq(self.readout.address),
                readout.host.write.eq(self.readout.write),
                readout.host.write_data.eq(self.readout.write_data),
            ]
        m.d.comb += self.readout.read_data.eq(reduce(or_, (r.host.read_data for r in readouts)))
