"""HELLO: who this board is."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.replies import REPLY_BYTE
from relaxon.layout import Layout


class Identity(wiring.Component):
    """Takes a HELLO's nonce and gives the bytes of IDENTITY.

    Parameters
    ----------
    layout
        The machine's geometry.
    build, clock_hz
        Told to the host.

    Members
    -------
    active : In(1)
        Holds from the nonce's first byte until the answer is complete; then low for a cycle.
    bytes : In(stream of 8)
        The body of HELLO.
    expected : In(8)
        The sequence number that is due.
    known : Out(1)
        The nonce is there: the answer may begin.
    body : Out(stream of data, last)
        Its bytes.
    """

    def __init__(self, layout: Layout, *, build: int, clock_hz: int):
        self._layout, self._build, self._clock_hz = layout, build, clock_hz
        super().__init__(
            {
                "active": In(1),
                "bytes": In(stream.Signature(8)),
                "expected": In(8),
                "known": Out(1),
                "body": Out(stream.Signature(REPLY_BYTE)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        nonce = Signal(8 * protocol.HELLO.size)
        at = Signal(range(protocol.IDENTITY.size + 1))
        identity = self._identity(nonce)
        m.d.comb += [
            self.body.payload.data.eq(
                Array(identity.word_select(i, 8) for i in range(protocol.IDENTITY.size))[at]
            ),
            self.body.payload.last.eq(at == protocol.IDENTITY.size - 1),
        ]
        with m.FSM():
            with m.State("NONCE"):
                m.d.comb += self.bytes.ready.eq(1)
                with m.If(self.bytes.valid):
                    m.d.sync += [nonce.eq(Cat(nonce[8:], self.bytes.payload)), at.eq(at + 1)]
                    with m.If(at == protocol.HELLO.size - 1):
                        m.d.sync += at.eq(0)
                        m.next = "TELL"
            with m.State("TELL"):
                m.d.comb += [self.known.eq(1), self.body.valid.eq(at != protocol.IDENTITY.size)]
                with m.If(self.body.valid & self.body.ready):
                    m.d.sync += at.eq(at + 1)
                with m.If(~self.active):
                    m.d.sync += at.eq(0)
                    m.next = "NONCE"
        return m

    def _identity(self, nonce: Signal):
        """The bytes of IDENTITY side by side."""
        known = {
            "nonce": nonce,
            "version": protocol.VERSION,
            "expected": self.expected,
            "build": self._build,
            "rx_bytes": self._layout.rx_bytes,
            "slot_bytes": self._layout.slot_bytes,
            "clock_hz": self._clock_hz,
            **self._layout.config.identity(),
        }
        return Cat(
            Const(known[name], 8 * size) if isinstance(known[name], int) else known[name]
            for name, (_, size) in protocol.IDENTITY.offsets().items()
        )
