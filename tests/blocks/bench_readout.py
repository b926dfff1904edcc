"""Runs inside a simulator (see test_array_blocks.py): one strip's scores and elements."""

import random

import cocotb
from elements import Elements
from ports import Ports, made, named

from relaxon.hw.hostport import READ_CYCLES
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "readout", "one neuron", "two neurons", "two of one word", "from rest", "without a pause",
    "forgotten", "towards", "away", "no class learns", "cut above", "cut below", "not cut",
    "padding", "another strip's word", "slots alone", "slots side by side",
)  # fmt: skip
SETTLED = 6
"""Cycles from an event to the scores that it changed."""


class Bench:
    """A readout and its elements."""

    def __init__(self, dut, name):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.rng = random.Random(26)
        self.number = component._first // (self.layout.groups * self.layout.strip_lanes)
        self.elements = Elements(self.layout, self.number, self.rng)
        self.reads, self.cut = 0, 0

    async def cycle(self, **inputs):
        """One cycle; whoever asks for states gets them in the next."""
        groups = self.layout.groups
        state = self.elements.states[self.reads % groups]
        await self.block.step(state_word=state, **inputs)
        self.reads = self.block.get("state_read")
        self.cut += self.block.get("cut")

    async def write(self) -> None:
        """The host writes all elements."""
        for slot in range(len(self.elements.values)):
            await self.cycle(
                host__active=1, host__address=self.elements.first + slot, host__write=1,
                host__write_data=self.elements.raw(slot),
            )  # fmt: skip
        await self.cycle(host__write=0, host__active=0)

    async def compare(self) -> None:
        """The host reads all elements; those of other strips are 0 here."""
        for address in range(self.layout.slots):
            await self.cycle(host__active=1, host__address=address)
            for _ in range(READ_CYCLES):
                await self.cycle()
            slot = address - self.elements.first
            own = 0 <= slot < len(self.elements.values)
            wanted = self.elements.raw(slot) if own else 0
            assert self.block.get("host__read_data") == wanted, f"word {address}"
            seen.hit("another strip's word", when=not own)
        await self.cycle(host__active=0)
        await self.cycle()

    async def events(self, slots, rest: bool) -> None:
        """These neurons have changed."""
        width = self.layout.readout_width
        for event in self.elements.events(slots):
            pair, busy = event["pair"], True
            await self.cycle(event=event, rest=rest)
            while self.rng.random() < 0.2:
                busy = False
                await self.cycle(event=0)
            two = "two" in pair
            seen.hit("two neurons" if two else "one neuron")
            seen.hit("two of one word", when=two and pair["a"] // width == pair["b"] // width)
            seen.hit("without a pause", when=busy)
            seen.hit("from rest", when=rest)
        await self.cycle(event=0)
        for _ in range(SETTLED):
            await self.cycle()

    async def scores(self) -> list[int]:
        """All scores, each a cycle after it was asked for."""
        found = []
        for c in range(self.layout.config.classes):
            await self.cycle(score_of=c)
            await self.cycle()
            found.append(self.block.get("score"))
        return found

    async def learn(self) -> None:
        """A pass; the scores are summed anew."""
        rng, classes = self.rng, self.layout.config.classes
        label = rng.randrange(classes)
        up = rng.getrandbits(1) << label
        down = rng.getrandbits(classes) & ~(1 << label)
        steps = [rng.choice((0, 1, 40, 255)) for _ in range(2)]
        before = [list(word) for word in self.elements.values]
        self.cut = 0
        inputs = {"up": up, "down": down, "step_true": steps[0], "step_false": steps[1]}
        await self.cycle(learn=1, **inputs)
        assert not self.block.get("learning")
        await self.cycle(learn=0)
        cycles = 1
        while self.block.get("learning"):
            await self.cycle()
            cycles += 1
        words = len(self.elements.values) // self.layout.readout_width
        assert cycles == words + 7 - 1, cycles
        cut = self.elements.learn(up, down, *steps)
        for _ in range(SETTLED):
            await self.cycle()
        assert self.cut == cut
        seen.hit("towards", when=up != 0)
        seen.hit("away", when=down != 0)
        seen.hit("no class learns", when=up | down == 0)
        ends = [v for word in self.elements.values for v in word]
        seen.hit("cut above", when=cut > 0 and max(ends) == self.elements.limit)
        seen.hit("cut below", when=cut > 0 and min(ends) == -self.elements.limit)
        seen.hit("not cut", when=before != self.elements.values)
        seen.hit("padding", when=len(self.elements.used) < len(ends) // classes)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("readout"))
async def scores_follow_events_and_learning(dut, name):
    bench = Bench(dut, name)
    await start(dut)
    elements, rng = bench.elements, bench.rng
    await bench.write()
    await bench.compare()
    seen.hit("slots alone" if bench.layout.readout_width == 1 else "slots side by side")
    for _ in range(max(2, parameters()["cycles"] // 200)):
        await bench.cycle(forget=1)
        await bench.cycle(forget=0)
        assert await bench.scores() == [0] * bench.layout.config.classes
        seen.hit("forgotten")
        await bench.events(rng.sample(elements.used, len(elements.used)), rest=True)
        assert await bench.scores() == elements.scores()
        for _ in range(3):
            moved = rng.sample(elements.used, rng.randint(1, len(elements.used)))
            for slot in moved:
                elements.flip(slot)
            await bench.events(moved, rest=False)
            assert await bench.scores() == elements.scores()
            await bench.learn()
            assert await bench.scores() == elements.scores()
    await bench.compare()
