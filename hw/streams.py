"""Streams connected for as long as a condition holds, or with registers between them."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


def feed(m: Module, source, sink) -> None:
    """Stream `source` feeds `sink` under the condition at hand (`wiring.connect` takes none)."""
    m.d.comb += [
        sink.payload.eq(source.payload),
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
    ]


class Stage(wiring.Component):
    """A register in a stream, both ways: its payload comes, and its `ready` goes, without logic.

    Members
    -------
    source : In(stream), sink : Out(stream)

    Timing
    ------
    An item per cycle, a cycle later. Two are held: one that was on its way when `sink` was not ready.
    """

    def __init__(self, payload):
        super().__init__(
            {"source": In(stream.Signature(payload)), "sink": Out(stream.Signature(payload))}
        )

    def elaborate(self, platform):
        m = Module()
        source, sink = self.source, self.sink
        held, spare = Signal(), Signal.like(sink.payload)
        m.d.comb += source.ready.eq(~held)
        with m.If(source.ready):
            m.d.sync += spare.eq(source.payload)
        with m.If(~sink.valid | sink.ready):
            m.d.sync += [
                sink.valid.eq(held | source.valid),
                sink.payload.eq(Mux(held, Value.cast(spare), Value.cast(source.payload))),
                held.eq(0),
            ]
        with m.Else():
            m.d.sync += held.eq(held | source.valid)
        return m
