"""The UART alone: every phase of the other end's clock, and its errors."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from relaxon.baud import cycles_per_bit
from relaxon.errors import ConfigError
from relaxon.hw.uart import UartReceiver, UartTransmitter

CLOCK_HZ = 48_000_000
BYTES = bytes((0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80)) + random.Random(1).randbytes(40)


def levels(data: bytes, cycles: float, phase: float) -> list[int]:
    """What a clock samples of these bytes, sent back to back with so many cycles to a bit."""
    bits = [1] * 4 + [b for byte in data for b in (0, *(byte >> i & 1 for i in range(8)), 1)]
    count = int((len(bits) - phase) * cycles)
    return [bits[int(phase + n / cycles)] for n in range(count)] + [1] * int(3 * cycles)


def received(cycles: int, line: list[int]) -> bytes:
    """What a receiver of so many cycles to a bit makes of these levels."""
    dut, data = UartReceiver(cycles), bytearray()

    async def bench(ctx):
        for level in line:
            ctx.set(dut.line, level)
            *_, valid, byte = await ctx.tick().sample(dut.bytes.valid, dut.bytes.payload)
            if valid:
                data.append(byte)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return bytes(data)


@pytest.mark.parametrize(
    "baud, error",
    [(12_000_000, -0.02), (12_000_000, -0.015), (12_000_000, 0.0), (12_000_000, 0.015),
     (12_000_000, 0.02), (3_000_000, -0.015), (3_000_000, 0.015)],
)  # fmt: skip
def test_receives_at_every_phase_of_a_sender_that_is_off(baud: int, error: float) -> None:
    cycles = cycles_per_bit(CLOCK_HZ, baud)
    for phase in range(8):
        line = levels(BYTES, cycles * (1 + error), phase / 8)
        assert received(cycles, line) == BYTES, f"phase {phase}/8"


def test_a_byte_without_stop_bit_is_dropped() -> None:
    line = levels(b"\x00", 4, 0)
    broken = [1] * 8 + [0] * 60 + [1] * 20 + line
    assert received(4, broken) == b"\x00"


@pytest.mark.parametrize("cycles", [4, 16])
def test_sends_bytes_back_to_back(cycles: int) -> None:
    dut, seen = UartTransmitter(cycles), []
    left = list(BYTES)

    async def bench(ctx):
        ctx.set(dut.bytes.valid, 1)
        ctx.set(dut.bytes.payload, left[0])
        for _ in range(10 * cycles * len(BYTES) + 1):
            *_, ready, line = await ctx.tick().sample(dut.bytes.ready, dut.line)
            seen.append(line)
            if ready and left:
                left.pop(0)
                ctx.set(dut.bytes.payload, left[0] if left else 0)
                ctx.set(dut.bytes.valid, bool(left))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    bits = [b for byte in BYTES for b in (0, *(byte >> i & 1 for i in range(8)), 1)]
    assert seen == [1] + [bit for bit in bits for _ in range(cycles)]


def test_rates_that_a_clock_can_make() -> None:
    assert [cycles_per_bit(CLOCK_HZ, baud) for baud in (12_000_000, 3_000_000)] == [4, 16]
    assert cycles_per_bit(CLOCK_HZ, 115_200) == 417
    for clock_hz, baud in ((CLOCK_HZ, 16_000_000), (CLOCK_HZ, 9_000_000), (0, 1)):
        with pytest.raises(ConfigError):
            cycles_per_bit(clock_hz, baud)
