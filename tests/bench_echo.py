"""Runs inside a simulator (see test_simulators.py): streams through an `Echo`."""

import random

import cocotb
from echo import EchoModel

from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.streams import Stalls, StreamSink, StreamSource, hesitation


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=list(Stalls))
async def answers_as_the_model_whoever_stalls(dut, stalls):
    count = parameters()["count"]
    sink = StreamSink(dut, "tx", hesitation(stalls.sink, 1))
    source = StreamSource(dut, "rx", hesitation(stalls.source, 2))
    await start(dut)
    # Memories keep their content through a reset, so every test takes bytes of its own.
    first = 3 + list(Stalls).index(stalls) * 60
    data = bytes(random.Random(3).choices(range(first, first + 60), k=count))
    await source.send(data)
    received = await sink.wait(count, cycles=200)
    assert bytes(received) == EchoModel().answer(data)


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not parameters().get("fail"))
async def fails(dut):
    await start(dut, rx__valid=0, tx__ready=0)
    assert dut.idle.value == 0, "told to fail"
