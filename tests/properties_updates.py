"""The ±1 update of couplings, and the ±step update of the readout: in range, in the right direction,
and only where something learns."""

from __future__ import annotations

from amaranth import Module, Mux
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data
from amaranth.lib.wiring import Component, In

from relaxon.hw.operation import element_shape
from relaxon.hw.rotation import delayed
from relaxon.hw.store import Updater
from relaxon.layout import Layout


def saturated(value, limit: int):
    """`value`, cut to ±limit."""
    return Mux(value > limit, limit, Mux(value < -limit, -limit, value))


class CouplingUpdate(Component):
    """`Updater`: w ← sat(w ± 1) where it learns, else w; `moved` and `cut` say which.

    What the host or learning ever put there is in range.
    """

    def __init__(self, layout: Layout, size: int = 2, updater: type[Updater] = Updater):
        self._layout, self._updater = layout, updater(layout, size)
        elements = data.ArrayLayout(element_shape(layout), size)
        super().__init__({"mask": In(size), "up": In(size), "old": In(elements)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.updater = updater = self._updater
        limit = self._layout.config.weight_max
        m.d.comb += [getattr(updater, name).eq(getattr(self, name)) for name in ("mask", "up", "old")]
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
