"""Walking over the groups of the array."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.operation import group_bits, local_bits
from relaxon.layout import Layout


class GroupCounter(wiring.Component):
    """Counts 0 … γ−1 and starts over; says what is special about the group it is at.

    Members
    -------
    step : In(1)
        Go to the next group.
    group, local : Out
        The group, and its number within its module.
    head, foot, tail, last : Out(1)
        In the first row of modules; in the last; holds padding; is the last group.
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        flags = {name: Out(1) for name in ("head", "foot", "tail", "last")}
        super().__init__(
            {
                "step": In(1),
                "group": Out(group_bits(layout)),
                "local": Out(local_bits(layout)),
                **flags,
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, per_module = self._layout, self._layout.groups_per_module
        last_of_module = Signal()
        m.d.comb += [
            last_of_module.eq(self.local == per_module - 1),
            self.last.eq(self.group == layout.groups - 1),
            self.head.eq(self.group < per_module),
            self.foot.eq(self.group >= layout.groups - per_module),
            self.tail.eq(last_of_module if layout.tail_period == per_module else self.last),
        ]
        with m.If(self.step):
            m.d.sync += [self.group.eq(self.group + 1), self.local.eq(self.local + 1)]
            with m.If(last_of_module):
                m.d.sync += self.local.eq(0)
            with m.If(self.last):
                m.d.sync += self.group.eq(0)
        return m
