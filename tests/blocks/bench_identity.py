"""Runs inside a simulator (see test_link_blocks.py): who the board is."""

import random

import cocotb
from answers import reply_byte
from cocotb.triggers import ClockCycles

from relaxon.protocol import HELLO, IDENTITY
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSink, StreamSource, hesitation
from relaxon.sim.testbench.watch import watch

SEEN = Coverage(
    "Identity", "told", "told again", "lowest number expected", "highest number expected",
    "more bytes than a nonce", "nothing after the last byte",
)  # fmt: skip


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=list(Stalls))
async def tells_who_it_is(dut, stalls):
    dut, known, rng = Block(dut, "identity"), parameters()["identity"], random.Random(1)
    await start(dut, active=0, bytes__valid=0, bytes__payload=0, expected=0, opened=0,
                body__ready=0)  # fmt: skip
    source = StreamSource(dut, "bytes", hesitation(stalls.source, 2))
    sink = StreamSink(dut, "body", hesitation(stalls.sink, 3))

    def look() -> None:
        assert dut.active.value or not dut.body__valid.value

    watch(dut, look)
    for turn, expected in enumerate((0, 255, *(rng.randrange(256) for _ in range(4)))):
        hello = rng.randbytes(HELLO.size)
        opened = turn % 2
        dut.expected.value, dut.opened.value = expected, opened
        SEEN.hit("lowest number expected", when=expected == 0)
        SEEN.hit("highest number expected", when=expected == 255)
        dut.active.value = 1
        sending = cocotb.start_soon(source.send(hello + rng.randbytes(2)))
        SEEN.hit("more bytes than a nonce")
        await sink.wait(IDENTITY.size, 600)
        await ClockCycles(dut.clk, rng.randrange(10))
        SEEN.hit("nothing after the last byte")
        wanted = IDENTITY.pack(**HELLO.unpack(hello), expected=expected, opened=opened, **known)
        got = [reply_byte(payload) for payload in sink.received]
        assert bytes(byte for byte, _ in got) == wanted
        assert [last for _, last in got] == [False] * (IDENTITY.size - 1) + [True]
        assert not sending.done(), "takes no more than the nonce"
        sending.cancel()
        dut.bytes__valid.value = 0
        SEEN.hit("told again" if turn else "told")
        sink.received.clear()
        dut.active.value = 0
        await ClockCycles(dut.clk, 1)


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
