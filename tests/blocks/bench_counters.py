"""Runs inside a simulator (see test_link_blocks.py): the counters against plain sums."""

import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from host_port import HostPort, idle

from relaxon.config import Config
from relaxon.hw.counters import ENVELOPE, PART_BITS, RECEPTION, amounts_layout, largest_amounts
from relaxon.layout import Layout
from relaxon.protocol import COUNTER_BYTES, COUNTERS
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage

SEEN = Coverage(
    "Counters", *(f"{c.name} {what}" for c in COUNTERS for what in ("counts its most", "written")),
    *(f"{c.name} wraps" for c in COUNTERS if c.name != ENVELOPE),
    "carries from word to word", "counts while the host reads", "counts while the host writes",
    "read as soon as it counts", "envelope stays",
)  # fmt: skip
FIRST, BYTE = 14, 9
"""Cycles that a word's first byte, and any other, takes at most."""
SETTLED = 2
"""Cycles until an amount counts for whoever asks."""


class Amounts:
    """Amounts as large and as frequent as a machine can make them, and their sums."""

    def __init__(self, dut: Block, layout: Layout, seed: int):
        self._dut, self._rng = dut, random.Random(seed)
        self._shape, self._most = amounts_layout(layout), largest_amounts(layout)
        self._field = layout.config.field_bits
        self._next = dict.fromkeys(self._most, 0)
        self._cycle = 0
        self.machine = False
        """Whether the machine is at work; the receiver always is."""
        self.reception = True
        """Or is not."""
        self.accessing = ""
        self.sums = {c.name: 0 for c in COUNTERS}
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self._dut.clk)
        fields = {name: (field.offset, field.width) for name, field in self._shape}
        while True:
            bits = 0
            for name, amount in self._of_cycle().items():
                self._count(name, amount)
                bits |= amount << fields[name][0]
            self._dut.amounts.value = bits
            self._cycle += 1
            await edge

    def _of_cycle(self) -> dict[str, int]:
        amounts, rng = {}, self._rng
        for name, (most, apart) in self._most.items():
            at_work = self.reception if name in RECEPTION else self.machine
            if at_work and self._cycle >= self._next[name]:
                amounts[name] = rng.choice((most, most, rng.randint(0, most)))
                self._next[name] = self._cycle + apart
                SEEN.hit(f"{name} counts its most", when=amounts[name] == most)
        if self.machine:
            amounts[ENVELOPE] = rng.getrandbits(self._field) & rng.getrandbits(self._field)
        return amounts

    def _count(self, name: str, amount: int) -> None:
        before = self.sums[name]
        if name == ENVELOPE:
            self.sums[name] = before | amount
            SEEN.hit("envelope stays", when=amount != 0 and self.sums[name] == before)
            most = (1 << self._field) - 1
            SEEN.hit(f"{name} counts its most", when=self.sums[name] == most)
            return
        bits = next(c.bits for c in COUNTERS if c.name == name)
        total = before + amount
        self.sums[name] = total % (1 << bits)
        SEEN.hit(f"{name} wraps", when=total >> bits > 0)
        SEEN.hit("carries from word to word", when=before >> PART_BITS < total >> PART_BITS)
        if amount and self.accessing:
            SEEN.hit(f"counts while the host {self.accessing}")

    def written(self, name: str, value: int) -> None:
        """The host set it."""
        bits = next(c.bits for c in COUNTERS if c.name == name)
        self.sums[name] = value % (1 << bits)
        SEEN.hit(f"{name} written")


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["counters", "compact_counters"], pauses=[False, True])
async def count_exactly(dut, name, pauses):
    layout = Layout(Config.from_dicts(parameters()[name], None))
    dut, rng = Block(dut, name), random.Random(1 + pauses)
    await start(dut, amounts=0, **idle("host"))
    amounts = Amounts(dut, layout, seed=3)
    amounts.reception = False
    host = HostPort(dut, "host", COUNTER_BYTES, seed=4 if pauses else None, limit=FIRST)

    async def write(address: int, value: int) -> None:
        amounts.accessing = "writes"
        await host.write(address, value.to_bytes(COUNTER_BYTES, "little"))
        amounts.accessing = ""
        amounts.written(COUNTERS[address].name, value)

    async def read(address: int) -> None:
        amounts.accessing = "reads"
        word = await host.read(address)
        amounts.accessing = ""
        wanted = amounts.sums[COUNTERS[address].name]
        assert int.from_bytes(word, "little") == wanted, COUNTERS[address].name
        first, *others = host.took
        assert first <= FIRST and max(others) <= BYTE, host.took

    for address, counter in enumerate(COUNTERS):  # near the end of its range, so that it wraps
        end = 0 if counter.name == ENVELOPE else (1 << counter.bits) - 1 - rng.randrange(3)
        await write(address, rng.getrandbits(8) << 56 | end)
    amounts.reception = True
    for turn in range(4):
        amounts.machine = True
        await ClockCycles(dut.clk, rng.choice((3, 150, 300)) if turn else 200)
        amounts.machine = False
        await ClockCycles(dut.clk, SETTLED - 1 + rng.randrange(2))  # one more is the port's own
        SEEN.hit("read as soon as it counts")
        for address in rng.sample(range(len(COUNTERS)), 10):
            if COUNTERS[address].name not in RECEPTION:  # never at rest: read at the end
                await read(address)
                if rng.random() < 0.2:
                    await write(address, rng.getrandbits(64))
                    await read(address)
    amounts.reception = False
    await ClockCycles(dut.clk, SETTLED)
    for address in range(len(COUNTERS)):
        await read(address)


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
