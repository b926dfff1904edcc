"""Runs inside a simulator (see test_link_blocks.py): the self-test's signature of answers."""

import random
import zlib

import cocotb
from answers import reply_byte, reply_bytes
from cocotb.triggers import RisingEdge

from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSource, hesitation
from relaxon.sim.testbench.watch import cycle, watch

SEEN = Coverage(
    "Signature", "answer of one byte", "answer of two bytes", "long answer", "clear after answers",
    "clear twice", "answer right after answer",
)  # fmt: skip
CYCLES = 8
"""For each byte."""


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=[Stalls.NONE, Stalls.SOURCE])
async def is_the_crc_of_answers_without_their_numbers(dut, stalls):
    dut, rng = Block(dut, "sig"), random.Random(4)
    await start(dut, payload__valid=0, payload__payload=0, clear=0)
    source = StreamSource(dut, "payload", hesitation(stalls.source, 5))
    ended, taken = False, []

    def look() -> None:
        nonlocal ended
        assert dut.pending.value == ended, "in the cycle after an answer's last byte"
        ended = False
        if dut.payload__valid.value and dut.payload__ready.value:
            _, ended = reply_byte(int(dut.payload__payload.value))
            taken.append(cycle())

    watch(dut, look)
    for _ in range(15):
        signed = b""
        for _ in range(rng.randrange(5)):
            answer = rng.randbytes(rng.choice((1, 2, rng.randrange(3, 30))))
            SEEN.hit("answer of one byte", when=len(answer) == 1)
            SEEN.hit("answer of two bytes", when=len(answer) == 2)
            SEEN.hit("long answer", when=len(answer) > 2)
            SEEN.hit("answer right after answer", when=bool(signed) and not stalls.source)
            taken.clear()
            begun = cycle()
            await source.send(reply_bytes(answer))
            if not stalls.source:
                assert taken == [begun + CYCLES * n - 1 for n in range(1, len(answer) + 1)]
            signed += answer[1:]
        await RisingEdge(dut.clk)
        assert dut.value.value == zlib.crc32(signed)
        SEEN.hit("clear after answers" if signed else "clear twice")
        dut.clear.value = 1
        await RisingEdge(dut.clk)
        dut.clear.value = 0


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
