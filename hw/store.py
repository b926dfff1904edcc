"""The weight stores: a strip's couplings, read by columns, changed by ±1 where they learn.

Both kinds have the members of `StoreSignature`, and nothing outside knows which one it talks to.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.cycles import timing
from relaxon.hw.hostport import WordPort
from relaxon.hw.operation import (
    Use,
    access_layout,
    address_bits,
    element_shape,
    learn_layout,
    side_layout,
)
from relaxon.hw.popcount import Popcount
from relaxon.hw.rotation import delayed, rotate
from relaxon.hw.singleport import SinglePortMemory
from relaxon.layout import Layout


def change_layout(layout: Layout) -> data.StructLayout:
    """What a LEARN adds to fields: on the lanes of `hit`, none of them if not `valid`, `count` LSB
    times the neuron's state."""
    return data.StructLayout(
        {"valid": 1, "hit": layout.strip_lanes, "count": bits_for(layout.banks)}
    )


def store_members(layout: Layout) -> dict[str, wiring.Member]:
    """What a store is connected by.

    ===================  ===========================================================================
    access, learn : In   what to do in this cycle
    a, b : Out           words `a` and `b` of the access, `Timing.latency` cycles later
    change : Out         what a LEARN did to the fields, `change_latency` cycles later
    cut : Out            couplings that a LEARN would have driven out of their range
    used : Out           the memory is used in this cycle
    host : In(WordPort)  the words of this strip; elements sign-extended to whole bytes
    ===================  ===========================================================================
    """
    words = data.ArrayLayout(element_shape(layout), layout.strip_lanes)
    return {
        "access": In(access_layout(layout)),
        "learn": In(learn_layout(layout)),
        "a": Out(words),
        "b": Out(words),
        "change": Out(change_layout(layout)),
        "cut": Out(bits_for(layout.banks)),
        "used": Out(1),
        "host": In(
            WordPort(address_bits(layout), 8 * layout.element_bytes * layout.strip_lanes)
        ),
    }


def weight_store(layout: Layout) -> ColumnStore | SkewedStore:
    """The store that the configuration asks for."""
    return {"column": ColumnStore, "skewed": SkewedStore}[layout.config.store](layout)


class ColumnStore(wiring.Component):
    """One memory, a word of it being all lanes' elements of one column, each in whole bytes; one
    access per cycle. The elements of the readout lie in the same memory.

    A LEARN reads; `learn` comes a cycle after it, and `access.a` holds as long. What it changes is
    written as soon as the memory is free, which it must be in every other cycle.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    See `store_members`; `b` is never read, and instead of a host there are:

    side : In(side_layout)
        An access by the readout or the host, while there is no other.
    word : Out
        The word that it read, `Timing.side` cycles later.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        self._latency = timing(layout.config).latency
        self.change_latency = self._latency + 1
        members = store_members(layout)
        del members["host"]
        super().__init__(
            members | {"side": In(side_layout(layout)), "word": Out(8 * layout.strip_bytes)}
        )

    def elaborate(self, platform):
        m = Module()
        layout, lanes = self.layout, self.layout.strip_lanes
        (side,) = delayed(m, timing(layout.config).side - self._latency, self.side)
        side = data.View(side_layout(layout), side)
        wire = 8 * layout.element_bytes
        m.submodules.memory = memory = SinglePortMemory(
            layout.store_words, layout.strip_bytes, self._latency
        )
        m.submodules.popcount = popcount = Popcount(lanes)
        m.submodules.updater = updater = Updater(layout, lanes)
        changes, changed = Signal(), Signal()
        reads, writes = Signal(), Signal()
        new = [Signal(signed(wire), name=f"new{p}") for p in range(lanes)]
        at = Signal.like(self.access.a)
        learns, address, drive, learn = delayed(
            m, self._latency - 1,
            self.access.use == Use.LEARN, self.access.a, self.access.drive, self.learn,
        )  # fmt: skip
        learn = data.View(learn_layout(layout), learn)
        m.d.sync += [
            changes.eq(learns),
            changed.eq(changes | (changed & ~writes)),
            self.change.valid.eq(changes),
        ]
        with m.If(changes):
            m.d.sync += [at.eq(address), *(wide.eq(updater.new[p]) for p, wide in enumerate(new))]
        m.d.comb += [
            *(self.a[p].eq(memory.word[wire * p :][: layout.element_bits]) for p in range(lanes)),
            reads.eq((self.access.use != Use.NONE) & (self.access.use != Use.CLEAR)),
            writes.eq(changed & ~reads),
            updater.mask.eq(learn.mask & changes.replicate(lanes)),
            updater.up.eq(learn.up),
            updater.recurrent.eq(~drive),
            updater.old.eq(self.a),
            memory.address.eq(Mux(side.active, side.address, Mux(writes, at, self.access.a))),
            memory.data.eq(
                Mux(
                    side.active,
                    side.data.replicate(-(-8 * layout.strip_bytes // len(side.data))),
                    Cat(new),
                )
            ),
            memory.write.eq(Mux(side.active, side.write, writes)),
            memory.mask.eq(side.mask | (~side.active).replicate(layout.strip_bytes)),
            self.word.eq(memory.word),
            self.change.hit.eq(updater.moved),
            self.change.count.eq(1),
            popcount.bits.eq(updater.cut),
            self.cut.eq(popcount.count),
            self.used.eq(reads | writes),
        ]
        return m


class SkewedStore(wiring.Component):
    """Elements skewed over banks, so that both columns and rows are read in one cycle.

    The element of lane p at address a lies in bank (p + a) mod B, B a power of two. A column is
    one address in all banks, rotated by a; B elements of a row are one bank each. Banks are true
    dual-port memory: two columns, or a row and the row being written back, per cycle.

    Parameters
    ----------
    layout
        The machine's geometry; B is `banks`.

    Members
    -------
    See `store_members`.
    """

    change_latency = 4 + Popcount.latency

    def __init__(self, layout: Layout):
        self.layout = layout
        self._bits = layout.banks.bit_length() - 1
        self._turns = timing(layout.config).latency - 3
        super().__init__(store_members(layout))

    def elaborate(self, platform):
        m = Module()
        layout, host, access, learn = self.layout, self.host, self.access, self.learn
        banks, shape = layout.banks, element_shape(layout)
        width = len(Signal(shape))

        # Stage 0
        learning = access.use == Use.LEARN
        origin, a = Signal(self._bits), Signal.like(access.a)
        host_reads, host_address = delayed(m, 1, host.active, host.address)
        m.d.comb += [
            origin.eq(learn.place + access.a),
            a.eq(Mux(host_reads, host_address, access.a)),
        ]
        rows = self._row(m, access.a, learn.place, learn.wraps)
        # Stage 3, where the elements are: what becomes of them.
        writes, mask, drive, *row = delayed(
            m, 3, learning, learn.mask, access.drive, access.a, learn.place, learn.wraps
        )
        written = self._row(m, *row)
        up, _ = rotate(m, learn.up, (-origin)[: self._bits], element=1, cycles=3)
        m.submodules.updater = updater = Updater(layout, banks)
        # The host's word, turned to the banks as slowly.
        host_lanes = Cat(from_host(layout, host.write_data))
        spare = Const(0, banks * width - len(host_lanes))
        host_word, _ = rotate(
            m, Cat(host_lanes, spare), (-host.address)[: self._bits], element=width, cycles=3
        )
        host_writes, host_at = delayed(m, 3, host.active & host.write, host.address)

        # Of a row, only what learns is read: no bank reads a word that is being written.
        columns, reads = Signal(), Signal()
        m.d.comb += columns.eq((access.use == Use.ADD) | (access.use == Use.FEEDBACK))
        m.d.sync += reads.eq(columns | host_reads)
        found_a, found_b = [], []
        for p in range(banks):
            m.submodules[f"bank{p}"] = bank = Bank(layout)
            element = host_word.word_select(p, width).as_signed()
            with m.If(writes):
                m.d.sync += [bank.a.eq(written[p]), bank.new.eq(updater.new[p])]
            with m.Elif(host_writes):
                m.d.sync += [bank.a.eq(host_at), bank.new.eq(element)]
            with m.Else():
                m.d.sync += bank.a.eq(a)
            m.d.sync += bank.b.eq(Mux(learning, rows[p], access.b))
            with m.If(writes | host_writes):
                m.d.sync += bank.write.eq(host_writes | mask[p])
            with m.Else():
                m.d.sync += bank.write.eq(0)
            m.d.sync += bank.read_b.eq(Mux(learning, learn.mask[p], columns))
            m.d.comb += bank.read_a.eq(reads)
            found_a.append(bank.found_a)
            found_b.append(bank.found_b)
        m.d.comb += [
            updater.mask.eq(mask & writes.replicate(banks)),
            updater.up.eq(up),
            updater.recurrent.eq(~drive),
            updater.old.eq(Cat(found_b)),
        ]

        # Stages 3 … latency: columns, turned to the lanes.
        distance_a, distance_b = delayed(m, 3, a[: self._bits], access.b[: self._bits])
        for found, distance, out in (
            (found_a, distance_a, self.a), (found_b, distance_b, self.b)
        ):
            turned, _ = rotate(m, Cat(found), distance, element=width, cycles=self._turns)
            m.d.comb += Value.cast(out).eq(turned)
        m.d.comb += host.read_data.eq(to_host(m, layout, self.a))

        for name in ("moved", "cut"):
            m.submodules[name] = popcount = Popcount(banks)
            m.d.comb += popcount.bits.eq(getattr(updater, name))
            target = self.change.count if name == "moved" else self.cut
            m.d.comb += target.eq(popcount.count)
        late, place = delayed(m, self.change_latency, learning, learn.place)
        m.d.comb += [
            self.change.valid.eq(late),
            self.change.hit.eq(Mux(late, 1 << place, 0)),
            self.used.eq(columns | learning),
        ]
        return m

    def _row(self, m: Module, first: Value, place: Value, wraps: Value) -> list[Signal]:
        """Address in every bank of a row of lane `place`, from word `first` on.

        Bank p has the element at the address a = first … first + B − 1 for which place + a = p
        modulo B: the low bits of a are those of p − place, whatever `first` is. Where they are less
        than those of `first`, a lies in the following line of B words: the learner says where.
        """
        high = first[self._bits :]
        following = Signal(max(1, len(high)), name="following")
        m.d.comb += following.eq(high + 1)
        addresses = []
        for p in range(self.layout.banks):
            address, own = Signal(len(first), name=f"row{p}"), Signal(self._bits, name=f"own{p}")
            m.d.comb += [
                own.eq(p - place),
                address.eq(Cat(own, Mux(wraps[p], following, high))),
            ]
            addresses.append(address)
        return addresses


class Bank(wiring.Component):
    """One bank: two reads, or a read (b) and a write (a), per cycle.

    Members
    -------
    a, b : In(address), read_a, read_b : In(1)
    found_a, found_b : Out(element)
        Two cycles later, until the next read.
    write : In(1), new : In(element)
        Store `new` at `a` instead of reading there; `b` must not be read there, either.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        address, element = address_bits(layout), element_shape(layout)
        super().__init__(
            {
                "a": In(address),
                "b": In(address),
                "read_a": In(1),
                "read_b": In(1),
                "found_a": Out(element),
                "found_b": Out(element),
                "write": In(1),
                "new": In(element),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=self.new.shape(), depth=self.layout.weight_words, init=[]
        )
        write = memory.write_port()
        first, second = memory.read_port(), memory.read_port()
        m.d.comb += [
            # one address for a's reads and writes: one physical port
            write.addr.eq(self.a),
            write.data.eq(self.new),
            write.en.eq(self.write),
            first.addr.eq(self.a),
            first.en.eq(self.read_a & ~self.write),
            second.addr.eq(self.b),
            second.en.eq(self.read_b),
        ]
        fresh_a, fresh_b = delayed(m, 1, self.read_a, self.read_b)
        with m.If(fresh_a):
            m.d.sync += self.found_a.eq(first.data)
        with m.If(fresh_b):
            m.d.sync += self.found_b.eq(second.data)
        return m


class Updater(wiring.Component):
    """w ← sat(w ± 1) for each of so many couplings.

    Members
    -------
    mask, up, recurrent : In
        Which couplings learn, which of them go up, and whether they are of J (they are of W).
    old : In, new : Out
        Before and, in the same cycle, after.
    moved, cut : Out
        One cycle later: which did change, and which were at the end of their range.
    """

    def __init__(self, layout: Layout, size: int):
        config = layout.config
        self._widths = {"recurrent": config.recurrent_bits - 1, "input": config.weight_bits - 1}
        elements = data.ArrayLayout(element_shape(layout), size)
        super().__init__(
            {
                "mask": In(size),
                "up": In(size),
                "recurrent": In(1),
                "old": In(elements),
                "new": Out(elements),
                "moved": Out(size),
                "cut": Out(size),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cuts = Signal(len(self.mask))
        for p, element in enumerate(self.old):
            up, moves = self.up[p], Signal(name=f"moves{p}")
            ends = {bits: self._at_end(element, bits, up) for bits in self._widths.values()}
            of_recurrent, of_input = (ends[bits] for bits in self._widths.values())
            m.d.comb += [
                cuts[p].eq(Mux(self.recurrent, of_recurrent, of_input) if len(ends) > 1 else of_input),
                moves.eq(self.mask[p] & ~cuts[p]),
                self.new[p].eq(
                    Mux(moves, element + Cat(Const(1, 1), (~up).replicate(len(element) - 1)), element)
                ),
            ]
        m.d.sync += [self.moved.eq(self.mask & ~cuts), self.cut.eq(self.mask & cuts)]
        return m

    @staticmethod
    def _at_end(element: Value, bits: int, up: Value) -> Value:
        """Whether a step in this direction would leave the range, ±(2^bits − 1).

        Its ends are found without subtracting, while ±1 is being added. Bits above are the sign's, if
        nobody wrote anything else.
        """
        low, high, sign = element[:bits], element[bits:-1], element[-1]
        top = ~sign & (low.all() | high.any())
        bottom = sign & ~(low[1:].any() & high.all())
        return Mux(up, top, bottom)


def from_host(layout: Layout, word) -> list:
    """The elements of a word from the link."""
    wire = 8 * layout.element_bytes
    return [
        word.word_select(p, wire)[: layout.element_bits] for p in range(layout.strip_lanes)
    ]


def to_host(m: Module, layout: Layout, elements) -> Value:
    """A word for the link: each element sign-extended to whole bytes."""
    wire = 8 * layout.element_bytes
    extended = [Signal(signed(wire), name=f"element{p}") for p in range(layout.strip_lanes)]
    m.d.comb += [wide.eq(elements[p]) for p, wide in enumerate(extended)]
    return Cat(extended)
