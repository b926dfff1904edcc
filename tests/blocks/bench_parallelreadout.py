"""Runs inside a simulator (see test_array_blocks.py): the readouts of all strips, and one decision."""

import random

import cocotb
from bench_decision import decided
from elements import Elements
from fsm import FSM, Walk, state_names, transitions
from ports import Ports, made, named

from relaxon.cycles import timing
from relaxon.hw.hostport import READ_CYCLES
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "parallel readout", "decided", "concluded", "learned", "nothing to learn", "learning off",
    "one strip", "several strips", "gate passed", "gate not passed", "score asked for",
)  # fmt: skip
states = Coverage(
    "parallel readout's course", *transitions("REST > ASK > DECIDE > REST, DECIDE > LEARN > REST")
)


class Bench:
    """The readouts, and the elements of every strip."""

    def __init__(self, dut, name):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.rng, self.timing = random.Random(27), timing(self.layout.config)
        register = getattr(getattr(dut.component, name), FSM)
        self.walk = Walk(register, state_names(made(name)), states)
        self.strips = [Elements(self.layout, n, self.rng) for n in range(self.layout.strips)]
        self.reads, self.cut = 0, 0
        seen.hit("several strips" if self.layout.strips > 1 else "one strip")

    async def cycle(self, **inputs):
        """One cycle; states are there in the next."""
        words = [strip.states[self.reads % self.layout.groups] for strip in self.strips]
        await self.block.step(state_words=words, **inputs)
        self.walk.look()
        self.reads = self.block.get("state_read")
        self.cut += self.block.get("cut")

    def scores(self) -> list[int]:
        """r."""
        return [sum(parts) for parts in zip(*(strip.scores() for strip in self.strips))]

    async def write(self) -> None:
        """The host writes all elements."""
        for strip in self.strips:
            for slot in range(len(strip.values)):
                await self.cycle(
                    readout__active=1, readout__address=strip.first + slot, readout__write=1,
                    readout__write_data=strip.raw(slot),
                )  # fmt: skip
        await self.cycle(readout__write=0, readout__active=0)

    async def compare(self) -> None:
        """The host reads all elements."""
        for strip in self.strips:
            for slot in range(len(strip.values)):
                await self.cycle(readout__active=1, readout__address=strip.first + slot)
                for _ in range(READ_CYCLES):
                    await self.cycle()
                assert self.block.get("readout__read_data") == strip.raw(slot)
        await self.cycle(readout__active=0)
        await self.cycle()

    async def move(self, rest: bool) -> None:
        """Neurons of all strips change at the same time; from rest, all of them."""
        lists = []
        for strip in self.strips:
            slots = self.rng.sample(strip.used, len(strip.used))
            if not rest:
                slots = slots[: self.rng.randint(0, len(slots))]
                for slot in slots:
                    strip.flip(slot)
            lists.append(strip.events(slots))
        for at in range(max(map(len, lists)) + 6):
            moved = [events[at] if at < len(events) else {"valid": 0} for events in lists]
            await self.cycle(moved=moved, rest=rest)

    async def busy(self) -> int:
        """Cycles until it is at rest again."""
        cycles = 0
        await self.cycle(decide=0, conclude=0)
        while self.block.get("busy"):
            cycles += 1
            await self.cycle()
        return cycles

    async def decide(self, conclude: bool) -> None:
        """A decision or the last one, after which the readout learns."""
        rng, scores, limit = self.rng, self.scores(), self.strips[0].limit * 8
        label = rng.randrange(len(scores))
        registers = {
            "gate": rng.randint(-limit, limit), "readout_margin_true": rng.randint(-limit, limit),
            "readout_margin_false": rng.choice((-limit * 99, rng.randint(-limit, limit))),
            "readout_step_true": rng.choice((0, 1, 60)), "readout_step_false": rng.choice((0, 1, 60)),
            "learn_readout": rng.random() < 0.8,
        }  # fmt: skip
        names = ("gate", "readout_margin_true", "readout_margin_false")
        wanted = decided(scores, label, *(registers[name] for name in names))
        inputs = {"label": label, "registers": registers, "training": 1}
        self.cut = 0
        await self.cycle(**inputs, decide=not conclude, conclude=conclude)
        cycles = await self.busy()
        learns = conclude and wanted["up"] | wanted["down"] and registers["learn_readout"]
        # `decide` counts two cycles of the sequencer's, one before and one after.
        expected = self.timing.decide - (0 if conclude else 2)
        cut = 0
        if learns:
            expected += self.timing.readout
            steps = registers["readout_step_true"], registers["readout_step_false"]
            cut = sum(strip.learn(wanted["up"], wanted["down"], *steps) for strip in self.strips)
        assert cycles == expected, (cycles, expected)
        for name in ("prediction", "passes"):
            assert self.block.get(name) == wanted[name]
        for c, score in enumerate(scores):  # those that were compared
            await self.cycle(ask=1, score_of=c)
            assert (self.block.get("known"), self.block.get("score")) == (1, score)
        await self.cycle(ask=0)
        for _ in range(6):
            await self.cycle()
        assert self.cut == cut
        seen.hit("score asked for")
        seen.hit("concluded" if conclude else "decided")
        seen.hit("learned", when=bool(learns))
        seen.hit("learning off", when=conclude and not registers["learn_readout"])
        seen.hit("nothing to learn", when=conclude and wanted["up"] | wanted["down"] == 0)
        seen.hit("gate passed" if wanted["passes"] else "gate not passed")


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("parallel"))
async def decides_and_learns_over_all_strips(dut, name):
    bench = Bench(dut, name)
    await start(dut)
    await bench.write()
    for _ in range(max(2, parameters()["cycles"] // 200)):
        await bench.cycle(forget=1)
        await bench.cycle(forget=0)
        await bench.move(rest=True)
        for _ in range(5):
            await bench.decide(conclude=False)
            await bench.move(rest=False)
            await bench.decide(conclude=True)
    await bench.compare()
