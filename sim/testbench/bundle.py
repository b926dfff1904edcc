"""Components side by side in one simulation: most of the cost of a small testbench is its build."""

from __future__ import annotations

from typing import Any

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


class Block:
    """A block of a `Bundle`, inside a simulator: its ports, and clock and reset, as if it were alone.

    Parameters
    ----------
    dut
        The bundle.
    name
        The block's in it.
    """

    def __init__(self, dut: Any, name: str):
        self._dut, self._name = dut, name

    def __getattr__(self, port: str) -> Any:
        return getattr(self._dut, port if port in ("clk", "rst") else f"{self._name}__{port}")
