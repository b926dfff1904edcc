"""Sixteen lanes with control registers of their own, near to them."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.lane import Lane, addend_layout, change_bits, target_layout
from relaxon.hw.operation import Mode, element_shape, evaluation_layout, group_bits
from relaxon.layout import Layout

LANES = 16
"""Lanes of a cluster. A control register that reaches many more spends most of a clock cycle on the
way."""


class Cluster(wiring.Component):
    """Some lanes of a strip. What controls them arrives a stage early and is registered here.

    Synthesis must keep the cluster as it is (``keep_hierarchy``): it would merge the registers of
    all clusters into one otherwise, for they are equal.

    Parameters
    ----------
    layout
        The machine's geometry.
    lanes
        How many.

    Members
    -------
    addend, target, change, amount, evaluation : In
        At stage −1: see `Lane`; `hit` and `up` of `change` are for every lane.
    a, b : In(elements)
        At stage 0.
    state, previous, next : In(lanes), has_previous, has_next : In(1)
        At stage 1.
    self_coupling, chain_coupling, margin : In(signed)
        Registers.
    valid : In(lanes)
        At stage 4: lanes that hold a neuron.
    reported, sign : Out(lanes), envelope : Out(field_bits)
        At stage 4; the envelope is the bitwise or of the valid lanes'.
    """

    def __init__(self, layout: Layout, lanes: int):
        self.layout = layout
        field = signed(layout.config.field_bits)
        words = data.ArrayLayout(element_shape(layout), lanes)
        super().__init__(
            {
                "addend": In(addend_layout(layout)),
                "target": In(target_layout(layout)),
                "change": In(data.StructLayout({"valid": 1, "hit": lanes, "up": lanes})),
                "amount": In(signed(change_bits(layout))),
                "evaluation": In(evaluation_layout(layout)),
                "a": In(words),
                "b": In(words),
                "state": In(lanes),
                "previous": In(lanes),
                "next": In(lanes),
                "has_previous": In(1),
                "has_next": In(1),
                "self_coupling": In(field),
                "chain_coupling": In(field),
                "margin": In(field),
                "valid": In(lanes),
                "reported": Out(lanes),
                "sign": Out(lanes),
                "envelope": Out(layout.config.field_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Stage 0
        addend, change = Signal.like(self.addend), Signal.like(self.change)
        amount, target = Signal.like(self.amount), Signal.like(self.target)
        drive_read, recur_read = (
            Signal(group_bits(self.layout), name=f"{name}_read") for name in ("drive", "recur")
        )
        now, reads = self.evaluation, self.evaluation.valid
        free = now.mode == Mode.FREE
        m.d.sync += [
            addend.eq(self.addend),
            change.valid.eq(self.change.valid),
            drive_read.eq(Mux(reads, now.group, self.target.group)),
            recur_read.eq(Mux(reads & ~free, now.group, self.target.group)),
            target.eq(self.target),
        ]
        with m.If(self.change.valid):
            m.d.sync += [
                change.hit.eq(self.change.hit),
                change.up.eq(self.change.up),
                amount.eq(self.amount),
            ]
        # Stage 1 and on
        before = Signal.like(target)
        again = Signal()
        m.d.sync += [
            before.eq(target),
            again.eq(
                before.valid & (before.group == target.group) & (before.drive == target.drive)
            ),
        ]
        stages = []
        for stage in range(4):
            later = Signal(evaluation_layout(self.layout), name=f"evaluation{stage}")
            m.d.sync += later.valid.eq(now.valid)
            with m.If(now.valid):
                m.d.sync += [later[n].eq(now[n]) for n in ("mode", "clamped")]
            stages.append(later)
            now = later

        constants = {name: Signal.like(self.margin, name=name) for name in
                     ("self_plus", "self_minus", "chain_coupling", "margin")}  # fmt: skip
        m.d.sync += [
            constants["self_plus"].eq(self.self_coupling),
            constants["self_minus"].eq(-self.self_coupling),
            constants["chain_coupling"].eq(self.chain_coupling),
            constants["margin"].eq(self.margin),
        ]
        lanes = []
        for p in range(len(self.valid)):
            m.submodules[f"lane{p}"] = lane = Lane(self.layout)
            m.d.comb += [
                lane.addend.eq(addend),
                lane.a.eq(self.a[p]),
                lane.b.eq(self.b[p]),
                lane.change.valid.eq(change.valid),
                lane.change.hit.eq(change.hit[p]),
                lane.change.up.eq(change.up[p]),
                lane.amount.eq(amount),
                lane.drive_read.eq(drive_read),
                lane.recur_read.eq(recur_read),
                lane.target.eq(before),
                lane.again.eq(again),
                *(getattr(lane, f"evaluation{i}").eq(stages[i]) for i in range(1, 4)),
                lane.state.eq(self.state[p]),
                lane.previous.eq(self.previous[p]),
                lane.next.eq(self.next[p]),
                lane.has_previous.eq(self.has_previous),
                lane.has_next.eq(self.has_next),
                *(getattr(lane, name).eq(value) for name, value in constants.items()),
            ]
            lanes.append(lane)
        m.d.comb += [
            self.reported.eq(Cat(lane.reported for lane in lanes)),
            self.sign.eq(Cat(lane.sign for lane in lanes)),
            self.envelope.eq(
                reduce(or_, (Mux(self.valid[p], lane.envelope, 0) for p, lane in enumerate(lanes)))
            ),
        ]
        return m
