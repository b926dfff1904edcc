"""Streams connected for as long as a condition holds."""

from __future__ import annotations

from amaranth import Module


def feed(m: Module, source, sink) -> None:
    """Stream `source` feeds `sink` under the condition at hand (`wiring.connect` takes none)."""
    m.d.comb += [
        sink.payload.eq(source.payload),
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
    ]
