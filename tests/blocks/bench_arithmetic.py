"""Runs inside a simulator (see test_array_blocks.py): sums and products, exhaustively."""

import cocotb
from array_blocks import Sums
from ports import Ports, made

from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage("arithmetic", "plus", "minus", "carry", "lowest", "highest")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_and_products_are_exact(dut):
    sums = Ports(dut, "sums", made("sums"))
    await start(dut)
    values, others = (range(-(1 << n - 1), 1 << n - 1) for n in Sums.BITS)
    for value in values:
        for other in others:
            for negative in (0, 1):
                await sums.step(value=value, other=other, negative=negative)
                sign = -1 if negative else 1
                assert sums.get("plus") == value + sign * other
                assert sums.get("swapped") == other + sign * value
                assert sums.get("carried") == value + other + negative
                seen.hit("minus" if negative else "plus")
                seen.hit("carry", when=negative and value + other == -1)
                seen.hit("lowest", when=value == values[0] and other == others[0])
                seen.hit("highest", when=value == values[-1] and other == others[-1])
        for other in range(1 << Sums.BITS[1]):
            await sums.step(other=other)
            for constant in Sums.CONSTANTS:
                assert sums.get(f"times{constant}") == other * constant
