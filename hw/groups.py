"""Walking over the groups of the array."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.events import lowest_bit, place_of
from relaxon.hw.operation import group_bits, local_bits
from relaxon.layout import Layout


class GroupWalker(wiring.Component):
    """Walks over the groups of the chosen bins of rows, in order, then starts over with all bins.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    choose : In(1), bins : In(row_bins)
        Start now, with these bins (at least one) until the end of the walk.
    step : In(1)
        Go to the next group.
    group, local : Out
        The group, and its number within its module.
    head, foot, tail, last : Out(1)
        In the first row of modules; in the last; holds padding; is the last one chosen.
    bin : Out(row_bins)
        Its bin, one-hot.

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
                "bin": Out(layout.row_bins, init=1),
                **flags,
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self._layout
        per_module, per_bin = layout.groups_per_module, layout.groups_per_bin
        every = (1 << layout.row_bins) - 1
        left = Signal(layout.row_bins, init=every & ~1)  # bins chosen beside this one
        within = Signal(range(max(2, per_bin)))
        last_of_module, last_of_bin, last_of_all = Signal(), Signal(), Signal()
        m.d.comb += [
            last_of_module.eq(self.local == per_module - 1),
            last_of_all.eq(self.group == layout.groups - 1),
            last_of_bin.eq((within == per_bin - 1) | last_of_all),
            self.last.eq(last_of_bin & (left == 0)),
            self.head.eq(self.group < per_module),
            self.foot.eq(self.group >= layout.groups - per_module),
            self.tail.eq(last_of_module if layout.tail_period == per_module else last_of_all),
        ]
        following, chosen = Signal(layout.row_bins), Signal(layout.row_bins)
        m.d.comb += [
            chosen.eq(Mux(self.choose, self.bins, Mux(left == 0, every, left))),
            following.eq(lowest_bit(m, chosen)),
        ]
        with m.If(self.step):
            m.d.sync += [self.group.eq(self.group + 1), self.local.eq(self.local + 1)]
            m.d.sync += within.eq(within + 1)
            with m.If(last_of_module):
                m.d.sync += self.local.eq(0)
        with m.If(self.choose | (self.step & last_of_bin)):
            bases = Array(bin_ * per_bin for bin_ in range(layout.row_bins))
            m.d.sync += [
                self.bin.eq(following),
                left.eq(chosen & ~following),
                self.group.eq(bases[place_of(following)] if layout.row_bins > 1 else 0),
                self.local.eq(0),
                within.eq(0),
            ]
        return m

    def _sizes(self) -> tuple[int, int]:
        return self._layout.groups_per_module, self._layout.groups_per_bin
