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
    2 cycles for each byte, and for each word `READ_CYCLES` + 1 to read it, 1 to write it. The port of
    a word follows the host's a cycle late: of many bytes, it is far away.
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
        hosts = [getattr(self, f"{space.name.lower()}_host") for space in self._spaces]
        words = [getattr(self, f"{space.name.lower()}_word") for space in self._spaces]
        register = Signal(8 * max(self._sizes.values()))
        active, last = Signal(len(hosts)), Signal()
        write, first, byte = Signal(), Signal(), Signal(8)
        for number, (host, word, size) in enumerate(
            zip(hosts, words, self._sizes.values(), strict=True)
        ):
            m.d.comb += [
                active[number].eq(host.active),
                host.read_data.eq(register[:8]),
                word.write_data.eq(register[len(register) - 8 * size :]),
            ]
            with m.If(host.active):
                m.d.comb += [
                    write.eq(host.write),
                    first.eq(host.byte == 0),
                    last.eq(host.byte == size - 1),
                    byte.eq(host.write_data),
                ]
            m.d.sync += [word.active.eq(host.active), word.address.eq(host.address)]

        # The register is wide: what it does is decided a cycle before.
        load, shift = Signal(len(hosts)), Signal()
        m.d.sync += [load.eq(0), shift.eq(0), *(word.write.eq(0) for word in words)]
        with m.If(shift):
            m.d.sync += register.eq(Cat(register[8:], byte))
        for number, word in enumerate(words):
            with m.If(load[number]):
                m.d.sync += register.eq(word.read_data)
        wait = Signal(range(READ_CYCLES))
        with m.FSM():
            with m.State("REST"):
                m.d.sync += wait.eq(READ_CYCLES - 1)
                with m.If(active.any()):
                    with m.If(~write & first):
                        m.next = "WAIT"
                    with m.Else():
                        m.d.sync += shift.eq(1)
                        m.next = "DONE"
                        with m.If(write & last):
                            m.next = "STORE"
            with m.State("WAIT"):  # for the word
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += load.eq(active)
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += shift.eq(1)
                m.next = "DONE"
            with m.State("STORE"):  # the last byte joins the others
                m.d.sync += [word.write.eq(active[n]) for n, word in enumerate(words)]
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += [host.done.eq(host.active) for host in hosts]
                m.next = "REST"
        return m
