"""Between the host, which comes byte by byte, and memories with words of many bytes."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.hostport import READ_CYCLES, host_port, word_port
from relaxon.layout import Layout
from relaxon.protocol import Space


class WordBuffer(wiring.Component):
    """A shift register that gathers the bytes of a word to be written, or gives out those of one
    that was read.

    Parameters
    ----------
    layout
        The machine's geometry.
    spaces
        Address spaces that share the register; only one of them is accessed at a time.

    Members
    -------
    *_host : In(HostPort), *_word : Out(WordPort)
        For each space.

    Timing
    ------
    A word is read in `READ_CYCLES` + 1 cycles and 1 for each byte, written in 1 and 1 for each byte.
    """

    def __init__(self, layout: Layout, spaces: tuple[Space, ...]):
        self._spaces = spaces
        self._sizes = {space: layout.word_bytes(space) for space in spaces}
        super().__init__(
            {
                **{f"{s.name.lower()}_host": In(host_port(layout, s)) for s in spaces},
                **{f"{s.name.lower()}_word": Out(word_port(layout, s)) for s in spaces},
            }
        )

    def elaborate(self, platform):
        m = Module()
        register = Signal(8 * max(self._sizes.values()))
        wait = Signal(range(READ_CYCLES + 1), init=READ_CYCLES)
        for space, size in self._sizes.items():
            host = getattr(self, f"{space.name.lower()}_host")
            word = getattr(self, f"{space.name.lower()}_word")
            full = Signal(name=f"full_{space.name.lower()}")
            m.d.comb += [
                word.active.eq(host.active),
                word.address.eq(host.address),
                word.write.eq(host.active & full),
                word.write_data.eq(register[len(register) - 8 * size :]),
                host.read_data.eq(register[:8]),
            ]
            with m.If(host.active & host.write):
                with m.If(full):
                    m.d.comb += host.done.eq(1)
                    m.d.sync += full.eq(0)
                with m.Else():
                    m.d.comb += host.done.eq(host.byte != size - 1)
                    m.d.sync += register.eq(Cat(register[8:], host.write_data))
                    m.d.sync += full.eq(host.byte == size - 1)
            with m.Elif(host.active & (host.byte == 0) & (wait != 0)):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 1):
                    m.d.sync += register.eq(word.read_data)
            with m.Elif(host.active):
                m.d.comb += host.done.eq(1)
                m.d.sync += [wait.eq(READ_CYCLES), register.eq(register >> 8)]
        return m
