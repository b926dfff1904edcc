"""Runs inside a simulator (see test_array_blocks.py): a memory with one port, written byte by byte."""

import random
from collections import deque

import cocotb
from ports import Ports, made, named

from relaxon.hw.singleport import PART_WORDS
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "single port", "first word", "last word", "read after write", "whole word", "one byte",
    "no byte", "last word of a part", "from part to part",
)  # fmt: skip


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("port"))
async def holds_what_was_written(dut, name):
    component, rng = made(name), random.Random(10)
    words, size, latency = component._words, component._bytes, component._latency
    block = Ports(dut, name, component)
    await start(dut)
    # some of every part, first and last among them
    used = {a for at in range(0, words, PART_WORDS) for a in (at, at + 1, at + PART_WORDS - 1)}
    used = sorted(a for a in used | {2, words - 1} if a < words)
    held = {address: bytearray(size) for address in used}
    for address in used:  # what a memory holds at first is undefined
        await block.step(address=address, write=1, mask=(1 << size) - 1, data=0)
    due: deque[int | None] = deque([None] * latency)
    last, wrote = used[-1], True
    for _ in range(parameters()["cycles"]):
        address, data = rng.choice((last, *used)), rng.randbytes(size)
        mask = rng.choice((0, 0, rng.randrange(1 << size), (1 << size) - 1, 1 << rng.randrange(size)))
        write = rng.random() < 0.5
        await block.step(address=address, write=write, mask=mask, data=int.from_bytes(data, "little"))
        if write:
            for byte in range(size):
                if mask >> byte & 1:
                    held[address][byte] = data[byte]
        due.append(None if write else int.from_bytes(held[address], "little"))
        expected = due.popleft()
        assert expected is None or block.get("word") == expected
        seen.hit("first word", when=address == 0)
        seen.hit("last word", when=address == words - 1)
        seen.hit("read after write", when=not write and wrote and address == last)
        seen.hit("whole word", when=write and mask == (1 << size) - 1)
        seen.hit("one byte", when=write and mask.bit_count() == 1)
        seen.hit("no byte", when=write and mask == 0)
        seen.hit("last word of a part", when=address == PART_WORDS - 1)
        seen.hit("from part to part", when=address // PART_WORDS != last // PART_WORDS)
        last, wrote = address, write
