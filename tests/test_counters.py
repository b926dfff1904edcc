"""The counters against plain sums: no amount is lost, whoever reads finds the exact figure."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from relaxon import Config
from relaxon.hw.counters import ENVELOPE, RECEPTION, Counters, largest_amounts
from relaxon.layout import Layout
from relaxon.protocol import COUNTER_BYTES, COUNTERS, STORES

CYCLES = 2500
TIMEOUT = 200


class Amounts:
    """Amounts as large and as frequent as a machine can make them, and their sums."""

    def __init__(self, layout: Layout, seed: int):
        self._rng, self._most = random.Random(seed), largest_amounts(layout)
        self._next = dict.fromkeys(self._most, 0)
        self._field = layout.config.field_bits
        self.sums = {c.name: 0 for c in COUNTERS}

    def of_cycle(self, cycle: int, machine: bool) -> dict[str, int]:
        """What comes now; while the machine is at rest, that is what the receiver counts."""
        amounts = {}
        for name, (most, apart) in self._most.items():
            if cycle >= self._next[name] and (machine or name in RECEPTION):
                amounts[name] = self._rng.choice((most, most, self._rng.randint(0, most)))
                self._next[name] = cycle + apart
        if machine:
            amounts[ENVELOPE] = self._rng.getrandbits(self._field) & self._rng.getrandbits(self._field)
        for name, amount in amounts.items():
            self.sums[name] = self.sums[name] | amount if name == ENVELOPE else self.sums[name] + amount
        return amounts


@pytest.mark.parametrize("store", STORES)
def test_counts_exactly(store: str) -> None:
    layout = Layout(Config(modules=4, neurons=4, inputs=9, classes=3, lanes=16, store=store))
    dut, amounts, rng = Counters(layout), Amounts(layout, 1), random.Random(2)
    cycle = 0

    async def testbench(ctx) -> None:
        nonlocal cycle

        async def step(machine: bool) -> None:
            nonlocal cycle
            now = amounts.of_cycle(cycle, machine)
            for counter in COUNTERS:
                ctx.set(dut.amounts[counter.name], now.get(counter.name, 0))
            await ctx.tick()
            cycle += 1

        async def access(address: int, value: int | None) -> int:
            """Read or, with a value, write a counter, as slowly as the command port may."""
            word = 0
            for byte in range(COUNTER_BYTES):
                ctx.set(dut.host.active, 1)
                ctx.set(dut.host.address, address)
                ctx.set(dut.host.byte, byte)
                ctx.set(dut.host.write, value is not None)
                ctx.set(dut.host.write_data, (value or 0) >> 8 * byte & 0xFF)
                for _ in range(TIMEOUT):
                    done, data = ctx.get(dut.host.done), ctx.get(dut.host.read_data)
                    await step(machine=False)
                    if done:
                        break
                else:
                    raise AssertionError(f"byte {byte} of counter {address} took {TIMEOUT} cycles")
                word |= data << 8 * byte
                ctx.set(dut.host.active, 0)
                for _ in range(rng.randrange(10)):
                    await step(machine=False)
            return word

        while cycle < CYCLES:
            for _ in range(rng.choice((3, 150, 700))):
                await step(machine=True)
            for _ in range(3):
                await step(machine=False)
            for address, counter in enumerate(COUNTERS):
                if counter.name in RECEPTION:  # never at rest: read at the end
                    continue
                wanted = amounts.sums[counter.name] % (1 << counter.bits)
                assert await access(address, None) == wanted, counter.name
                if rng.random() < 0.2:  # near the end of its range, so that it wraps
                    value = rng.getrandbits(8 * COUNTER_BYTES) | (1 << counter.bits) - 1 << 4
                    await access(address, value)
                    amounts.sums[counter.name] = value % (1 << counter.bits)
        for counter in COUNTERS:
            ctx.set(dut.amounts[counter.name], 0)
        await ctx.tick().repeat(3)
        amounts.of_cycle = lambda cycle, machine: {}  # type: ignore[method-assign]
        for name in RECEPTION:
            address = next(a for a, c in enumerate(COUNTERS) if c.name == name)
            assert await access(address, None) == amounts.sums[name]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
