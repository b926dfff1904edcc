"""Runs inside a simulator (see test_array_blocks.py): what the scanner finds out about a word,
exhaustively."""

import cocotb
from ports import Ports, made, named

from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage("bits", "none", "one", "two", "three", "more", "all")


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("bits"))
async def finds_the_lowest_and_whether_there_are_few(dut, name):
    block = Ports(dut, name, made(name))
    await start(dut)
    width = block.shape("word").width
    for word in range(1 << width):
        await block.step(word=word)
        lowest, count = word & -word, word.bit_count()
        assert block.get("lowest") == lowest
        assert block.get("few") == min(count, 3)
        if word:
            assert block.get("place") == lowest.bit_length() - 1
        seen.hit(("none", "one", "two", "three", "more")[min(count, 4)])
        seen.hit("all", when=count == width)
