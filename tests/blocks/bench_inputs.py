"""Runs inside a simulator (see test_array_blocks.py): inputs of samples, and which of them differ."""

import random

import cocotb
from bench_events import scanned
from ports import Ports, made, named

from relaxon.hw.inputs import input_words
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, hesitation

seen = Coverage(
    "inputs", "none changed", "one changed", "some changed", "all changed", "all asked for",
    "last input", "word passed over", "padding differs", "written while events wait", "stalled",
    "first after six cycles",
)  # fmt: skip


class Bench:
    """The block, a sample at a time."""

    def __init__(self, dut, name, stalls):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.rng = random.Random(12)
        self.writes, self.takes = hesitation(stalls.source, 13), hesitation(stalls.sink, 14)
        self.stalls, self.now = stalls, None
        self.words, self.inputs = input_words(self.layout), self.layout.config.inputs
        self.pairs, self.current, self.unwritten = [], [], []

    async def cycle(self, **inputs):
        """A cycle in which events are taken, and bytes of the next sample written."""
        block, ready = self.block, not next(self.takes)
        byte = self.unwritten and not next(self.writes) and self.free and self.unwritten.pop()
        write = {"valid": 1, "address": byte[0], "data": byte[1]} if byte else {"valid": 0}
        await block.step(write=write, pairs__ready=ready, **inputs)
        self.free = block.get("free") and not inputs.get("take")
        self.offers = block.get("pairs__valid")
        seen.hit("written while events wait", when=bool(byte and self.offers))
        if self.offers and not block.get("more"):
            assert len(self.pairs) == len(self.wanted) - 1, "more events come"
        if self.offers and ready:
            self.pairs.append(block.get("pairs__payload"))
        current = block.get("current")
        if current["valid"]:
            self.current.append({name: current[name] for name in ("address", "data")})

    async def write(self, x: int) -> None:
        """Have the bytes of a sample written while the last one's events go on."""
        n = self.layout.input_bytes
        padded = x | self.rng.getrandbits(8 * n - self.inputs) << self.inputs
        self.padded = padded
        self.unwritten = list(enumerate(padded.to_bytes(n, "little")))
        self.rng.shuffle(self.unwritten)

    async def take(self, x: int, everything: bool) -> None:
        """Take the sample written last; follow it to its last event."""
        layout, width = self.layout, self.layout.input_word
        while self.unwritten or not self.free:
            await self.cycle()
        every = (1 << self.inputs) - 1
        changed = every if everything else x ^ self.now
        part = (1 << width) - 1
        words = [x >> width * n & part for n in range(self.words)]
        self.wanted = [
            pair
            for n in range(self.words)
            for pair in scanned(
                {"mask": changed >> width * n & part, "state": words[n], "single": 0,
                 "tag": {"word": n}}, layout.columns)
        ]  # fmt: skip
        self.pairs, self.current, self.now = [], [], x
        await self.cycle(take=1, all=everything)
        following = self.random()
        padded = self.padded
        await self.write(following)
        first, cycles = None, 0
        while not first or self.offers or self.block.get("more"):
            await self.cycle(take=0, all=0)
            cycles += 1
            first = first or (cycles > 1 and (self.offers and cycles or not self.block.get("more")))
            assert cycles < 100 + 40 * len(self.wanted)
        if changed & part:
            assert first == 6, "the first event after take"
            seen.hit("first after six cycles")
        for got, want in zip(self.pairs, self.wanted, strict=True):
            assert {member: got[member] for member in want} == want
        stored = [padded >> width * n & part for n in range(self.words)]
        assert self.current == [{"address": n, "data": word} for n, word in enumerate(stored)]
        for n in range(self.words):  # whoever looks sees this sample
            await self.cycle(look=n)
            await self.cycle()
            assert self.block.get("looked") == stored[n]
        self._cover(changed, every, everything, part)
        return following

    def random(self) -> int:
        """The next sample: like the last one, or not."""
        every = (1 << self.inputs) - 1
        some = self.rng.getrandbits(self.inputs)
        one = 1 << self.rng.randrange(self.inputs)
        few = some & self.rng.getrandbits(self.inputs) & self.rng.getrandbits(self.inputs)
        before = self.now or 0
        last = 1 << self.inputs - 1
        return before ^ self.rng.choice((0, one, last, few, some, every))

    def _cover(self, changed, every, everything, part):
        count = changed.bit_count()
        seen.hit("none changed", when=count == 0)
        seen.hit("one changed", when=count == 1)
        seen.hit("some changed", when=1 < count < self.inputs)
        seen.hit("all changed", when=changed == every and not everything)
        seen.hit("all asked for", when=everything)
        seen.hit("last input", when=changed >> self.inputs - 1 == 1)
        seen.hit("word passed over", when=changed != 0 and changed & part == 0)
        seen.hit("padding differs", when=self.padded >> self.inputs != 0)
        seen.hit("stalled", when=self.stalls.sink)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("inputs"), stalls=list(Stalls))
async def events_are_the_inputs_that_differ(dut, name, stalls):
    bench = Bench(dut, name, stalls)
    await start(dut)
    bench.free = 1
    x = bench.random()
    await bench.write(x)
    x = await bench.take(x, everything=True)
    for _ in range(parameters()["cycles"] // 20):
        x = await bench.take(x, everything=bench.rng.random() < 0.1)
