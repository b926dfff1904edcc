"""Memories whose reads of a word being written give anything at all, and what is right in spite of it."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover, MemoryInstance
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In

from relaxon.hw.learners import RowLearner
from relaxon.hw.operation import Use, access_layout
from relaxon.hw.rotation import delayed
from relaxon.hw.store import SkewedStore
from relaxon.layout import Layout
from relaxon.sim.testbench.formal import anything, watch


class Rubbish:
    """A platform whose block RAM gives anything for a word that is being written, as no tool promises
    what it gives (`relaxon.hw.collisions`)."""

    def get_memory(self, memory: Memory) -> Module:
        m = Module()
        m.submodules.instance = instance = MemoryInstance(data=memory._data, attrs=memory.attrs)
        writes = {
            port: instance.write_port(
                domain=port.domain, addr=port.addr, data=port.data, en=port.en
            )
            for port in memory.write_ports
        }
        for number, port in enumerate(memory.read_ports):
            data = Signal(len(Value.cast(port.data)), name=f"found{number}")
            instance.read_port(
                domain=port.domain, addr=port.addr, data=data, en=port.en,
                transparent_for=tuple(writes[write] for write in port.transparent_for),
            )  # fmt: skip
            others = [write for write in writes if write not in port.transparent_for]
            if port.domain == "comb" or not others:
                m.d.comb += Value.cast(port.data).eq(data)
                continue
            collides, spoilt = Signal(name=f"collides{number}"), Signal(name=f"spoilt{number}")
            rubbish = anything(m, len(data), f"rubbish{number}")
            for write in others:
                with m.If(write.en.any() & (write.addr == port.addr)):
                    m.d.comb += collides.eq(1)
            with m.If(port.en):
                m.d.sync += spoilt.eq(collides)
            m.d.comb += Value.cast(port.data).eq(Mux(spoilt, rubbish, data))
        return m


class LearningRows(Component):
    """A `RowLearner` at a `SkewedStore`, between them what `Strip` has there: a register.

    In one pass no neuron comes twice (what the scanner gives is proved elsewhere).

    Members
    -------
    See `RowLearner`.
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        self._learner = RowLearner(layout)
        members = dict(self._learner.signature.members)
        for name in ("access", "learn", "positive"):
            del members[name]
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        layout = self._layout
        m.submodules.learner = learner = self._learner
        m.submodules.store = self.store = store = SkewedStore(layout)
        wiring.connect(m, wiring.flipped(self.neurons), learner.neurons)
        for name in ("input", "recurrent", "input_word", "state_word"):
            m.d.comb += getattr(learner, name).eq(getattr(self, name))
        for name in ("input_read", "state_read", "busy"):
            m.d.comb += getattr(self, name).eq(getattr(learner, name))
        m.d.sync += store.access.use.eq(learner.access.use)
        with m.If(learner.access.use != Use.NONE):
            m.d.sync += [store.access.eq(learner.access), store.learn.eq(learner.learn)]
        was_input, was_recurrent, was_busy = delayed(
            m, 1, self.input, self.recurrent, learner.busy
        )
        # Switches stay as they are during a pass.
        m.d.comb += [
            Assume(self.input | self.recurrent),
            Assume(~was_busy | ((self.input == was_input) & (self.recurrent == was_recurrent))),
        ]
        self._different_neurons(m)
        watch(store, self._correct)
        return m
