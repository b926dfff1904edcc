"""Looks at a device cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable

import cocotb
from cocotb.task import Task
from cocotb.triggers import ReadOnly, RisingEdge

from relaxon.sim.testbench.bench import Device


def watch(dut: Device, look: Callable[[], object]) -> Task[None]:
    """Call `look` once in every cycle from now on, when all inputs have taken effect."""

    async def run() -> None:
        edge, settled = RisingEdge(dut.clk), ReadOnly()
        while True:
            await settled
            look()
            await edge

    return cocotb.start_soon(run())
