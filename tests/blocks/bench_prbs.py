"""Runs inside a simulator (see test_link_blocks.py): the self-test's pseudo-random bytes."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from relaxon.selftest import prbs
from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.watch import watch

SEEN = Coverage(
    "Prbs", "step", "step after step", "wait", "restart", "restart and step at once", "restart at once",
    *(f"bit {bit} is {value}" for bit in range(8) for value in (0, 1)),
)  # fmt: skip
LONGEST = 3000


@cocotb.test(timeout_time=500, timeout_unit="us")
async def makes_the_bytes_of_the_sequence(dut):
    dut, rng, wanted = Block(dut, "prbs"), random.Random(3), prbs(LONGEST)
    await start(dut, step=0, restart=0)
    at, stepped = 0, False

    def look() -> None:
        nonlocal at, stepped
        assert dut.data.value == wanted[at], f"byte {at}"
        for bit in range(8):
            SEEN.hit(f"bit {bit} is {wanted[at] >> bit & 1}")
        step, restart = bool(dut.step.value), bool(dut.restart.value)
        SEEN.hit("wait", when=not step and not restart)
        SEEN.hit("step", when=step)
        SEEN.hit("step after step", when=step and stepped)
        SEEN.hit("restart", when=restart and at > 0)
        SEEN.hit("restart and step at once", when=restart and step and at > 0)
        SEEN.hit("restart at once", when=restart and at == 0)
        at, stepped = 0 if restart else at + step, step

    watch(dut, look)
    for _ in range(2500):
        dut.step.value = int(rng.random() < 0.8)
        dut.restart.value = int(rng.random() < (0.3 if at == 0 else 0.005))
        await RisingEdge(dut.clk)


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
