"""The neuron array: strips side by side, and the inputs."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.counters import amounts_layout
from relaxon.hw.events import pair_layout
from relaxon.hw.hostport import word_port
from relaxon.hw.inputs import Inputs, byte_write_layout, input_tag
from relaxon.hw.operation import (
    access_layout,
    evaluation_layout,
    group_bits,
    reported_layout,
    side_layout,
)
from relaxon.hw.parallelreadout import moved_layout
from relaxon.hw.registers import REGISTERS
from relaxon.hw.strip import Strip
from relaxon.layout import Layout
from relaxon.protocol import Space

STRIP_CONTROL = ("access", "evaluation", "apply", "learn", "coupled", "rest", "clear")


class NeuronArray(wiring.Component):
    """All neurons, driven by one access or evaluation per cycle.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    access, evaluation : In; apply, learn, coupled, rest, clear : In(1)
        To every strip; see `Strip`.
    reported : Out(valid, bin), idle : Out(1)
        The bin of rows in which a neuron was reported; all strips are idle (both a cycle late).
    input_write : In, input_free : Out(1), input_take, input_all : In(1), inputs : Out(stream),
    input_more : Out(1)
        See `Inputs`.
    moved : Out(valid, pair), state_read : In(group), state_words : Out
        For every strip, what changed in it, and the states of a group, a cycle later: for the
        readout.
    events, unstable, cut, used : Out
        To count: neurons that changed, neurons found unstable, couplings cut, strips whose weight
        memory is used.
    envelope : Out(valid, value)
    registers : In
    states : In(WordPort)
    weights : In(WordPort) or side : In, words : Out
        See `Strip`; for every strip.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        config = layout.config
        pairs, amounts = pair_layout(layout.input_word, input_tag(layout)), amounts_layout(layout)
        if layout.serial:
            memory = {
                "side": In(data.ArrayLayout(side_layout(layout), layout.strips)),
                "words": Out(data.ArrayLayout(8 * layout.strip_bytes, layout.strips)),
            }
        else:
            memory = {"weights": In(word_port(layout, Space.WEIGHTS))}
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
                "reported": Out(reported_layout(layout)),
                "idle": Out(1),
                "input_write": In(byte_write_layout(layout)),
                "input_free": Out(1),
                "input_take": In(1),
                "input_all": In(1),
                "inputs": Out(stream.Signature(pairs)),
                "input_more": Out(1),
                "moved": Out(data.ArrayLayout(moved_layout(layout), layout.strips)),
                "state_read": In(group_bits(layout)),
                "state_words": Out(data.ArrayLayout(layout.strip_lanes, layout.strips)),
                **{
                    name: Out(amounts[counter].shape)
                    for name, counter in {
                        "events": "flips",
                        "unstable": "updates",
                        "cut": "saturations",
                        "used": "weight_accesses",
                    }.items()
                },
                "envelope": Out(data.StructLayout({"valid": 1, "value": config.field_bits})),
                "registers": In(REGISTERS),
                "states": In(word_port(layout, Space.STATE)),
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
        for number, strip in enumerate(strips):
            m.submodules[f"strip{number}"] = strip
            m.d.comb += [
                *(
                    getattr(strip, name).eq(getattr(self, name))
                    for name in STRIP_CONTROL
                ),
                strip.registers.eq(self.registers),
                strip.input.eq(inputs.current),
                strip.input_word.eq(inputs.looked),
                strip.previous.eq(strips[number - 1].center if number else strips[-1].before),
                strip.next.eq(
                    strips[number + 1].center if number + 1 < len(strips) else strips[0].after
                ),
                self.moved[number].eq(strip.event),
                strip.state_read.eq(self.state_read),
                self.state_words[number].eq(strip.state_word),
            ]
            if layout.serial:
                m.d.comb += [strip.side.eq(self.side[number]), self.words[number].eq(strip.word)]
        m.d.comb += inputs.look.eq(strips[0].input_read)
        idle = Signal(init=1)
        m.d.sync += [
            idle.eq(Cat(strip.idle for strip in strips).all()),
            self.reported.valid.eq(Cat(strip.reported.valid for strip in strips).any()),
            self.reported.bin.eq(strips[0].reported.bin),
        ]
        m.d.comb += [
            self.idle.eq(idle),
        ]
        self._count(m, strips)
        self._host(m, strips)
        return m

    def _count(self, m: Module, strips: list[Strip]) -> None:
        m.d.sync += [
            self.events.eq(
                sum(strip.event.valid + (strip.event.valid & strip.event.pair.two) for strip in strips)
            ),
            self.unstable.eq(sum(strip.unstable for strip in strips)),
            self.cut.eq(sum(strip.cut for strip in strips)),
            self.used.eq(sum(strip.used for strip in strips)),
            self.envelope.valid.eq(strips[0].envelope.valid),
        ]
        m.d.sync += self.envelope.value.eq(reduce(or_, (s.envelope.value for s in strips)))

    def _host(self, m: Module, strips: list[Strip]) -> None:
        """A word of couplings or states is the strips' words side by side."""
        for name in ("states",) if self.layout.serial else ("weights", "states"):
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
