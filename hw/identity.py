"""HELLO and OPEN: who this board is."""

from __future__ import annotations

from amaranth import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.replies import REPLY_BYTE
from relaxon.layout import Layout


class Identity(wiring.Component):
    """Gives the bytes of IDENTITY, the greeting's nonce first.

    Parameters
    ----------
    layout
        The machine's geometry.
    build, clock_hz, features
        Told to the host.

    Members
    -------
    active : In(1)
        Holds from the answer's first byte until it is complete; then low for a cycle.
    bytes : In(stream of 8)
        The greeting's body.
    expected : In(8)
        The sequence number that is due.
    opened : In(1)
        A host has opened the board.
    body : Out(stream of data, last)
        Its bytes.
    """

    def __init__(self, layout: Layout, **told: int):
        self._layout, self._told = layout, told
        super().__init__(
            {
                "active": In(1),
                "bytes": In(stream.Signature(8)),
                "expected": In(8),
                "opened": In(1),
                "body": Out(stream.Signature(REPLY_BYTE)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        at = Signal(range(protocol.IDENTITY.size + 1))
        known, body = self._known(), self.body
        echoes = at < protocol.HELLO.size  # the nonce goes straight through
        m.d.comb += [
            self.bytes.ready.eq(echoes & body.ready),
            body.valid.eq(Mux(echoes, self.bytes.valid, at != protocol.IDENTITY.size) & self.active),
            body.payload.data.eq(Mux(echoes, self.bytes.payload, Array(known)[at])),
            body.payload.last.eq(at == protocol.IDENTITY.size - 1),
        ]
        with m.If(body.valid & body.ready):
            m.d.sync += at.eq(at + 1)
        with m.If(~self.active):
            m.d.sync += at.eq(0)
        return m

    def _known(self) -> list:
        """The bytes of IDENTITY; those of the nonce are 0."""
        known = {
            "nonce": 0,
            "version": protocol.VERSION,
            "expected": self.expected,
            "opened": self.opened | Const(0, 8),
            **self._told,
            "rx_bytes": self._layout.rx_bytes,
            "slot_bytes": self._layout.slot_bytes,
            **self._layout.config.identity(),
        }
        return [
            known[name] if isinstance(known[name], Value) else Const(known[name] >> 8 * byte & 0xFF, 8)
            for name, (_, size) in protocol.IDENTITY.offsets().items()
            for byte in range(size)
        ]
