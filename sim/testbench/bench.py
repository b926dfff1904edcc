"""What every testbench begins with: its parameters, clock and reset.

For modules that `relaxon.sim.testbench.runner` runs; outside a simulator only `PARAMETERS` is of use.
"""

from __future__ import annotations

import json
import os
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

PARAMETERS = "RELAXON_BENCH"
"""The environment variable that carries a testbench's parameters."""
PERIOD_NS = 10
Device = Any
"""A simulated device; which ports it has is known only when it runs."""


def parameters() -> dict[str, Any]:
    """What the caller of `relaxon.sim.testbench.runner.simulate` gave as `parameters`."""
    values: dict[str, Any] = json.loads(os.environ[PARAMETERS])
    return values


async def start(dut: Device, *, cycles: int = 4, **inputs: int) -> None:
    """Start the clock and hold the reset for some cycles, with these values at the input ports."""
    for name, value in inputs.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, cycles)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
