"""Runs inside a simulator (see test_array_blocks.py): the neuron array, driven through samples step by
step, against plain sums."""

import random

import cocotb
import numpy as np
from ports import Ports, made, named
from recorded import random_couplings

from relaxon.cycles import timing
from relaxon.hw.hostport import READ_CYCLES
from relaxon.hw.operation import Mode, Use
from relaxon.layout import Layout
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "array", "made anew", "some inputs", "free sweep", "state kept", "sweep",
    "in turn", "clamped", "no neuron moves",
    "a neuron moves", "all move", "first neuron moves", "last neuron moves", "chain",
    "no chain", "padding", "one strip", "several strips", "none unstable", "some unstable",
    "all unstable", "W alone", "J alone", "both arrays", "cut", "last row partly empty",
)  # fmt: skip
WAIT = 5000


class Course:
    """The array's part of samples, and the same computed afresh.

    Parameters
    ----------
    layout
        The geometry.
    block
        The array.
    """

    def __init__(self, layout: Layout, block: Ports, seed: int):
        self.layout, self.config, self.block = layout, layout.config, block
        self.rng = random.Random(seed)
        couplings = random_couplings(self.config, seed)
        self.arrays = {
            name: getattr(couplings, name).astype(np.int64)
            for name in ("recurrent", "input", "feedback")
        }
        m, h = self.config.modules, self.config.neurons
        self.state, self.x = -np.ones((m, h), np.int64), np.ones(self.config.inputs, np.int64)
        self.sums = dict.fromkeys(("events", "unstable", "cut"), 0)
        self.moves, self.bins, self.envelope = [], set(), 0
        self.registers = {}

    # ---- cycles -----------------------------------------------------------------------------

    async def cycle(self, **inputs) -> None:
        """One cycle; what is reported and counted in it is kept."""
        block = self.block
        await block.step(**inputs)
        for name in self.sums:
            self.sums[name] += self.count(name)
        reported, envelope = block.get("reported"), block.get("envelope")
        if reported["valid"]:
            self.bins.add(reported["bin"])
        if envelope["valid"]:
            self.envelope |= envelope["value"]
        for strip, moved in enumerate(self.moved()):
            if moved["valid"]:
                pair = moved["pair"]
                group = pair["tag"]["group"]
                self.moves.append((strip, group, pair["a"], pair["positive_a"]))
                if pair["two"]:
                    self.moves.append((strip, group, pair["b"], pair["positive_b"]))

    def count(self, name: str) -> int:
        """What this cycle adds to a count."""
        return self.block.get(name)

    def moved(self) -> list[dict]:
        """What has changed in every strip."""
        return self.block.get("moved")

    async def idle(self) -> None:
        """Until nothing is left to be done, and all of it has been counted."""
        for _ in range(WAIT):
            if self.block.get("idle"):
                break
            await self.cycle()
        assert self.block.get("idle"), f"not idle after {WAIT} cycles"
        await self.cycle(apply=0, learn=0)
        for _ in range(8):
            await self.cycle()

    # ---- the host ---------------------------------------------------------------------------

    async def write(self, name: str) -> None:
        """Couplings to the strips' words."""
        space, first, words = self.layout.place(name)
        size, data = self.layout.word_bytes(space), self.layout.pack(name, self.arrays[name])
        for n in range(words):
            word = int.from_bytes(data[n * size : (n + 1) * size], "little")
            await self.cycle(
                weights__active=1, weights__address=first + n, weights__write=1,
                weights__write_data=word,
            )  # fmt: skip
        await self.cycle(weights__write=0)
        for _ in range(4):
            await self.cycle()
        await self.cycle(weights__active=0)

    async def compare(self) -> None:
        """All couplings are as they should be."""
        for name, array in self.arrays.items():
            space, first, words = self.layout.place(name)
            data = bytearray()
            for n in range(words):
                await self.cycle(weights__active=1, weights__address=first + n)
                for _ in range(READ_CYCLES):
                    await self.cycle()
                word = self.block.get("weights__read_data")
                data += word.to_bytes(self.layout.word_bytes(space), "little")
            assert np.array_equal(self.layout.unpack(name, bytes(data)), array), name
        await self.cycle(weights__active=0)
        for _ in range(4):
            await self.cycle()

    async def set_registers(self) -> None:
        """Any that the fields hold."""
        rng, k = self.rng, round(self.config.k)
        chained = self.config.modules > 1
        self.registers = {
            "input_shift": rng.choice((0, 1, 2)), "recurrent_shift": rng.choice((0, 0, 1)),
            "feedback_shift": rng.choice((0, 3)),
            "self_coupling": rng.choice((0, k // 2, -k // 2)),
            "chain_coupling": rng.choice((0, k // 2, -k // 2)) if chained else 0,
            "margin": rng.choice((k, -20 * k, 20 * k)),
            "learn_input": rng.choice((0, 1, 1)), "learn_recurrent": rng.choice((0, 1, 1)),
        }  # fmt: skip
        if not self.registers["learn_input"]:
            self.registers["learn_recurrent"] = 1
        self.coupled = self.registers["chain_coupling"] != 0
        await self.cycle(registers=self.registers, coupled=self.coupled)
        seen.hit("chain" if self.coupled else "no chain")

    # ---- the same, afresh -------------------------------------------------------------------

    def drive(self):
        """A."""
        return (self.arrays["input"] @ self.x) << self.registers["input_shift"]

    def fields(self, label: int | None):
        """h."""
        r, s = self.registers, self.state
        neighbours = np.zeros_like(s)
        neighbours[1:] += s[:-1]
        neighbours[:-1] += s[1:]
        own = np.einsum("mij,mj->mi", self.arrays["recurrent"], s) << r["recurrent_shift"]
        h = self.drive() + own
        h += r["self_coupling"] * s + r["chain_coupling"] * neighbours
        if label is not None:
            h += self.arrays["feedback"][:, :, label] << r["feedback_shift"]
        return h

    # ---- steps of a sample ------------------------------------------------------------------

    async def give_inputs(self, x, anew: bool) -> None:
        """The inputs of a sample; columns of those that changed are added to A."""
        packed = self.layout.pack_inputs(x[None])[0].tolist()
        for address, byte in enumerate(packed):
            await self.cycle(input_write={"valid": 1, "address": address, "data": byte})
        await self.cycle(input_write=0, input_take=1, input_all=anew)
        await self.cycle(input_take=0, input_all=0)
        if anew:
            await self.clear()
        while self.block.get("input_more") or self.block.get("inputs__valid"):
            if self.block.get("inputs__valid"):
                pair = self.block.get("inputs__payload")
                await self.add(pair["tag"]["word"], pair, anew)
            else:
                await self.cycle()
        await self.cycle(access=0, inputs__ready=0)
        await self.cycle()

    async def clear(self) -> None:
        """A = R = 0."""
        for group in range(self.layout.groups):
            await self.cycle(access={"use": Use.CLEAR.value, "group": group})
        await self.cycle(access=0)

    async def add(self, word: int, pair: dict, anew: bool) -> None:
        """A pair of columns, in every group."""
        layout = self.layout
        column = layout.input_base + word * layout.input_word
        for group in range(layout.groups):
            offset = group * self.config.inputs
            access = {
                "use": Use.ADD.value, "a": column + pair["a"] + offset,
                "b": column + pair["b"] + offset, "two": pair["two"], "group": group,
                "positive_a": pair["positive_a"], "positive_b": pair["positive_b"],
                "shift": self.registers["input_shift"], "twice": not anew, "drive": 1,
            }  # fmt: skip
            await self.cycle(access=access, inputs__ready=group == layout.groups - 1)
        await self.cycle(access=0, inputs__ready=0)

    def forget(self) -> None:
        """Nothing has been reported or counted."""
        self.moves.clear()
        self.bins.clear()
        self.sums = dict.fromkeys(self.sums, 0)
        self.envelope = 0

    async def evaluate(self, mode: Mode, label: int | None, rest: bool, groups: range) -> None:
        """These groups, one per cycle."""
        layout, per_module = self.layout, self.layout.groups_per_module
        early = mode in (Mode.FREE, Mode.KEEP)
        for group in groups:
            evaluation = {
                "valid": 1, "mode": mode.value, "group": group, "local": group % per_module,
                "rest": rest, "clamped": label is not None, "bin": group // layout.groups_per_bin,
                "head": group < per_module, "foot": group >= layout.groups - per_module,
                "tail": (group + 1) % layout.tail_period == 0,
            }  # fmt: skip
            access = {"use": Use.NONE.value}
            if label is not None:
                access = {
                    "use": Use.FEEDBACK.value, "positive_a": 1,
                    "a": layout.feedback_base + label * layout.groups + group,
                    "shift": self.registers["feedback_shift"],
                }  # fmt: skip
            await self.cycle(
                evaluation=evaluation, access=access, clear=group == 0, rest=rest,
                apply=early and group > 0,
            )  # fmt: skip

    async def sweep(self, mode: Mode, label: int | None = None, rest: bool = False) -> None:
        """s = sign(h), of all neurons or of a group after another; what moved is applied to R, and
        reported."""
        layout, old, envelope = self.layout, self.state, 0
        in_turn = mode is Mode.SWEEP and self.rng.random() < 0.4
        self.forget()
        for group in range(layout.groups if in_turn else 1):
            groups = range(group, group + 1) if in_turn else range(layout.groups)
            here = np.isin(layout.group, groups)
            h = self.drive() if mode is Mode.FREE else self.fields(label)
            if mode is not Mode.KEEP:
                envelope |= int(np.bitwise_or.reduce(np.where(h < 0, ~h, h)[here]))
                self.state = np.where(here, np.where(h >= 0, 1, -1), self.state)
            await self.evaluate(mode, label, rest, groups)
            # Neighbours in a chain must have read the old states.
            waits = self.coupled and mode is Mode.SWEEP
            await self.cycle(evaluation=0, access=0, clear=0, apply=not waits)
            for _ in range(timing(self.config).latency if waits else 0):
                await self.cycle()
            await self.cycle(apply=1)
            await self.idle()
        new = self.state
        moved = (new != old) | rest
        where = np.argwhere(moved)
        wanted = sorted(
            (self._strip(m, i), int(self.layout.group[m, i]), self._lane(m, i), int(new[m, i] > 0))
            for m, i in where
        )
        assert sorted(self.moves) == wanted
        assert self.sums["events"] == len(wanted)
        groups = {int(self.layout.group[m, i]) for m, i in where}
        assert self.bins == {group // self.layout.groups_per_bin for group in groups}
        assert self.envelope == envelope
        await self.look()
        names = {Mode.FREE: "free sweep", Mode.KEEP: "state kept", Mode.SWEEP: "sweep"}
        seen.hit("in turn" if in_turn else names[mode])
        seen.hit("clamped", when=label is not None)
        seen.hit("a neuron moves" if len(wanted) else "no neuron moves")
        seen.hit("all move", when=bool(moved.all()))
        seen.hit("first neuron moves", when=bool(moved[0, 0]))
        seen.hit("last neuron moves", when=bool(moved[-1, -1]))

    def _strip(self, m, i) -> int:
        return int(self.layout.strip[m, i])

    def _lane(self, m, i) -> int:
        return int(self.layout.lane[m, i]) % self.layout.strip_lanes

    async def look(self) -> None:
        """The states are what the readout sees."""
        for group in range(self.layout.groups):
            await self.cycle(state_read=group)
            await self.cycle()
            words = self.state_words()
            for m, i in np.argwhere(self.layout.group == group):
                bit = words[self._strip(m, i)] >> self._lane(m, i) & 1
                assert bit == (self.state[m, i] > 0)

    def state_words(self) -> list[int]:
        """The states of the group asked for, of every strip."""
        return self.block.get("state_words")

    async def learn(self) -> None:
        """J[i, j] += u[i] s[j], W[i, n] += u[i] x[n], where the neuron is unstable."""
        r, s = self.registers, self.state
        unstable = s * self.fields(None) <= r["margin"]
        u, cut = unstable * s, 0
        wanted = {}
        if r["learn_recurrent"]:
            wanted["recurrent"] = self.arrays["recurrent"] + u[:, :, None] * s[:, None, :]
            np.einsum("mii->mi", wanted["recurrent"])[:] = 0
        if r["learn_input"]:
            wanted["input"] = self.arrays["input"] + u[:, :, None] * self.x
        for name, array in wanted.items():
            limit = self.config.recurrent_max if name == "recurrent" else self.config.weight_max
            cut += int(np.count_nonzero(np.abs(array) > limit))
            self.arrays[name] = np.clip(array, -limit, limit)
        self.forget()
        await self.evaluate(Mode.STABILITY, None, False, range(self.layout.groups))
        await self.cycle(evaluation=0, access=0, clear=0, learn=1)
        await self.idle()
        count = int(np.count_nonzero(unstable))
        assert (self.sums["unstable"], self.sums["cut"]) == (count, cut)
        assert not self.moves
        seen.hit("none unstable", when=count == 0)
        seen.hit("all unstable", when=count == unstable.size)
        seen.hit("some unstable", when=0 < count < unstable.size)
        seen.hit("cut", when=cut > 0)
        both = r["learn_input"] and r["learn_recurrent"]
        seen.hit("both arrays" if both else "W alone" if r["learn_input"] else "J alone")

    async def sample(self, anew: bool) -> None:
        """A training sample, from the inputs to learning; no decision."""
        rng, n = self.rng, self.config.inputs
        x = np.array([rng.choice((-1, 1)) for _ in range(n)])
        if not anew and rng.random() < 0.5:
            x = np.where(np.array([rng.random() < 0.2 for _ in range(n)]), -self.x, self.x)
        self.x = x
        await self.give_inputs(x.astype(np.int8), anew)
        seen.hit("made anew" if anew else "some inputs")
        await self.sweep(rng.choice((Mode.FREE, Mode.FREE, Mode.KEEP)), rest=anew)
        label = rng.randrange(self.config.classes)
        for clamped in (label, label, None, None):
            await self.sweep(Mode.SWEEP, clamped)
        await self.learn()


async def run(course: Course) -> None:
    """Some samples under some registers."""
    layout = course.layout
    for name in course.arrays:
        await course.write(name)
    for part in range(max(3, parameters()["cycles"] // 130)):
        await course.set_registers()
        for number in range(3):
            await course.sample(anew=number == 0)
        if part % 2 == 0:
            await course.compare()
    seen.hit("several strips" if layout.strips > 1 else "one strip")
    body, tail = layout.padding()
    seen.hit("padding", when=body != tail)
    seen.hit("last row partly empty", when=layout.config.modules % layout.strips != 0)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(name=named("array"))
async def relaxes_and_learns(dut, name):
    component = made(name)
    course = Course(component.layout, Ports(dut, name, component), seed=30)
    await start(dut)
    await run(course)
