"""Runs inside a simulator (see test_array_blocks.py): words turned, and late, by so many cycles."""

import random
from collections import deque

import cocotb
from ports import Ports, made, named

from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage("rotation", "no distance", "one", "farthest", "each doubling", "at once", "pipelined")


def rotated(value: int, distance: int, element: int, width: int) -> int:
    """Element i moved to place (i − distance) mod their number."""
    away = element * distance
    return (value >> away | value << width - away) & (1 << width) - 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("rotation"))
async def turns_elements(dut, name):
    component, rng = made(name), random.Random(2)
    block = Ports(dut, name, component)
    await start(dut)
    width, bits = block.shape("value").width, block.shape("distance").width
    due = deque([None] * component.cycles)
    distances = set()
    for _ in range(parameters()["cycles"]):
        value, distance = rng.getrandbits(width), rng.getrandbits(bits)
        await block.step(value=value, distance=distance)
        due.append((value, distance))
        expected = due.popleft()
        if expected:
            value, distance = expected
            assert block.get("rotated") == rotated(value, distance, component.element, width)
            assert (block.get("beside"), block.get("late")) == (distance, value)
        distances.add(distance)
    assert distances == set(range(1 << bits))
    for bin_, distance in (("no distance", 0), ("one", 1), ("farthest", (1 << bits) - 1)):
        seen.hit(bin_, when=distance in distances)
    seen.hit("each doubling", when={1 << bit for bit in range(bits)} <= distances)
    seen.hit("pipelined" if component.cycles else "at once")
