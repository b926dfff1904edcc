"""The states of a strip's neurons."""

from __future__ import annotations

from amaranth import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon.hw.hostport import WordPort
from relaxon.hw.operation import group_bits
from relaxon.layout import Layout


class States(wiring.Component):
    """One word per group, a bit per lane of the strip (1: +1), read in several places at once.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    write : In(valid, group, state)
    center, before, after : In(group); center_word, before_word, after_word : Out
        For the chain: states at a group, and at those of the neighbouring modules, where these are
        in other rows.
    learner, readout : In(group); learner_word, readout_word : Out
        For the columns of J, and the readout.
    evaluating, learning : In(1)
        With a serial readout (`relaxon.layout`) there is a single port: `center` is asked for, else
        `learner`, else `readout`.
    host : In(WordPort)

    Timing
    ------
    Every word one cycle after its address. A read of the word being written is undefined.
    """

    READERS = ("center", "before", "after", "learner", "readout")

    def __init__(self, layout: Layout):
        self.layout = layout
        group, lanes = group_bits(layout), layout.strip_lanes
        super().__init__(
            {
                "write": In(data.StructLayout({"valid": 1, "group": group, "state": lanes})),
                **{name: In(group) for name in self.READERS},
                **{f"{name}_word": Out(lanes) for name in self.READERS},
                "evaluating": In(1),
                "learning": In(1),
                "host": In(WordPort(group, lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        host = self.host
        m.submodules.memory = memory = Memory(
            shape=self.layout.strip_lanes, depth=max(2, self.layout.groups), init=[]
        )
        write = memory.write_port()
        m.d.comb += [
            write.addr.eq(Mux(host.active, host.address, self.write.group)),
            write.data.eq(Mux(host.active, host.write_data, self.write.state)),
            write.en.eq(Mux(host.active, host.write, self.write.valid)),
        ]
        if self.layout.serial:
            read = memory.read_port()
            m.d.comb += [
                read.addr.eq(
                    Mux(
                        self.evaluating,
                        self.center,
                        Mux(
                            self.learning,
                            self.learner,
                            Mux(host.active, host.address, self.readout),
                        ),
                    )
                ),
                self.center_word.eq(read.data),
                self.learner_word.eq(read.data),
                self.readout_word.eq(read.data),
                host.read_data.eq(read.data),
            ]
            return m
        for name in self.READERS:
            if name in ("before", "after") and self.layout.config.modules == 1:
                continue
            read = memory.read_port()
            address = getattr(self, name)
            if name == "readout":
                address = Mux(host.active, host.address, address)
            m.d.comb += [read.addr.eq(address), getattr(self, f"{name}_word").eq(read.data)]
        m.d.comb += host.read_data.eq(self.readout_word)
        return m
