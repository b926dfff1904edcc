"""The ±1 update of couplings, and the ±step update of the readout: in range, in the right direction,
and only where something learns."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data
from amaranth.lib.wiring import Component, In

from relaxon.hw.operation import element_shape
from relaxon.hw.readout import Readout
from relaxon.hw.rotation import delayed
from relaxon.hw.serialreadout import SerialReadout
from relaxon.hw.store import ColumnStore, Updater
from relaxon.layout import Layout
from relaxon.sim.testbench.formal import local, watch


def saturated(value, limit: int):
    """`value`, cut to ±limit."""
    return Mux(value > limit, limit, Mux(value < -limit, -limit, value))


class CouplingUpdate(Component):
    """`Updater`: w ← sat(w ± 1) where it learns, else w; `moved` and `cut` say which.

    What the host or learning ever put there is in range, which J and W have one each of.
    """

    def __init__(self, layout: Layout, size: int = 2, updater: type[Updater] = Updater):
        self._layout, self._updater = layout, updater(layout, size)
        elements = data.ArrayLayout(element_shape(layout), size)
        super().__init__({"mask": In(size), "up": In(size), "recurrent": In(1), "old": In(elements)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.updater = updater = self._updater
        config, limit = self._layout.config, Signal(signed(17))
        m.d.comb += limit.eq(Mux(self.recurrent, config.recurrent_max, config.weight_max))
        m.d.comb += [
            getattr(updater, name).eq(getattr(self, name)) for name in ("mask", "up", "recurrent", "old")
        ]
        for p, (old, new) in enumerate(zip(self.old, updater.new)):
            mask, up = self.mask[p], self.up[p]
            cut = old == Mux(up, limit, -limit)
            was_masked, was_cut = delayed(m, 1, mask, cut)
            m.d.comb += [
                Assume((old >= -limit) & (old <= limit)),
                Assert((new >= -limit) & (new <= limit), "in range"),
                Assert(mask | (new == old), "stable neurons keep their couplings"),
                Assert(~(mask & up) | (new == saturated(old + 1, limit)), "up by 1"),
                Assert(~(mask & ~up) | (new == saturated(old - 1, limit)), "down by 1"),
                Assert((updater.moved[p] == (was_masked & ~was_cut)), "moved"),
                Assert((updater.cut[p] == (was_masked & was_cut)), "cut"),
                Cover(mask & up & cut, "cut at the top"),
                Cover(mask & ~up & cut, "cut at the bottom"),
                Cover(mask & up & ~cut, "goes up"),
            ]
        return m


class ReadoutUpdate(Component):
    """A `Readout`: every element that a pass writes is the one that is there, moved by the step of its
    class along its neuron's state (or against it), and cut to its range; it stays where neither margin
    is missed.

    What decides about learning holds during a pass, and none begins before the last one's end.
    """

    def __init__(self, layout: Layout):
        self._layout, self._readout = layout, Readout(layout, 0)
        members = dict(self._readout.signature.members)
        self._names = ("event", "rest", "learn", "up", "down", "step_true", "step_false", "state_word")
        super().__init__({name: members[name] for name in self._names})

    def elaborate(self, platform):
        m = Module()
        m.submodules.readout = readout = self._readout
        m.d.comb += [getattr(readout, name).eq(getattr(self, name)) for name in self._names]
        decided = Cat(self.up, self.down, self.step_true, self.step_false)
        learns, before = delayed(m, 1, readout.learning | self.learn, decided)
        m.d.comb += [
            Assume(~self.learn | ~readout.learning),
            Assume(~learns | (decided == before)),
            Assume((self.up & self.down) == 0),
        ]
        watch(readout, self._update)
        return m

    def _update(self, readout: Module) -> Iterator:
        memory, limit = readout.submodules.memory, self._layout.config.readout_max
        (write,) = memory.write_ports
        there = memory.read_port(domain="comb")
        yield there.addr.eq(write.addr)
        states = local(readout, "beside")
        for slot in range(self._layout.readout_width):
            for c in range(self._layout.config.classes):
                old, new = there.data[slot][c], write.data[slot][c]
                step = Mux(self.up[c], self.step_true, Mux(self.down[c], -self.step_false, 0))
                wanted = old + Mux(states[slot], step, -step)
                yield Assume(~write.en[slot] | ((old >= -limit) & (old <= limit)))
                yield Assert(
                    ~write.en[slot] | (new == saturated(wanted, limit)), "what is there, and a step"
                )
                yield Cover(write.en[slot] & (wanted > limit), "cut at the top")
                yield Cover(write.en[slot] & (wanted < -limit), "cut at the bottom")


class SerialReadoutUpdate(Component):
    """The same of a `SerialReadout` at its `ColumnStore`, for a single group of lanes, one element in a
    word."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._readout, self._store = SerialReadout(layout), ColumnStore(layout)
        members = self._readout.signature.members
        self._names = ("decide", "conclude", "training", "label", "registers", "state_words")
        super().__init__({name: members[name] for name in self._names})

    def elaborate(self, platform):
        m = Module()
        m.submodules.readout, m.submodules.store = readout, store = self._readout, self._store
        m.d.comb += [getattr(readout, name).eq(getattr(self, name)) for name in self._names]
        m.d.comb += [store.side.eq(readout.side[0]), readout.words[0].eq(store.word)]
        begins = self.decide | self.conclude
        held = Cat(self.training, self.label, self.registers.as_value(), self.state_words.as_value())
        busy, before = delayed(m, 1, readout.busy | begins, held)
        m.d.comb += [
            Assume(~begins | ~readout.busy),
            Assume(~busy | (held == before)),
            Assume(self.training | ~self.conclude),
            Assume(self.label < self._layout.config.classes),
        ]
        watch(store, self._update, ("memory",))
        return m

    def _update(self, memory: Module) -> Iterator:
        layout, registers = self._layout, self.registers
        (write,) = memory.submodules.memory.write_ports
        there = memory.submodules.memory.read_port(domain="comb")
        yield there.addr.eq(write.addr)
        limit, bits = layout.config.readout_max, layout.config.readout_bits
        slot = (write.addr - layout.readout_base)[:1]
        class_ = (write.addr - layout.readout_base)[1:]
        old, new = there.data.as_signed(), write.data.as_signed()
        own = class_ == self.label
        step = Mux(own, registers.readout_step_true, -registers.readout_step_false)
        wanted = old + Mux(self.state_words[0].bit_select(slot, 1), step, -step)
        yield Assume(~write.en.any() | ((old >= -limit) & (old <= limit)))
        yield Assert(
            ~write.en.any()
            | (write.en.all() & (write.addr >= layout.readout_base) & (new == saturated(wanted, limit))),
            "what is there, and a step",
        )
        assert layout.readout_pack == layout.groups == 1 and bits <= 16 and layout.strip_bytes == 2
        yield Cover(write.en.any() & own & (wanted > limit), "cut at the top")
        yield Cover(write.en.any() & ~own & (wanted < -limit), "cut at the bottom")
