"""Runs inside a simulator (see test_array_blocks.py): which couplings learn, by rows and by columns."""

import random
from collections import deque

import cocotb
from ports import Ports, bits_of, made, named

from relaxon.hw.inputs import input_words
from relaxon.hw.operation import Use
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, hesitation

seen = Coverage(
    "learners", "by rows", "by columns", "both arrays", "W alone", "J alone", "first neuron",
    "last neuron", "diagonal", "part of a word", "a row that wraps", "several learn", "stalled",
    "back to back",
)  # fmt: skip


class Bench:
    """A learner, the inputs and states it reads, and the accesses it must come to."""

    def __init__(self, dut, name):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.rows, self.rng = not self.layout.serial, random.Random(17)
        layout, width = self.layout, self.layout.input_word
        self.inputs = [self.rng.getrandbits(width) for _ in range(input_words(layout))]
        self.states = [self.rng.getrandbits(layout.strip_lanes) for _ in range(layout.groups)]
        self.parts, self.lanes = layout.groups_per_module, layout.strip_lanes
        self.accesses, self.taken = [], []
        self.learns = deque([None] * 3)
        self.cycle, self.looks = 0, (0, 0)

    def neuron(self) -> dict:
        """One that learns (of a group: some)."""
        rng, layout = self.rng, self.layout
        group = rng.choice((0, layout.groups - 1, rng.randrange(layout.groups)))
        local, h = group % self.parts, layout.config.neurons
        lanes = min(self.lanes, h - local * self.lanes)
        if self.rows:
            place = rng.choice((0, lanes - 1, rng.randrange(lanes)))
            seen.hit("first neuron", when=(group, place) == (0, 0))
            seen.hit("last neuron", when=(group, place) == (layout.groups - 1, lanes - 1))
            tag = {"group": group, "local": local, "base": 0}
            return {"a": place, "positive_a": self.states[group] >> place & 1, "tag": tag}
        mask = rng.randrange(1, 1 << lanes)
        seen.hit("several learn", when=mask.bit_count() > 1)
        state = {"learns": 1, "mask": mask, "state": self.states[group]}
        return state | {"group": group, "local": local}

    def wanted(self, neuron: dict, both: tuple[int, int]) -> list[dict]:
        """The accesses by which it learns: those of W, then those of J."""
        return (self._row if self.rows else self._columns)(neuron, *both)

    def _row(self, neuron, w, j) -> list[dict]:
        layout, config, banks = self.layout, self.layout.config, self.layout.banks
        place, group = neuron["a"], neuron["tag"]["group"]
        first, accesses = group - neuron["tag"]["local"], []
        flip = 0 if neuron["positive_a"] else (1 << banks) - 1
        for at in range(0, config.inputs if w else 0, banks):
            size = min(banks, config.inputs - at)
            accesses.append((layout.input_base + group * config.inputs + at, 1,
                             (1 << size) - 1, self.inputs[at // banks] ^ flip))  # fmt: skip
            seen.hit("part of a word", when=size < banks)
        for at in range(0, config.neurons if j else 0, self.lanes):
            part = at // self.lanes
            mask = (1 << min(self.lanes, config.neurons - at)) - 1
            if first + part == group:
                mask &= ~(1 << place)
                seen.hit("diagonal")
            accesses.append((layout.recurrent_base + group * config.neurons + at, 0,
                             mask, self.states[first + part] ^ flip))  # fmt: skip
        return [
            {
                "a": a, "drive": drive, "group": group, "positive": neuron["positive_a"],
                "mask": sum(1 << (place + a + n) % banks for n in bits_of(mask)),
                "up": up & mask, "place": place,
                "wraps": sum(((p - place) % banks < a % banks) << p for p in range(banks)),
            }
            for a, drive, mask, up in accesses
        ]  # fmt: skip

    def _in_row(self, mask: int, first: int) -> int:
        """What is marked bank by bank, in the order of the row whose first element lies in that bank."""
        banks = self.layout.banks
        return sum((mask >> (first + n) % banks & 1) << n for n in range(banks))

    def _columns(self, entry, w, j) -> list[dict]:
        layout, config = self.layout, self.layout.config
        group, every = entry["group"], (1 << self.lanes) - 1
        accesses = []
        for n in range(config.inputs if w else 0):
            word, bit = divmod(n, layout.input_word)
            x = self.inputs[word] >> bit & 1
            accesses.append((layout.input_base + group * config.inputs + n, 1, entry["mask"], x))
        for n in range(config.neurons if j else 0):
            part, bit = divmod(n, self.lanes)
            mask = entry["mask"] & ~((part == entry["local"]) << bit)
            seen.hit("diagonal", when=mask != entry["mask"])
            s = self.states[group - entry["local"] + part] >> bit & 1
            accesses.append((layout.recurrent_base + group * config.neurons + n, 0, mask, s))
        return [
            {"a": a, "drive": drive, "group": group, "positive": entry["state"], "mask": mask,
             "up": (entry["state"] if sign else ~entry["state"] & every) & mask}
            for a, drive, mask, sign in accesses
        ]  # fmt: skip

    async def step(self, neuron: dict | None) -> bool:
        """A cycle in which this neuron is offered; whether it was taken."""
        block = self.block
        inputs, states = self.looks
        await block.step(
            neurons__valid=neuron is not None, neurons__payload=neuron or 0,
            input_word=self.inputs[inputs % len(self.inputs)],
            state_word=self.states[states % len(self.states)],
        )  # fmt: skip
        self.cycle += 1
        self.looks = block.get("input_read"), block.get("state_read")
        access, learn = block.get("access"), block.get("learn")
        self.learns.append(None)
        if access["use"] == Use.LEARN.value:
            assert block.get("busy")
            found = {name: access[name] for name in ("a", "drive", "group")}
            self.accesses.append((self.cycle, found | {"positive": block.get("positive")}))
            self.learns[-1] = found = self.accesses[-1][1]
        else:
            assert access["use"] == Use.NONE.value
        if late := self.learns[-1 if self.rows else -3]:  # what it comes with, or is followed by
            late |= {name: learn[name] for name in ("mask", "up")}
            learns = late["mask"]
            if self.rows:
                late |= {name: learn[name] for name in ("place", "wraps")}
                learns = self._in_row(learns, learn["place"] + late["a"])
            late["up"] &= learns
        self.learns.popleft()
        taken = neuron is not None and bool(block.get("neurons__ready"))
        if taken:
            self.taken.append(self.cycle)
        return taken


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(
    name=named("rows") + named("cols"),
    stalls=[Stalls.NONE, Stalls.SOURCE],
    which=[(1, 1), (1, 0), (0, 1)],
)
async def every_coupling_learns_once(dut, name, stalls, which):
    bench, pauses = Bench(dut, name), hesitation(stalls.source, 18)
    await start(dut)
    bench.block.set(input=which[0], recurrent=which[1])
    wanted, each = [], 0
    for _ in range(max(6, parameters()["cycles"] // 60)):
        neuron = bench.neuron()
        accesses = bench.wanted(neuron, which)
        wanted, each = wanted + accesses, len(accesses)
        while next(pauses):
            await bench.step(None)
        while not await bench.step(neuron):
            pass
    for _ in range(8 + 2 * each * (2 if bench.rows else 1)):
        await bench.step(None)
        done = len(bench.accesses) == len(wanted) and all("mask" in a for _, a in bench.accesses)
        assert done or bench.block.get("busy")
    await bench.step(None)
    assert not bench.block.get("busy")
    assert [access for _, access in bench.accesses] == wanted
    # The first access so many cycles after its neuron; then no gap.
    step, wait = (1, 3) if bench.rows else (2, 2)
    for number, taken in enumerate(bench.taken):
        first = bench.accesses[number * each][0]
        earliest = 0 if number == 0 else bench.accesses[number * each - 1][0] + step
        assert first == max(earliest, taken + wait)
        seen.hit("back to back", when=number > 0 and first == earliest)
        last = bench.accesses[(number + 1) * each - 1][0]
        assert last - first == step * (each - 1)
    seen.hit("by rows" if bench.rows else "by columns")
    seen.hit({(1, 1): "both arrays", (1, 0): "W alone", (0, 1): "J alone"}[which])
    seen.hit("stalled", when=stalls.source)
    seen.hit("a row that wraps", when=bench.rows and any(a["wraps"] for a in wanted))
