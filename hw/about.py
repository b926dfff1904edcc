"""The text of the build, kept on the board."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from relaxon import protocol
from relaxon.hw.hostport import HostPort


class About(wiring.Component):
    """A read-only memory of `BUILD_BYTES` bytes: block RAM where there is some to spare.

    Parameters
    ----------
    text
        At most `BUILD_BYTES`; zeros follow.

    Members
    -------
    host : In(HostPort)
        One byte a word; what is written is ignored.
    """

    def __init__(self, text: bytes):
        if len(text) > protocol.BUILD_BYTES:
            raise ValueError(f"text must have {protocol.BUILD_BYTES} bytes at most, not {len(text)}")
        self._text = text
        super().__init__({"host": In(HostPort(protocol.BUILD_BYTES, 1))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=8, depth=protocol.BUILD_BYTES, init=self._text.ljust(protocol.BUILD_BYTES, b"\0")
        )
        read = memory.read_port()
        host = self.host
        m.d.comb += [read.addr.eq(host.address), host.read_data.eq(read.data)]
        m.d.sync += host.done.eq(host.active & ~host.done)
        return m
