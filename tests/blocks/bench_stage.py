"""Runs inside a simulator (see test_link_blocks.py): a register in a stream."""

import random

import cocotb
from cocotb.triggers import ClockCycles

from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSink, StreamSource, hesitation
from relaxon.sim.testbench.watch import cycle, watch

SEEN = Coverage("Stage", "item after item", "two held", "one held", "empty again")
COUNT = 200


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=list(Stalls))
async def passes_every_item_once_whoever_stalls(dut, stalls):
    dut = Block(dut, "stage")
    await start(dut, source__valid=0, source__payload=0, sink__ready=0)
    items = [random.Random(6).getrandbits(8) for _ in range(COUNT)]
    came, gone = [], []

    def look() -> None:
        held = len(came) - len(gone)
        assert held <= 2
        if dut.source__valid.value and dut.source__ready.value:
            SEEN.hit("item after item", when=bool(came) and came[-1] == cycle() - 1)
            came.append(cycle())
        if dut.sink__valid.value and dut.sink__ready.value:
            gone.append(cycle())
        SEEN.hit(("empty again", "one held", "two held")[held], when=bool(came))

    watch(dut, look)
    sink = StreamSink(dut, "sink", hesitation(stalls.sink, 7))
    await StreamSource(dut, "source", hesitation(stalls.source, 8)).send(items)
    assert await sink.wait(COUNT, 1000) == items
    await ClockCycles(dut.clk, 3)
    assert sink.received == items
    if stalls is Stalls.NONE:
        assert gone == [at + 1 for at in came], "a cycle later"
        assert came == list(range(came[0], came[0] + COUNT)), "an item per cycle"


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
