"""Memories whose reads of a word being written give anything, and what is right in spite of it."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover, MemoryInstance
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component
from properties_updates import saturated

from relaxon.hw.cluster import Cluster
from relaxon.hw.lane import Lane
from relaxon.hw.learners import ColumnLearner, RowLearner
from relaxon.hw.machine import Machine
from relaxon.hw.operation import Mode, Use
from relaxon.hw.rotation import delayed
from relaxon.hw.store import ColumnStore, SkewedStore
from relaxon.layout import Layout
from relaxon.protocol import Space
from relaxon.sim.testbench.formal import anything, local, watch


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


def _connect(m: Module, ports: Component, learner: Component, store: Component) -> None:
    """A learner to its neighbours: what it is given, which it may rely on, and its store's access, a
    cycle later."""
    wiring.connect(m, wiring.flipped(ports.neurons), learner.neurons)
    m.d.comb += [
        getattr(learner, name).eq(getattr(ports, name))
        for name in ("input", "recurrent", "input_word", "state_word")
    ]
    m.d.sync += store.access.use.eq(learner.access.use)
    with m.If(learner.access.use != Use.NONE):
        m.d.sync += [
            store.access[name].eq(learner.access[name]) for name in ("a", "group", "drive")
        ]
    arrays = Cat(ports.input, ports.recurrent)
    was_busy, were = delayed(m, 1, learner.busy, arrays)
    m.d.comb += [Assume(arrays.any()), Assume(~was_busy | (arrays == were))]


class LearningRows(Component):
    """A `RowLearner` at a `SkewedStore`, between them the register that `Strip` has there.

    Every word that learning writes is the word that is there, one more or less if not at its end, and a
    coupling of a neuron that was given to the learner. In one pass no neuron comes twice (the scanner's
    proof), and `PAUSE` cycles are between passes (the machine's). No bank reads a word while it is
    written.

    Members
    -------
    neurons, input, recurrent, input_word, state_word
        See `learner_members`.
    """

    PAUSE = 6
    TWICE = False
    """Whether a neuron may come twice all the same."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._learner, self._store = RowLearner(layout), SkewedStore(layout)
        names = ("neurons", "input", "recurrent", "input_word", "state_word")
        super().__init__({name: self._learner.signature.members[name] for name in names})

    def elaborate(self, platform):
        m = Module()
        m.submodules.learner = learner = self._learner
        m.submodules.store = store = self._store
        _connect(m, self, learner, store)
        with m.If(learner.access.use != Use.NONE):
            m.d.sync += store.learn.eq(learner.learn)
        self._pass(m)
        watch(store, self._updates)
        return m

    def _pass(self, m: Module) -> None:
        """Any neurons, but none twice."""
        layout, neuron = self._layout, self.neurons.payload
        body, tail = layout.padding()
        period = layout.groups_per_module
        self.given = Signal(layout.groups * layout.strip_lanes)
        groups = range(layout.groups)
        local = [(neuron.tag.group == group) & (neuron.tag.local == group % period) for group in groups]
        exists = Cat(
            Cat((neuron.a == lane) & local[group] for lane in range(layout.strip_lanes))
            & (tail if (group + 1) % layout.tail_period == 0 else body)
            for group in groups
        )
        again = (exists & self.given).any() & (not self.TWICE)
        m.d.comb += Assume(~self.neurons.valid | (exists.any() & ~again))
        idle = Signal(range(self.PAUSE + 1))
        m.d.sync += idle.eq(
            Mux(self._learner.busy, 0, Mux(idle == self.PAUSE, self.PAUSE, idle + 1))
        )
        with m.If(self.neurons.valid & self.neurons.ready):
            m.d.sync += self.given.eq(self.given | exists)
        with m.Elif((idle == self.PAUSE) & ~self._learner.busy):
            m.d.sync += self.given.eq(0)

    def _updates(self, store: Module) -> Iterator:
        layout, access, learn = self._layout, self._store.access, self._store.learn
        config = layout.config
        group, drive, place = delayed(store, 4, access.group, access.drive, learn.place)
        updater, limit = store.submodules.updater, config.weight_max
        learnt, ups = delayed(store, 1, updater.mask, updater.up)
        for p in range(layout.banks):
            bank = store.submodules[f"bank{p}"]
            at = bank.a
            watch(bank, lambda inner, p=p: update(inner, learnt[p], ups[p], limit))
            column = Mux(
                drive,
                at - layout.input_base - group * config.inputs,
                at - layout.recurrent_base - group * config.neurons,
            )
            itself = (group % layout.groups_per_module) * layout.strip_lanes + place
            number = group * layout.strip_lanes + place
            yield Assert(
                ~bank.write
                | (
                    ((at + place) % layout.banks == p)
                    & (column >= 0)
                    & (column < Mux(drive, config.inputs, config.neurons))
                    & (drive | (column != itself))
                    & self.given.bit_select(number, 1)
                ),
                "a coupling of a neuron that learns",
            )
        yield Cover(learnt.any(), "a coupling learns")
        banks = [store.submodules[f"bank{p}"] for p in range(layout.banks)]
        yield Cover(Cat(b.write & b.read_b for b in banks).any(), "a bank reads and writes")


def apart(block: Module) -> Iterator:
    """The condition under which the block's memory needs no bypass."""
    memory = block.submodules.memory
    for write in memory.write_ports:
        for read in memory.read_ports:
            if read.domain != "comb":
                together = write.en.any() & read.en & (write.addr == read.addr)
                yield Assert(~together, "no word is read while it is written")


def update(bank: Module, learns, up, limit: int) -> Iterator:
    """What learning writes into a bank is what is there, one more or less, if not at its end."""
    yield from apart(bank)
    write = bank.submodules.memory.write_ports[0]
    there = bank.submodules.memory.read_port(domain="comb")
    yield there.addr.eq(write.addr)
    yield Assume(~learns | ((there.data >= -limit) & (there.data <= limit)))
    new = saturated(there.data + Mux(up, 1, -1), limit)
    yield Assert(~learns | (write.en & (write.data == new)), "what is there, one more or less")


class LearningColumns(Component):
    """A `ColumnLearner` at a `ColumnStore`, connected as in `Strip`: every word that learning writes is
    the word that is there, its elements one more or less, if not at their end, on the lanes of neurons
    that learn, and unchanged on all others. In one pass no group comes twice.

    Members
    -------
    neurons, input, recurrent, input_word, state_word
        See `learner_members`.
    """

    TWICE = False
    """Whether a group may come twice all the same."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._learner, self._store = ColumnLearner(layout), ColumnStore(layout)
        names = ("neurons", "input", "recurrent", "input_word", "state_word")
        super().__init__({name: self._learner.signature.members[name] for name in names})

    def elaborate(self, platform):
        m = Module()
        layout, neurons = self._layout, self.neurons
        m.submodules.learner = learner = self._learner
        m.submodules.store = store = self._store
        _connect(m, self, learner, store)
        m.d.comb += store.learn.eq(learner.learn)
        group = neurons.payload.group
        given, own = Signal(layout.groups), Signal(layout.groups)
        m.d.comb += [
            own.eq(1 << group),
            Assume(~neurons.valid | (group < layout.groups)),
            Assume(~neurons.valid | (neurons.payload.local == group % layout.groups_per_module)),
            Assume(~neurons.valid | ~(given & own).any() | self.TWICE),
        ]
        with m.If(neurons.valid & neurons.ready):
            m.d.sync += given.eq(given | own)
        with m.Elif(~learner.busy):
            m.d.sync += given.eq(0)
        watch(store, self._updates)
        return m

    def _updates(self, store: Module) -> Iterator:
        layout, updater = self._layout, store.submodules.updater
        memory, limit = store.submodules.memory, layout.config.weight_max
        held, held_up = Signal.like(updater.mask), Signal.like(updater.up)
        mask, up = delayed(store, 1, updater.mask, updater.up)
        with store.If(self._store.change.valid):
            store.d.sync += [held.eq(mask), held_up.eq(up)]
        fresh = self._store.change.valid
        learns, ups = Mux(fresh, mask, held), Mux(fresh, up, held_up)
        there = Signal(len(memory.data))

        def look(inner: Module):
            port = inner.submodules.memory.read_port(domain="comb")
            return [port.addr.eq(memory.address), there.eq(port.data), *apart(inner)]

        watch(memory, look)
        for p in range(layout.strip_lanes):
            wire = 8 * layout.element_bytes
            old = there.word_select(p, wire).as_signed()
            new = memory.data.word_select(p, wire).as_signed()
            one_on = saturated(old + Mux(ups[p], 1, -1), limit)
            yield Assume(~memory.write | ((old >= -limit) & (old <= limit)))
            yield Assert(
                ~memory.write | (new == Mux(learns[p], one_on, old)),
                "what is there, one more or less",
            )
        yield Cover(memory.write & (learns == 1), "one lane learns, another does not")


class LaneSums(Component):
    """The accumulators of a `Cluster`: every sum written is what is there (0, if cleared) and what is
    added, however quickly one addition follows another.

    An evaluation comes together only with an addition to what it does not look at.
    """

    def __init__(self, layout: Layout, lanes: int = 1):
        self._layout, self._cluster = layout, Cluster(layout, lanes)
        super().__init__(self._cluster.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.cluster = cluster = self._cluster
        wiring.connect(m, wiring.flipped(self), cluster)
        m.d.comb += Assume(~meet(self.target, self.evaluation))
        watch(cluster, lambda inner: self._lane(inner.submodules.lane0))
        return m

    def _lane(self, lane: Lane) -> tuple:
        watch(lane, lambda inner: self._sums(inner, lane.target.clear))
        return ()

    def _sums(self, lane: Module, clear) -> Iterator:
        for name in ("drive", "recur"):
            memory = lane.submodules[name]
            (write,), there = memory.write_ports, memory.read_port(domain="comb")
            yield there.addr.eq(write.addr)
            before = Mux(clear, 0, there.data)
            total = (before + local(lane, "addend"))[: len(write.data)].as_signed()
            yield Assert(~write.en | (write.data == total), f"{name}: what is there, and what is added")
            yield Cover(write.en & ~clear & (there.data != 0), f"{name} is added to")


def meet(target, evaluation):
    """An addition and an evaluation use the same accumulator, in the same cycle."""
    looks = target.drive | target.clear | (evaluation.mode == Mode.SWEEP)
    looks |= evaluation.mode == Mode.STABILITY
    return target.valid & evaluation.valid & looks


class StoreInMachine(Component):
    """A `Machine` with a skewed store: while columns are read, for fields or for the host, no bank is
    written; no sum of a lane is evaluated while it changes; and learning is right (`LearningRows`).

    `relaxon.hw.strip.Cluster` and `relaxon.hw.machine.ParallelReadout` are to be any. Samples, inputs
    and registers are any; so are the accesses of a `host`, which keeps to `HostPort`: each holds until
    it is done, and there is none while the machine is busy.
    """

    def __init__(self, layout: Layout, *, host: bool = False):
        self._layout, self._host = layout, host
        self._machine = Machine(layout)
        members = self._machine.signature.members
        names = ["sample", "input_write", "invalidate", "registers"]
        if host:
            names += ["weights"]
        super().__init__({name: members[name] for name in names})

    def elaborate(self, platform):
        m = Module()
        m.submodules.machine = machine = self._machine
        wiring.connect(m, wiring.flipped(self.sample), machine.sample)
        m.d.comb += [
            machine.input_write.eq(self.input_write),
            machine.invalidate.eq(self.invalidate),
            machine.registers.eq(self.registers),
            Assume(~self.input_write.valid | machine.input_free),
        ]
        offered, payload, registers = delayed(
            m, 1, self.sample.valid & ~self.sample.ready, self.sample.payload, self.registers
        )
        (since,) = delayed(m, 1, 1)
        m.d.comb += [
            Assume(~offered | (self.sample.valid & (self.sample.payload.as_value() == payload))),
            Assume(~since | ~machine.busy | (self.registers.as_value() == registers)),
        ]
        if self._host:
            self._access(m)
        watch(machine, self._strip, ("array", "strip0"))
        return m

    def _strip(self, strip: Module) -> tuple:
        store, lanes = strip.submodules.store, strip.submodules.cluster0
        watch(store, lambda inner: self._reads(inner, store.access, store.host))
        target, evaluation = lanes.target, lanes.evaluation
        before = data.View(target.shape(), delayed(strip, 1, target)[0])
        return (
            Assert(~meet(target, evaluation), "no sum is evaluated while another is added to it"),
            Assert(
                ~meet(before, evaluation) | (before.group != evaluation.group),
                "no sum is evaluated while it is written",
            ),
        )

    def _access(self, m: Module) -> None:
        port = self.weights
        wiring.connect(m, wiring.flipped(port), self._machine.weights)
        asks = Cat(port.address, port.byte, port.write, port.write_data)
        goes_on, asked, place = delayed(
            m, 1, port.active & ~port.done, asks, Cat(port.address, port.byte)
        )
        size = self._layout.word_bytes(Space.WEIGHTS)
        due = Signal.like(port.byte)
        with m.If(port.active & port.done):
            m.d.sync += due.eq(Mux(due == size - 1, 0, due + 1))
        m.d.comb += [
            Assume(~port.active | ~self._machine.busy),
            Assume(~(port.active | self._machine.busy) | ~self.sample.valid),
            Assume(~goes_on | (port.active & (asks == asked))),
            Assume(~port.active | (Cat(port.address, port.byte) == place)),
            Assume(~port.active | (port.byte == due)),
            Assume(port.address < self._layout.weight_words),
        ]

    def _reads(self, store: Module, access, host) -> Iterator:
        updater, limit = store.submodules.updater, self._layout.config.weight_max
        banks = [store.submodules[f"bank{p}"] for p in range(self._layout.banks)]
        learnt, up = delayed(store, 1, updater.mask, updater.up)
        (use,) = delayed(store, 1, access.use)
        (host_reads,) = delayed(store, 2, host.active & ~host.write)
        writes = Cat(bank.write for bank in banks).any()
        adds = (use == Use.ADD.value) | (use == Use.FEEDBACK.value)
        yield Assert(~adds | ~writes, "no bank is written while a column is read")
        yield Assert(~host_reads | ~writes, "no bank is written while the host reads")
        yield Assert(~host_reads | ~adds, "no column is read while the host reads")
        for p, bank in enumerate(banks):
            watch(bank, lambda inner, p=p: update(inner, learnt[p], up[p], limit))
        learned = Signal()
        with store.If(learnt.any()):
            store.d.sync += learned.eq(1)
        if self._host:
            yield Cover(host.active & host.write, "the host writes")
            yield Cover(learned & host_reads, "the host reads after learning")
        else:
            yield Cover(learned & adds, "a column is read after learning")
