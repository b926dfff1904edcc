"""The link's checksum against zlib's."""

from __future__ import annotations

import random
import zlib

from amaranth.sim import Simulator

from relaxon.hw.checksum import Checksum


def test_is_the_crc_of_zlib() -> None:
    dut, rng = Checksum(), random.Random(1)

    async def feed(ctx, data: bytes) -> None:
        for byte in data:
            ctx.set(dut.valid, 1)
            ctx.set(dut.data, byte)
            await ctx.tick()
            ctx.set(dut.valid, 0)
            await ctx.tick().repeat(1 + rng.randrange(3))

    async def testbench(ctx) -> None:
        for length in (0, 1, 2, 7, 40):
            data = rng.randbytes(length)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await feed(ctx, data)
            checksum = zlib.crc32(data)
            assert ctx.get(dut.crc) == checksum
            await feed(ctx, checksum.to_bytes(4, "little"))
            assert ctx.get(dut.match)
            await feed(ctx, b"\1")
            assert not ctx.get(dut.match)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
