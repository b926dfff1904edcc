"""Sixteen lanes with control registers of their own, near to them."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.lane import FACTOR_BITS, Lane, addend_layout, count_bits, target_layout
from relaxon.hw.operation import Mode, element_shape, evaluation_layout, turns
from relaxon.layout import Layout

LANES = 16
"""Lanes of a cluster. A control register that reaches many more spends most of a clock cycle on the
way."""


ADDING = ("addend", "factor", "hit", "up", "count", "target")
"""Members of `Lane` that say what is added, and where."""


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
    addend, factor, hit, up, count, target, evaluation : In
        At stage −1: see `Lane`; `hit` and `up` are for every lane.
    a, b : In(elements)
        At stage 0.
    state, previous, next : In(lanes), has_previous, has_next : In(1)
        At stage 1.
    self_coupling, chain_coupling, margin : In(signed)
        Registers.
    valid : In(lanes)
        At stage 4: lanes that hold a neuron.
    reported, sign : Out(lanes), envelope : Out(field_bits)
        At stage 4; the envelope is the bitwise or of the valid lanes', or 0 if no neuron was to turn.
    """

    def __init__(self, layout: Layout, lanes: int):
        self.layout = layout
        field = signed(layout.config.field_bits)
        words = data.ArrayLayout(element_shape(layout), lanes)
        super().__init__(
            {
                "addend": In(addend_layout(layout)),
                "factor": In(signed(FACTOR_BITS)),
                "hit": In(lanes),
                "up": In(lanes),
                "count": In(count_bits(layout)),
                "target": In(target_layout(layout)),
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
        self._now = Signal(evaluation_layout(layout))  # the evaluation at stage 0

    def elaborate(self, platform):
        m = Module()
        lanes = [Lane(self.layout) for _ in self.valid]
        for p, lane in enumerate(lanes):
            m.submodules[f"lane{p}"] = lane
        self._add(m, lanes)
        self._evaluate(m, lanes)
        m.d.comb += [
            self.reported.eq(Cat(lane.reported for lane in lanes)),
            self.sign.eq(Cat(lane.sign for lane in lanes)),
        ]
        return m

    def _add(self, m: Module, lanes: list[Lane]) -> None:
        """Control of what is added, and where."""
        # Stage 0
        first = {name: Signal.like(getattr(self, name), name=name) for name in ADDING}
        m.d.sync += [register.eq(getattr(self, name)) for name, register in first.items()]
        # Stage 1
        factor, target = (Signal.like(first[name]) for name in ("factor", "target"))
        m.d.sync += [factor.eq(first["factor"]), target.eq(first["target"])]
        now, free = self._now, (self._now.mode == Mode.FREE) | (self._now.mode == Mode.KEEP)
        group = first["target"].group
        drive_read, recur_read = (Signal.like(group, name=f"{n}_read") for n in ("drive", "recur"))
        m.d.sync += [
            drive_read.eq(Mux(now.valid, now.group, group)),
            recur_read.eq(Mux(now.valid & ~free, now.group, group)),
        ]
        # Stage 2
        before, again = Signal.like(target), Signal()
        m.d.sync += [
            before.eq(target),
            again.eq(
                before.valid
                & (before.group == target.group)
                & ((before.drive == target.drive) | before.clear)
            ),
        ]
        for p, lane in enumerate(lanes):
            m.d.comb += [
                lane.addend.eq(first["addend"]),
                lane.a.eq(self.a[p]),
                lane.b.eq(self.b[p]),
                lane.hit.eq(first["hit"][p]),
                lane.up.eq(first["up"][p]),
                lane.count.eq(first["count"]),
                lane.factor.eq(factor),
                lane.drive_read.eq(drive_read),
                lane.recur_read.eq(recur_read),
                lane.target.eq(before),
                lane.again.eq(again),
            ]

    def _evaluate(self, m: Module, lanes: list[Lane]) -> None:
        """Control of the evaluation at its stages, and what depends on its mode alone."""
        now, stages = self.evaluation, []
        for stage in range(5):
            later = Signal(evaluation_layout(self.layout), name=f"evaluation{stage}")
            m.d.sync += later.valid.eq(now.valid)
            with m.If(now.valid):
                m.d.sync += [later[n].eq(now[n]) for n in ("mode", "clamped", "group")]
            stages.append(later)
            now = later
        m.d.comb += self._now.eq(stages[0])

        # Where s = +1 is stable at h > κ, that is h − κ − 1 ≥ 0; where −1, at −h > κ, or h + κ < 0.
        own, chain = {}, Signal.like(self.chain_coupling)
        for name, sign in (("plus", 1), ("minus", -1)):
            at_rest, stable = (Signal.like(lanes[0].plus, name=f"{name}_{n}") for n in ("s", "u"))
            own[name] = Signal.like(lanes[0].plus, name=name)
            m.d.sync += [
                at_rest.eq(sign * self.self_coupling),
                stable.eq(sign * (self.self_coupling - self.margin) - (sign > 0)),
            ]
            with m.Switch(stages[0].mode):
                with m.Case(Mode.FREE):
                    m.d.sync += own[name].eq(0)
                with m.Case(Mode.STABILITY):
                    m.d.sync += own[name].eq(stable)
                with m.Default():
                    m.d.sync += own[name].eq(at_rest)
        m.d.sync += chain.eq(Mux(stages[0].mode == Mode.FREE, 0, self.chain_coupling))

        counts = Signal()
        m.d.comb += counts.eq(turns(stages[4].mode))
        for p, lane in enumerate(lanes):
            m.d.comb += [
                *(getattr(lane, f"evaluation{i}").eq(stages[i]) for i in range(1, 5)),
                lane.plus.eq(own["plus"]),
                lane.minus.eq(own["minus"]),
                lane.chain_coupling.eq(chain),
                lane.state.eq(self.state[p]),
                lane.previous.eq(self.previous[p]),
                lane.next.eq(self.next[p]),
                lane.has_previous.eq(self.has_previous),
                lane.has_next.eq(self.has_next),
            ]
        m.d.comb += self.envelope.eq(
            reduce(
                or_,
                (Mux(self.valid[p] & counts, lane.envelope, 0) for p, lane in enumerate(lanes)),
            )
        )
