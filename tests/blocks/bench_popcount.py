"""Runs inside a simulator (see test_array_blocks.py): ones are counted, two cycles later."""

import random
from collections import deque

import cocotb
from ports import Ports, made, named

from relaxon.hw.popcount import Popcount
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage("popcount", "none", "one", "all", "whole bytes", "part of a byte")


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("popcount"))
async def counts_ones(dut, name):
    block, rng = Ports(dut, name, made(name)), random.Random(1)
    await start(dut)
    width = block.shape("bits").width
    due = deque([None] * Popcount.latency)
    for _ in range(parameters()["cycles"]):
        some = rng.getrandbits(width)
        bits = rng.choice((0, (1 << width) - 1, 1 << rng.randrange(width), some, some))
        await block.step(bits=bits)
        due.append(bits.bit_count())
        expected = due.popleft()
        assert expected is None or block.get("count") == expected
        seen.hit("none", when=bits == 0)
        seen.hit("one", when=bits.bit_count() == 1)
        seen.hit("all", when=bits.bit_count() == width)
    seen.hit("whole bytes" if width % 8 == 0 else "part of a byte")
