"""Runs inside a simulator (see test_array_blocks.py): walks over groups, of all bins or some."""

import random

import cocotb
from ports import Ports, bits_of, made, named

from relaxon.hw.groups import SETTLING
from relaxon.layout import Layout
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "groups", "one group", "one bin", "all bins", "first bin", "last bin", "two bins", "some bins",
    "a bin of several groups", "a short last bin", "head", "foot", "tail", "chosen on the way",
    "next walk is of all", "waits",
)  # fmt: skip


def walk(layout: Layout, bins: int) -> list[dict]:
    """What the walker says at every group of these bins."""
    per_module = layout.groups_per_module
    groups = [g for g in range(layout.groups) if bins >> g // layout.groups_per_bin & 1]
    return [
        {
            "group": g,
            "local": g % per_module,
            "bin": g // layout.groups_per_bin,
            "head": g < per_module,
            "foot": g >= layout.groups - per_module,
            "tail": (g + 1) % layout.tail_period == 0,
            "last": g == groups[-1],
        }
        for g in groups
    ]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("walk"))
async def walks_over_the_chosen_groups(dut, name):
    component, rng = made(name), random.Random(8)
    block, layout = Ports(dut, name, component), component._layout
    await start(dut)
    every = (1 << layout.row_bins) - 1
    path, settled, bins, chosen, steps = walk(layout, every), 0, 0, False, 0
    for _ in range(parameters()["cycles"]):
        if settled == 0:  # bins that may be chosen a few cycles later
            one, other = (1 << rng.randrange(layout.row_bins) for _ in range(2))
            some = rng.getrandbits(layout.row_bins) or 1
            bins = rng.choice((one, one | other, some, some, every, 1 << layout.row_bins - 1))
        # No step is asked for in the cycle of a choice.
        begins = path == walk(layout, every)
        choose = settled >= SETTLING and rng.random() < (0.5 if begins else 0.02)
        step = not choose and rng.random() < 0.8
        await block.step(bins=bins, choose=choose, step=step)
        if not choose:
            found = {member: block.get(member) for member in path[0]}
            assert found == path[0]
        seen.hit("waits", when=not (choose or step))
        for flag in ("head", "foot", "tail"):
            seen.hit(flag, when=path[0][flag])
        settled += 1
        if choose:
            numbers = list(bits_of(bins))
            seen.hit("one bin", when=len(numbers) == 1)
            seen.hit("two bins", when=len(numbers) == 2)
            seen.hit("some bins", when=2 < len(numbers) < layout.row_bins)
            seen.hit("all bins", when=bins == every)
            seen.hit("first bin", when=numbers[0] == 0)
            seen.hit("last bin", when=numbers[-1] == layout.row_bins - 1)
            seen.hit("chosen on the way", when=steps > 0)
            path, settled, chosen, steps = walk(layout, bins), 0, True, 0
        elif step:
            steps += 1
            if not path.pop(0)["last"]:
                continue
            seen.hit("next walk is of all", when=chosen)
            path, chosen, steps = walk(layout, every), False, 0
    seen.hit("one group", when=layout.groups == 1)
    seen.hit("a bin of several groups", when=layout.groups_per_bin > layout.groups_per_module)
    seen.hit("a short last bin", when=layout.groups % layout.groups_per_bin != 0)
