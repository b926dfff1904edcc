"""Runs inside a simulator (see test_array_blocks.py): a whole machine, sample by sample, against the
reference model: outcomes, couplings, states, and every counter to the cycle."""

import random
from collections import Counter

import cocotb
import numpy as np
from fsm import FSM, Walk, state_names, transitions
from ports import Ports, made, named, through, unpack
from recorded import random_couplings, random_samples

from relaxon import Couplings
from relaxon.hw.sequencer import Sequencer
from relaxon.protocol import CHIP_COUNTERS, PHASES, Space
from relaxon.sim.model import Model
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import hesitation

seen = Coverage(
    "machine", "inference", "training", "gate ends", "gate lets through", "not gated", "fixed point",
    "all sweeps", "no sweeps", "nothing flips", "most flip", "no input changes", "all inputs change",
    "same label", "another label", "nothing unstable", "all unstable", "coupling cut",
    "readout cut", "W alone learns", "J alone learns", "nothing learns", "in a chain", "alone",
    "negative margin", "next sample waits", "score asked for", "written by the host", "from rest",
    "from the state as it is", "from the host's state", "all at once", "in turn", "in turn, chained",
    *(f"phase {name}" for name in PHASES),
)  # fmt: skip
COMMON = """
    IDLE > INPUT > SWEEP > EVENT > NEXT > CHOOSE > SWEEP, IDLE > CLEAR > INPUT, EVENT > SWEEP,
    NEXT > ASK > DECIDE > IDLE, NEXT > STABILITY > LEARN > FINISH > IDLE
"""
sequencers = {
    False: Coverage("sequencer, skewed store", *transitions(f"{COMMON}, DECIDE > NEXT")),
    True: Coverage(
        "sequencer, column store", *transitions(f"{COMMON}, NEXT > LABEL > NEXT, DECIDE > LABEL")
    ),
}
PORTS = {Space.WEIGHTS: "weights", Space.READOUT: "readout", Space.STATE: "states"}
WAIT = 20_000
"""Cycles that no sample takes."""


class Bench:
    """A machine and its model."""

    def __init__(self, dut, name):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.config, self.rng = self.layout.config, random.Random(22)
        self.pauses = hesitation(False, 23)
        self.model = Model(self.config, random_couplings(self.config, 24))
        self.amounts: Counter[int] = Counter()  # how often there were such
        self.outcomes, self.expected, self.label, self.free = [], [], None, 1
        register = getattr(getattr(dut.component, name).sequencer, FSM)
        names = state_names(Sequencer(self.layout))
        self.walk = Walk(register, names, sequencers[self.layout.serial])

    async def cycle(self, **inputs):
        """One cycle; what it counts is summed."""
        block = self.block
        await block.step(**inputs)
        self.walk.look()
        self.amounts[block.bits("amounts")] += 1
        if block.bits("done"):
            self.outcomes.append(block.get("outcome"))

    # ---- the host ---------------------------------------------------------------------------

    async def access(self, space: Space, address: int, word: bytes | None) -> bytes:
        """Write a word or, without one, read it."""
        size = self.layout.word_bytes(space)
        return await through(self.cycle, self.block, PORTS[space], address, size, word)

    async def write(self, name: str, array) -> None:
        """An array, word by word."""
        space, first, words = self.layout.place(name)
        size, data = self.layout.word_bytes(space), self.layout.pack(name, array)
        for n in range(words):
            await self.access(space, first + n, data[n * size : (n + 1) * size])

    async def read(self, name: str):
        """An array, word by word."""
        space, first, words = self.layout.place(name)
        data = [await self.access(space, first + n, None) for n in range(words)]
        return self.layout.unpack(name, b"".join(data))

    async def load(self) -> None:
        """The model's couplings and registers; the fields are made anew."""
        for name in Couplings.NAMES:
            await self.write(name, getattr(self.model, name))
        await self.set_registers()
        seen.hit("written by the host")

    async def set_registers(self) -> None:
        """The model's registers."""
        await self.cycle(registers=self.model.registers.as_dict(), invalidate=1)
        await self.cycle(invalidate=0)
        self.model.invalidate()

    async def set_state(self, rng) -> None:
        """Any states, from the host; registers come again."""
        signs = [rng.choice((-1, 1)) for _ in range(self.model.state.size)]
        self.model.state = np.array(signs, np.int8).reshape(self.model.state.shape)
        await self.write("state", self.model.state)
        await self.set_registers()
        seen.hit("from the host's state", when=self.model.registers.keep_state)

    async def compare(self) -> None:
        """Couplings, states and all that was counted are the model's."""
        while self.block.get("busy"):
            await self.cycle()
        for name in (*Couplings.NAMES, "state"):
            found = await self.read(name)
            assert np.array_equal(found, getattr(self.model, name)), name
        assert self.counters() == self.model.counters

    def counters(self) -> dict[str, int]:
        """What all cycles have counted."""
        sums, shape = dict.fromkeys(CHIP_COUNTERS, 0), self.block.shape("amounts")
        for bits, times in self.amounts.items():
            amounts = unpack(shape, f"{bits:0{shape.size}b}")
            for name in CHIP_COUNTERS:
                if name == "field_envelope":
                    sums[name] |= amounts[name]
                else:
                    sums[name] += times * amounts[name]
        for name in PHASES:
            seen.hit(f"phase {name}", when=sums[f"cycles_{name}"] != 0)
        return sums

    # ---- samples ----------------------------------------------------------------------------

    async def sample(self, x, y: int | None) -> None:
        """Train or, without label, infer; compare the outcome."""
        block, before = self.block, len(self.outcomes)
        bytes_ = list(enumerate(self.layout.pack_inputs(x[None])[0].tolist()))
        while bytes_:
            write = {"valid": 0}
            if self.free and not next(self.pauses):
                address, byte = bytes_.pop(0)
                write = {"valid": 1, "address": address, "data": byte}
            await self.cycle(input_write=write)
            self.free = block.get("input_free")
        while next(self.pauses):
            await self.cycle(input_write=0)
        offer = {"training": y is not None, "label": y or 0}
        await self.cycle(input_write=0, sample__valid=1, sample__payload=offer)
        seen.hit("next sample waits", when=not block.get("sample__ready"))
        for _ in range(WAIT):
            if block.get("sample__ready"):
                break
            await self.cycle()
        await self.cycle(sample__valid=0)
        self.free = block.get("input_free")
        assert block.get("busy")
        # The one before is done when this one is taken; its outcome was seen then.
        result = self.model.infer_one(x) if y is None else self.model.train_one(x, y)
        self.expected.append(result)
        assert len(self.outcomes) in (before, before + 1)
        self._cover(result, y)

    async def settle(self) -> None:
        """Wait for all samples, and compare their outcomes."""
        for _ in range(WAIT):
            if not self.block.get("busy") and len(self.outcomes) == len(self.expected):
                break
            await self.cycle()
        fields = ("prediction", "learned", "sweeps", "unstable")
        wanted = [{name: getattr(result, name) for name in fields} for result in self.expected]
        assert self.outcomes == wanted
        self.outcomes.clear()
        self.expected.clear()

    async def ask(self, scores) -> None:
        """The scores of the inference that was last."""
        for c, score in enumerate(scores.tolist()):
            await self.cycle(ask=1, score_of=c)
            for _ in range(WAIT):
                if self.block.get("known"):
                    break
                await self.cycle()
            assert self.block.get("score") == score
            await self.cycle(ask=0)
            await self.cycle()
        seen.hit("score asked for")

    def _cover(self, result, y):
        r, a, config = self.model.registers, result.activity, self.config
        flips, changes = int(a.flips[0]), int(a.input_changes[0])
        seen.hit("inference" if y is None else "training")
        gated = y is not None and r.gate_enable
        seen.hit("not gated", when=y is not None and not gated)
        seen.hit("gate lets through" if result.learned else "gate ends", when=gated)
        most = 1 + r.sweeps_infer
        if y is not None:
            most = 1 + r.sweeps_clamped + r.sweeps_released + gated * r.sweeps_infer
        if result.learned or y is None:
            seen.hit("all sweeps" if result.sweeps == most else "fixed point", when=most > 1)
            seen.hit("no sweeps", when=most == 1)
            seen.hit("nothing flips", when=most > 1 and flips == 0)
        seen.hit("most flip", when=2 * flips > config.total_neurons)
        seen.hit("no input changes", when=changes == 0)
        seen.hit("all inputs change", when=changes == config.inputs)
        if y is not None and self.label is not None:
            seen.hit("same label" if y == self.label else "another label")
        self.label = y
        if result.learned:
            seen.hit("nothing unstable", when=result.unstable == 0)
            seen.hit("all unstable", when=result.unstable == config.total_neurons)
            seen.hit("W alone learns", when=r.learn_input and not r.learn_recurrent)
            seen.hit("J alone learns", when=r.learn_recurrent and not r.learn_input)
            seen.hit("nothing learns", when=not (r.learn_recurrent or r.learn_input))
            seen.hit("negative margin", when=r.margin < 0)
        seen.hit("in a chain" if r.chain_coupling else "alone")
        seen.hit("from the state as it is" if r.keep_state else "from rest")
        several = self.layout.groups > 1 and most > 1
        seen.hit("in turn" if r.sequential else "all at once", when=several)
        seen.hit("in turn, chained", when=several and r.sequential and r.chain_coupling)
        seen.hit("coupling cut", when=self.model.counters["saturations"] > 0)
        seen.hit("readout cut", when=self.model.counters["readout_saturations"] > 0)


def random_registers(config, rng, part):
    """Registers that the machine's fields hold, most of them of a size that matters; which arrays
    learn, and how many neurons, turn about."""
    learns = ((1, 1), (0, 1), (1, 0), (0, 0))[part % 4]
    k, chained = round(config.k), config.modules > 1 and config.store == "skewed"
    unit = config.readout_max * config.total_neurons // 4
    return config.registers.replace(
        input_shift=rng.choice((0, 1, 2)),
        recurrent_shift=rng.choice((0, 0, 1)),
        feedback_shift=rng.choice((0, 2, 3)),
        self_coupling=rng.choice((0, k // 2, -k // 2)),
        chain_coupling=rng.choice((0, k // 3, -k // 3)) if chained else 0,
        margin=(k, 60 * k, -8 * k, rng.randint(-k, 2 * k))[part % 4],
        readout_margin_true=rng.randint(-unit, 2 * unit),
        readout_margin_false=rng.randint(-unit, 2 * unit),
        readout_step_true=rng.choice((0, 1, 9, 255)),
        readout_step_false=rng.choice((0, 1, 7, 200)),
        sweeps_clamped=rng.choice((0, 1, 2, 5)),
        sweeps_released=rng.choice((0, 1, 4)),
        sweeps_infer=(0, 1, 3)[part % 3],
        gate_enable=rng.choice((0, 1)),
        gate=rng.randint(-unit, unit),
        learn_recurrent=learns[0],
        learn_input=learns[1],
        learn_readout=rng.choice((0, 1, 1)),
        keep_state=rng.choice((0, 0, 1)),
        sequential=rng.choice((0, 1)),
    )


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(name=named("machine"))
async def learns_as_the_model(dut, name):
    """Whoever gives it samples hesitates in every other part."""
    bench = Bench(dut, name)
    rng = bench.rng
    await start(dut)
    await bench.load()
    count = max(5, parameters()["cycles"] // 80)
    for part in range(5 if parameters()["cycles"] <= 400 else 40):
        bench.pauses = hesitation(part % 2 == 1, 23 + part)
        if part:
            bench.model.registers = random_registers(bench.config, rng, part)
            await bench.set_state(rng)
        x, y = random_samples(bench.config, count, seed=25 + part)
        x[1], x[2] = x[0], -x[0]
        for one, label in zip(x, y.tolist()):
            await bench.sample(one, None if rng.random() < 0.2 else label)
        await bench.sample(x[0], None)
        scores = bench.expected[-1].scores
        await bench.settle()
        await bench.ask(scores)
    await bench.compare()
