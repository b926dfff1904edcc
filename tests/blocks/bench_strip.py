"""Runs inside a simulator (see test_array_blocks.py): a lone strip, driven as the array drives it."""

import cocotb
import numpy as np
from bench_array import Course, run
from ports import Ports, made, named

from relaxon.hw.inputs import input_words
from relaxon.sim.testbench.bench import start


class StripCourse(Course):
    """A strip has its inputs from somebody else."""

    def __init__(self, layout, block, seed):
        super().__init__(layout, block, seed)
        self.before = self.x.copy()

    async def cycle(self, **inputs):
        inputs.pop("inputs__ready", None)  # nobody asks for it
        await super().cycle(**inputs)

    def count(self, name):
        if name == "events":
            event = self.block.get("event")
            return event["valid"] + (event["valid"] and event["pair"]["two"])
        return self.block.get(name)

    def moved(self):
        return [self.block.get("event")]

    def state_words(self):
        return [self.block.get("state_word")]

    async def give_inputs(self, x, anew):
        width = self.layout.input_word
        bits = sum(1 << n for n in range(len(x)) if x[n] > 0)
        for word in range(input_words(self.layout)):
            part = bits >> word * width & (1 << width) - 1
            await self.cycle(input={"valid": 1, "address": word, "data": part})
        await self.cycle(input=0)
        if anew:
            await self.clear()
        for n in np.flatnonzero((x != self.before) | anew).tolist():
            pair = {"a": n, "b": 0, "two": 0, "positive_a": int(x[n] > 0), "positive_b": 0}
            await self.add(0, pair, anew)
        await self.cycle(access=0)
        await self.cycle()
        self.before = x.copy()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(name=named("strip"))
async def relaxes_and_learns(dut, name):
    component = made(name)
    course = StripCourse(component.layout, Ports(dut, name, component), seed=31)
    await start(dut)
    await run(course)
