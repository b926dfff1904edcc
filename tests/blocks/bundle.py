"""Several blocks side by side in one device, so that one build serves all their testbenches."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, Out


class Bundle(Component):
    """Blocks that have nothing to do with one another but clock and reset.

    Parameters
    ----------
    blocks
        By name; port ``p`` of block ``b`` is port ``b__p`` of the bundle.
    """

    def __init__(self, **blocks: Component):
        self._blocks = blocks
        super().__init__({name: Out(block.signature) for name, block in blocks.items()})

    def elaborate(self, platform):
        m = Module()
        for name, block in self._blocks.items():
            m.submodules[name] = block
            wiring.connect(m, wiring.flipped(getattr(self, name)), block)
        return m
