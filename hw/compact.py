"""The lanes of a column store: as little logic as it takes, one multiplier and one adder each.

Nearly everything is a product, added to what was accumulated (operand and factor, in half LSB)::

    a column, an input's or a neuron's   element × ±2^(shift + 1)
    learning                             ±1      × 2^(shift + 1)
    a state that is kept                 s       × 1
    a sweep                              s       × 2 J_D
    stability                            s       × (2 (J_D − κ) − 1)

A and R are two memories, and R's adder takes the sum of A and the product: so an evaluation finds
h = A + R + product there and, where A is read from a word that is always 0, an addition to R finds its
sum. For stability the half LSB settles h = ±κ: s = +1 is stable at h − κ − ½ ≥ 0, s = −1 at
h + κ + ½ < 0. A state is kept where A and R are both read as 0, for ±½ has the sign of s. The label is
no part of an evaluation: its column is added to A, and taken off again.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon.cycles import timing
from relaxon.hw.lane import FACTOR_BITS, addend_layout, target_layout
from relaxon.hw.operation import Mode, element_shape, evaluation_layout, turns
from relaxon.layout import Layout

LANES = 8
"""Lanes with control registers of their own, where there are many: see `relaxon.hw.cluster.LANES`. These
are fewer, for an addition has to choose what it adds to within the same cycle."""


class CompactLanes(wiring.Component):
    """All lanes of a strip, or some neighbouring ones with control registers of their own, near to
    them (which synthesis must keep: see `relaxon.hw.cluster.Cluster`).

    Parameters
    ----------
    layout
        The machine's geometry.
    lanes
        How many.

    Members
    -------
    addend, factor, target : In
        At stage −1: see `Lane`.
    hit, up : In(lanes)
        Likewise: who learns, and in which direction.
    evaluation : In
        At stage −1.
    a : In(elements), state : In(lanes)
        At stage 0: couplings; the states of the evaluation's group.
    self_coupling, margin : In(signed)
        Registers.
    reported, sign : Out(lanes)
        At stage 3, or 4 where the weight memory's latency is more than 1: neurons that flip, or are
        unstable; their new, or unchanged, signs.

    Timing
    ------
    One addition or evaluation per cycle, and an evaluation of a group two cycles after an addition
    to it. With several groups to a module no two additions to one group follow each other; with one, no
    clearing follows an addition to the same group.
    """

    def __init__(self, layout: Layout, lanes: int):
        self.layout = layout
        field = signed(layout.config.field_bits)
        super().__init__(
            {
                "addend": In(addend_layout(layout)),
                "factor": In(signed(FACTOR_BITS)),
                "hit": In(lanes),
                "up": In(lanes),
                "target": In(target_layout(layout)),
                "evaluation": In(evaluation_layout(layout)),
                "a": In(data.ArrayLayout(element_shape(layout), lanes)),
                "state": In(lanes),
                "self_coupling": In(field),
                "margin": In(field),
                "reported": Out(lanes),
                "sign": Out(lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, lanes = self.layout, len(self.state)
        product_shape = signed(layout.config.field_bits + 2)  # room for the margin, and half an LSB
        # Stage 0: an addition or an evaluation, never both.
        now, how = Signal.like(self.evaluation), Signal.like(self.addend)
        hit, up, shifted = Signal(lanes), Signal(lanes), Signal.like(self.factor)
        target = Signal.like(self.target)
        m.d.sync += [
            now.eq(self.evaluation),
            how.eq(self.addend),
            hit.eq(self.hit),
            up.eq(self.up),
            shifted.eq(self.factor),
            target.eq(self.target),
        ]
        # Stage 1: operands and factor are there, the accumulators are being read.
        factor = Signal(signed(max(layout.config.field_bits, FACTOR_BITS + 1)))
        operands = [Signal(self.a[p].shape(), name=f"operand{p}") for p in range(lanes)]
        one = now.valid | how.learned
        for p, operand in enumerate(operands):
            positive, counts = Mux(now.valid, self.state[p], up[p]), now.valid | hit[p]
            m.d.sync += operand.eq(
                Mux(one, Mux(counts, Mux(positive, 1, -1), 0), self.a[p])
            )
        with m.If(~now.valid):
            m.d.sync += factor.eq(shifted << 1)
        with m.Elif(now.mode == Mode.FREE):
            m.d.sync += factor.eq(0)
        with m.Elif(now.mode == Mode.KEEP):
            m.d.sync += factor.eq(1)
        with m.Elif(now.mode == Mode.SWEEP):
            m.d.sync += factor.eq(self.self_coupling << 1)
        with m.Else():
            m.d.sync += factor.eq(((self.self_coupling - self.margin) << 1) - 1)
        # The one word beyond those of the groups stays 0.
        group = Mux(now.valid, now.group, target.group)
        free, keeps = now.mode == Mode.FREE, now.mode == Mode.KEEP
        drive_zero = Mux(now.valid, keeps, ~target.drive | target.clear)
        recur_zero = Mux(now.valid, free | keeps, target.clear)
        drive_read, recur_read = (
            Signal(len(group) + 1, name=f"{name}_read") for name in ("drive", "recur")
        )
        reading = Signal.like(target)
        m.d.sync += [
            drive_read.eq(Mux(drive_zero, 1 << len(group), group)),
            recur_read.eq(Mux(recur_zero, 1 << len(group), group)),
            reading.eq(target),
        ]
        # Stage 2: add, and write.
        where, again = Signal.like(target), Signal()
        drives, recurs = Signal(), Signal()  # the sum of a cycle ago is wanted, of which memory
        m.d.comb += again.eq(
            where.valid
            & reading.valid
            & (where.group == reading.group)
            & ((where.drive == reading.drive) | where.clear)
        )
        m.d.sync += [
            where.eq(reading),
            drives.eq(again & reading.drive),
            recurs.eq(again & ~reading.drive),
        ]
        # Stage 3, and 4 where there are many: what the field means.
        reported, sign = Signal(lanes), Signal(lanes)
        late = timing(layout.config).latency > 1
        to = m.d.sync if late else m.d.comb
        to += [self.reported.eq(reported), self.sign.eq(sign)]
        states, mode = [self.state], [now.mode]
        for stage in (1, 2, 3):
            later, way = Signal(lanes, name=f"state{stage}"), Signal(Mode, name=f"mode{stage}")
            m.d.sync += [later.eq(states[-1]), way.eq(mode[-1])]
            states.append(later)
            mode.append(way)
        for p, operand in enumerate(operands):
            product = Signal(product_shape, name=f"product{p}")
            m.d.sync += product.eq(operand * factor)
            negative = self._lane(m, p, product, drive_read, recur_read, where, (drives, recurs))
            m.d.comb += [
                reported[p].eq(negative == states[3][p]),
                sign[p].eq(Mux(turns(mode[3]), ~negative, states[3][p])),
            ]
        return m

    def _lane(self, m: Module, p: int, product, drive_read, recur_read, where, again) -> Value:
        """Accumulators and adders of a lane; returns the sign of its field at stage 3."""
        layout = self.layout
        shape = signed(layout.config.field_bits)
        found = {}
        writes = {}
        for name, address in (("drive", drive_read), ("recur", recur_read)):
            m.submodules[f"{name}{p}"] = memory = Memory(
                shape=shape, depth=(1 << len(address) - 1) + 1, init=[]
            )
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [read.addr.eq(address), write.addr.eq(where.group)]
            found[name], writes[name] = read.data, write
        drive, recur = found.values()
        added, total = (
            Signal(signed(len(drive) + 1), name=f"{name}{p}") for name in ("added", "total")
        )
        if layout.groups_per_module == 1:
            # What was written a cycle ago was not there to be read; with more groups, no two
            # additions to one follow each other.
            latest = Signal(shape, name=f"latest{p}")
            m.d.sync += latest.eq(Mux(where.drive, added, total))
            drive, recur = Mux(again[0], latest, drive), Mux(again[1], latest, recur)
        field = Signal.like(total, name=f"field{p}")
        m.d.comb += [
            added.eq((Cat(Const(0, 1), drive).as_signed() + product) >> 1),
            total.eq(added + recur),
            writes["drive"].data.eq(added),
            writes["drive"].en.eq(where.valid & (where.drive | where.clear)),
            writes["recur"].data.eq(total),
            writes["recur"].en.eq(where.valid & (~where.drive | where.clear)),
        ]
        m.d.sync += field.eq(total)
        return field[-1]
