"""Walking over the groups of the array."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.events import lowest_bit, place_of
from relaxon.hw.operation import group_bits, local_bits
from relaxon.layout import Layout

SETTLING = 4
"""Cycles before a choice of bins can be taken."""


class GroupWalker(wiring.Component):
    """Walks over the groups of the chosen bins of rows, in order, then starts over with all bins.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    bins : In(row_bins), choose : In(1)
        Start now, with these bins (at least one) until the end of the walk. They must have been
        there for `SETTLING` cycles.
    step : In(1)
        Go to the next group.
    group, local : Out
        The group, and its number within its module.
    head, foot, tail, last : Out(1)
        In the first row of modules; in the last; holds padding; is the last one chosen.
    bin : Out
        Number of its bin.

    Timing
    ------
    One group per cycle, those not chosen cost none.
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        flags = {name: Out(1) for name in ("head", "foot", "tail", "last")}
        super().__init__(
            {
                "choose": In(1),
                "bins": In(layout.row_bins),
                "step": In(1),
                "group": Out(group_bits(layout)),
                "local": Out(local_bits(layout)),
                "bin": Out(bits_for(max(1, layout.row_bins - 1))),
                **flags,
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self._layout
        per_module, per_bin = layout.groups_per_module, layout.groups_per_bin
        within = Signal(range(max(2, per_bin)))
        # The bins chosen, one at a time: the first one's number, the second one alone, the others.
        start, every = self._settled(m), self._every(layout.row_bins)
        pick = Signal(layout.row_bins, init=every["second"].value)
        left = Signal(layout.row_bins, init=every["others"].value)
        more = Signal(init=layout.row_bins > 1)
        last_of_module, last_of_bin, last_of_all = Signal(), Signal(), Signal()
        m.d.comb += [
            last_of_module.eq(self.local == per_module - 1),
            last_of_all.eq(self.group == layout.groups - 1),
            last_of_bin.eq((within == per_bin - 1) | last_of_all),
            self.last.eq(last_of_bin & ~more),
            self.head.eq(self.group < per_module),
            self.foot.eq(self.group >= layout.groups - per_module),
            self.tail.eq(last_of_module if layout.tail_period == per_module else last_of_all),
        ]
        chosen = {name: Mux(self.choose, start[name], every[name]) for name in every}
        lowest, number = lowest_bit(m, left), Signal.like(self.bin)
        with m.If(self.step):
            m.d.sync += self.group.eq(self.group + 1)
        with m.If(self.choose | (self.step & last_of_bin)):
            with m.If(self.choose | ~more):
                m.d.comb += number.eq(chosen["first"])
                m.d.sync += [
                    pick.eq(chosen["second"]),
                    more.eq(chosen["second"].any()),
                    left.eq(chosen["others"]),
                ]
            with m.Else():
                m.d.comb += number.eq(place_of(pick))
                m.d.sync += [pick.eq(lowest), more.eq(left.any()), left.eq(left & ~lowest)]
            m.d.sync += self.group.eq(number * per_bin)
        if all(size & (size - 1) == 0 for size in (per_module, per_bin)):
            m.d.comb += [  # all in the number of the group
                self.local.eq(self.group % per_module),
                self.bin.eq(self.group // per_bin),
                within.eq(self.group % per_bin),
            ]
            return m
        with m.If(self.step):
            m.d.sync += [
                self.local.eq(Mux(last_of_module, 0, self.local + 1)),
                within.eq(within + 1),
            ]
        with m.If(self.choose | (self.step & last_of_bin)):
            m.d.sync += [self.bin.eq(number), self.local.eq(0), within.eq(0)]
        return m

    def _settled(self, m: Module) -> dict:
        """`bins`, taken apart in a few cycles."""
        size = self._layout.row_bins
        first, second = Signal(size, name="first"), Signal(size, name="second")
        others, rest = Signal(size, name="others"), Signal(size, name="rest")
        number = Signal.like(self.bin)
        m.d.sync += [
            first.eq(lowest_bit(m, self.bins)),
            rest.eq(self.bins & ~first),
            number.eq(place_of(first)),
            second.eq(lowest_bit(m, rest)),
            others.eq(rest & ~second),
        ]
        return {"first": number, "second": second, "others": others}

    @staticmethod
    def _every(size: int) -> dict:
        every, second = (1 << size) - 1, 2 if size > 1 else 0
        return {
            "first": Const(0, bits_for(max(1, size - 1))),
            "second": Const(second, size),
            "others": Const(every & ~1 & ~second, size),
        }
