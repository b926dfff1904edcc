"""Runs inside a simulator (see test_array_blocks.py): the readout of a column store, class by class,
over a memory that is played here."""

import random
from collections import deque

import cocotb
from bench_decision import decided
from elements import Elements
from fsm import FSM, Walk, state_names, transitions
from ports import Ports, made, named, through

from relaxon.cycles import timing
from relaxon.protocol import Space
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "serial readout", "inference", "decided in training", "concluded", "asked", "true class learns",
    "another class learns", "nothing to learn", "learning off", "cut", "gate passed",
    "gate not passed", "tie", "label first", "label last", "one strip", "several strips",
    "units of one", "units of several", "late words", "weights written", "readout written",
)  # fmt: skip
states = Coverage(
    "serial readout's course",
    *transitions("REST > SUM > SETTLE > JUDGE > REST, JUDGE > LEARN > NEXT > SUM, JUDGE > NEXT > REST"),
)


class Bench:
    """The readout, and the memory and states of every strip."""

    def __init__(self, dut, name):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.rng, self.timing = random.Random(28), timing(self.layout.config)
        register = getattr(getattr(dut.component, name), FSM)
        self.walk = Walk(register, state_names(made(name)), states)
        layout = self.layout
        self.strips = [Elements(layout, n, self.rng) for n in range(layout.strips)]
        size = layout.store_words
        self.words = [
            [bytearray(self.rng.randbytes(layout.strip_bytes)) for _ in range(size)]
            for _ in self.strips
        ]
        for number, strip in enumerate(self.strips):
            for slot in range(len(strip.values)):
                self.store(number, slot)
        empty = [0] * layout.strips
        self.due = deque([empty] * self.timing.side)
        self.reads, self.cut = 0, 0
        seen.hit("several strips" if layout.strips > 1 else "one strip")
        seen.hit("units of several" if layout.readout_width > 1 else "units of one")
        seen.hit("late words", when=self.timing.side > 1)

    def place(self, slot: int, c: int) -> tuple[int, int]:
        """Word and first byte of an element."""
        layout = self.layout
        line, within = divmod(slot, layout.readout_pack)
        return layout.readout_base + c * layout.readout_stride + line, 2 * within

    def store(self, number: int, slot: int) -> None:
        """The model's elements of a slot, in the memory."""
        for c, value in enumerate(self.strips[number].values[slot]):
            word, byte = self.place(slot, c)
            self.words[number][word][byte : byte + 2] = (value & 0xFFFF).to_bytes(2, "little")

    def compare(self) -> None:
        """The memory has the model's elements."""
        for number, strip in enumerate(self.strips):
            for slot, values in enumerate(strip.values):
                for c, value in enumerate(values):
                    word, byte = self.place(slot, c)
                    found = self.words[number][word][byte : byte + 2]
                    found = int.from_bytes(found, "little", signed=True)
                    assert found == value, (number, slot, c)

    def tie(self) -> None:
        """All classes have the first one's elements, so that their scores are the same."""
        for number, strip in enumerate(self.strips):
            for slot, values in enumerate(strip.values):
                strip.values[slot] = values[:1] * strip.classes
                self.store(number, slot)

    async def cycle(self, **inputs):
        """One cycle of the memory: written, or read `side` cycles later."""
        layout = self.layout
        states = [strip.states[self.reads % layout.groups] for strip in self.strips]
        await self.block.step(state_words=states, words=self.due.popleft(), **inputs)
        self.walk.look()
        self.reads = self.block.get("state_read")
        self.cut += self.block.get("cut")
        found = []
        for words, side in zip(self.words, self.block.get("side"), strict=True):
            found.append(self.rng.getrandbits(8 * layout.strip_bytes))  # undefined
            if not side["active"]:
                assert not side["write"]
            elif side["write"]:
                unit = (side["data"] or 0).to_bytes(2 * layout.readout_width, "little")
                for byte in range(layout.strip_bytes):
                    if side["mask"] >> byte & 1:
                        words[side["address"]][byte] = unit[byte % len(unit)]
            elif side["address"] < len(words):
                found[-1] = int.from_bytes(words[side["address"]], "little")
        self.due.append(found)

    async def busy(self) -> int:
        """Cycles until it is at rest again."""
        cycles = 0
        await self.cycle(decide=0, conclude=0, ask=0)
        while self.block.get("busy"):
            cycles += 1
            await self.cycle()
        return cycles

    def scores(self) -> list[int]:
        """r."""
        return [sum(parts) for parts in zip(*(strip.scores() for strip in self.strips))]

    async def decide(self, kind: str) -> None:
        """A decision without or with a label, or the last one."""
        rng, scores, limit = self.rng, self.scores(), self.strips[0].limit * 8
        classes, training = len(scores), kind != "inference"
        label = rng.choice((0, classes - 1, rng.randrange(classes)))
        rival = max(s for c, s in enumerate(scores) if c != label)
        near = scores[label] - rival + rng.randint(-1, 1)
        registers = {
            "gate": rng.choice((near, rng.randint(-limit, limit))),
            "readout_margin_true": rng.choice((scores[label], scores[label] - 1, -limit, limit)),
            "readout_margin_false": rng.choice((-rival, -rival - 1, -limit * 99, limit)),
            "readout_step_true": rng.choice((0, 1, 60)), "readout_step_false": rng.choice((0, 1, 60)),
            "learn_readout": rng.random() < 0.8,
        }  # fmt: skip
        names = ("gate", "readout_margin_true", "readout_margin_false")
        wanted = decided(scores, label, *(registers[name] for name in names))
        self.cut = 0
        concludes = kind == "concluded"
        await self.cycle(
            registers=registers, label=label, training=training, decide=not concludes,
            conclude=concludes,
        )  # fmt: skip
        cycles = await self.busy()
        learns = wanted["up"] | wanted["down"] if concludes and registers["learn_readout"] else 0
        cut = 0
        if learns:
            steps = registers["readout_step_true"], registers["readout_step_false"]
            cut = sum(strip.learn(wanted["up"], wanted["down"], *steps) for strip in self.strips)
        # `decide` counts two cycles of the sequencer's, one before and one after.
        assert cycles == self.timing.decide - 2 + learns.bit_count() * self.timing.readout
        assert self.block.get("prediction") == wanted["prediction"]
        if training:
            assert self.block.get("passes") == wanted["passes"]
            seen.hit("gate passed" if wanted["passes"] else "gate not passed")
            seen.hit("label first", when=label == 0)
            seen.hit("label last", when=label == classes - 1)
        for _ in range(4):
            await self.cycle()
        assert self.cut == cut
        self.compare()
        seen.hit(kind)
        seen.hit("cut", when=cut > 0)
        seen.hit("tie", when=scores.count(max(scores)) > 1)
        seen.hit("true class learns", when=bool(learns & wanted["up"]))
        seen.hit("another class learns", when=bool(learns & wanted["down"]))
        seen.hit("learning off", when=concludes and not registers["learn_readout"])
        seen.hit("nothing to learn", when=concludes and wanted["up"] | wanted["down"] == 0)

    async def ask(self) -> None:
        """The score of one class, `known` for one cycle."""
        scores = self.scores()
        c = self.rng.randrange(len(scores))
        await self.cycle(ask=1, score_of=c, training=0)
        found = []
        for _ in range(self.timing.decide):
            await self.cycle(ask=0)
            if self.block.get("known"):
                found.append(self.block.get("score"))
        assert found == [scores[c]]
        seen.hit("asked")

    async def host(self) -> None:
        """The host writes and reads words of couplings and of elements."""
        layout, rng = self.layout, self.rng
        size = layout.word_bytes(Space.WEIGHTS)
        for address in (0, layout.weight_words - 1, rng.randrange(layout.weight_words)):
            word = rng.randbytes(size)
            await through(self.cycle, self.block, "weights", address, size, word)
            held = b"".join(words[address] for words in self.words)
            assert held == word
            read = await through(self.cycle, self.block, "weights", address, size)
            assert read == word
            seen.hit("weights written")
        for strip in self.strips:
            slots = {0, len(strip.values) - 1, rng.randrange(len(strip.values))}
            for slot in sorted(slots):
                strip.values[slot] = strip._word()
                word = strip.raw(slot).to_bytes(2 * strip.classes, "little")
                at = strip.first + slot
                await through(self.cycle, self.block, "readout", at, len(word), word)
                self.compare()
                assert await through(self.cycle, self.block, "readout", at, len(word)) == word
                seen.hit("readout written")


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("serial"))
async def decides_and_learns_class_by_class(dut, name):
    bench = Bench(dut, name)
    await start(dut)
    for _ in range(max(3, parameters()["cycles"] // 130)):
        await bench.host()
        bench.tie()
        for kind in ("inference", "decided in training", "concluded", "concluded"):
            for strip in bench.strips:
                for slot in strip.used:
                    if bench.rng.random() < 0.3:
                        strip.flip(slot)
            await bench.decide(kind)
            await bench.ask()
