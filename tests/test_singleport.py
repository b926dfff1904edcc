"""The memory of a column store: one port, bytes written one by one; SPRAM where there is any."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from amaranth.hdl import Fragment, Instance
from amaranth.sim import Simulator

from relaxon import Config
from relaxon.hw.singleport import PART_BYTES, PART_WORDS, SPRAM_WORDS, SinglePortMemory
from relaxon.layout import Layout

UP5K = SimpleNamespace(device="iCE40UP5K")


@pytest.mark.parametrize(
    "words, size, latency", [(20, 3, 1), (20, 3, 5), (2 * PART_WORDS + 9, PART_BYTES + 1, 5)]
)
def test_holds_what_was_written_byte_by_byte(words: int, size: int, latency: int) -> None:
    dut, rng = SinglePortMemory(words, size, latency), random.Random(1)
    # some of every part, first and last among them
    used = sorted({a for at in range(0, words, PART_WORDS) for a in range(at, at + 9)} | {words - 1})
    held = {address: bytearray(size) for address in used}
    due: list[int | None] = [None] * (latency - 1)

    async def testbench(ctx) -> None:
        for address in used:  # what a memory holds at first is undefined
            ctx.set(dut.address, address)
            ctx.set(dut.write, 1)
            ctx.set(dut.mask, (1 << size) - 1)
            ctx.set(dut.data, 0)
            await ctx.tick()
        for _ in range(500):
            address, data = rng.choice(used), rng.randbytes(size)
            mask = rng.choice((0, 0, rng.randrange(1 << size)))
            ctx.set(dut.address, address)
            ctx.set(dut.write, mask != 0)
            ctx.set(dut.mask, mask or rng.randrange(1 << size))
            ctx.set(dut.data, int.from_bytes(data, "little"))
            await ctx.tick()
            for byte in range(size):
                if mask >> byte & 1:
                    held[address][byte] = data[byte]
            due.append(None if mask else int.from_bytes(held[address], "little"))
            expected = due.pop(0)
            assert expected is None or ctx.get(dut.word) == expected

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(
    "words, word_bytes, blocks", [(SPRAM_WORDS, 8, 4), (100, 8, 4), (SPRAM_WORDS + 1, 4, 4), (9, 3, 2)]
)
def test_is_made_of_spram_where_there_is_any(words: int, word_bytes: int, blocks: int) -> None:
    fragment = Fragment.get(SinglePortMemory(words, word_bytes), UP5K)
    parts = [part for part, *_ in fragment.subfragments]
    assert all(isinstance(part, Instance) and part.type == "SB_SPRAM256KA" for part in parts)
    assert len(parts) == blocks
    for part in parts:  # every port has its width
        widths = {name: len(value) for name, (value, _) in part.ports.items()}
        assert widths == {
            "ADDRESS": 14, "DATAIN": 16, "MASKWREN": 4, "WREN": 1, "CHIPSELECT": 1, "CLOCK": 1,
            "STANDBY": 1, "SLEEP": 1, "POWEROFF": 1, "DATAOUT": 16,
        }  # fmt: skip
    wide = Fragment.get(SinglePortMemory(words, word_bytes, 5), UP5K).subfragments[0][0]
    assert len(wide.subfragments) == blocks
    elsewhere = Fragment.get(SinglePortMemory(words, word_bytes), None)
    assert not any(isinstance(part, Instance) for part, *_ in elsewhere.subfragments)


def test_an_icebreaker_holds_24_modules_of_32() -> None:
    config = Config.preset("modules", modules=24, neurons=32, inputs=100, lanes=8, store="column")
    assert Layout(config).store_words <= SPRAM_WORDS
