"""Runs inside a simulator (see test_array_blocks.py): the lanes of a column store."""

import random

import cocotb
from bench_cluster import FACTORS, NAMES
from fields import Cycle, Fields, edges, random_addition, random_evaluation
from ports import Ports, made, named

from relaxon.cycles import timing
from relaxon.hw.operation import Mode
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "compact lanes", "column", "learned", "clear", "twice in a row", "added after clear", "free",
    "kept", "sweep", "stability", "turns up", "turns down", "stays", "just unstable above",
    "just unstable below", "just stable above", "just stable below", "field is 0", "field is -1",
    "seen two cycles later", "early", "late",
)  # fmt: skip


def schedule(fields: Fields, count: int) -> list[Cycle]:
    """So many cycles, with an addition or an evaluation in most, as they may follow one another."""
    rng, layout, cycles, last = fields.rng, fields.layout, [], None
    for _ in range(count):
        now, group = Cycle(), rng.randrange(layout.groups)
        if last and rng.random() < 0.4:
            group = last.group
        near = last is not None and last.group == group
        if rng.random() < 0.4 and not near:
            mode = rng.choice(list(Mode))
            now.evaluation = random_evaluation(fields, group, mode, False)
            fields.evaluate(now.evaluation, [0] * fields.lanes)
        elif rng.random() < 0.9 and not (near and layout.groups_per_module > 1):
            now.addition = add = random_addition(fields, group, FACTORS)
            if near and last.kind != "clear" and add.kind == "clear":
                add.kind = "column"  # nothing is cleared right after it was added to
            fields.add(add)
            seen.hit(add.kind)
            if near and add.kind != "clear":
                seen.hit("added after clear", when=last.kind == "clear")
                seen.hit("twice in a row", when=last.kind != "clear" and last.drive == add.drive)
        earlier = cycles[-2].addition if len(cycles) > 1 else None
        if now.evaluation and earlier:
            seen.hit("seen two cycles later", when=earlier.group == now.evaluation.group)
        last = now.addition
        cycles.append(now)
    return cycles


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("compact"))
async def compact_lanes_add_and_evaluate(dut, name):
    component, rng = made(name), random.Random(21)
    layout, lanes = component.layout, len(component.state)
    late = timing(layout.config).latency > 1
    block, fields = Ports(dut, name, component), Fields(layout, lanes, rng)
    await start(dut)
    for part in range(max(3, parameters()["cycles"] // 200)):
        fields.choose_registers()
        cycles = schedule(fields, 100) if part else edges(fields)
        await block.step(self_coupling=fields.self_coupling, margin=fields.margin)
        await run(block, fields, [None] * 5 + cycles + [None] * 5, 5 if late else 4)
    seen.hit("late" if late else "early")


async def run(block: Ports, fields: Fields, cycles: list, latency: int) -> None:
    """Control at stage −1, couplings and states at 0; what comes of it at stage 3 or 4."""
    for at in range(5, len(cycles)):
        inputs = {"addend": 0, "target": 0, "evaluation": 0}
        now, before, done = cycles[at], cycles[at - 1], cycles[at - latency]
        if now and (add := now.addition):
            clear = add.kind == "clear"
            inputs |= {
                "addend": {"valid": 1, "learned": clear or add.kind == "learned"},
                "factor": add.factor, "hit": add.hit, "up": add.up,
                "target": {"valid": 1, "drive": add.drive, "clear": clear, "group": add.group},
            }  # fmt: skip
        if now and (e := now.evaluation):
            inputs["evaluation"] = {"valid": 1, "mode": e.mode.value, "group": e.group}
        if before and before.addition:
            inputs["a"] = before.addition.a
        if before and before.evaluation:
            inputs["state"] = before.evaluation.state
        await block.step(**inputs)
        if e := done and done.evaluation:
            assert (block.get("reported"), block.get("sign")) == (e.reported, e.sign)
            cover(fields, e)


def cover(fields: Fields, e) -> None:
    """What an evaluation was like."""
    seen.hit(NAMES[e.mode])
    for p, h in enumerate(e.fields):
        positive = bool(e.state >> p & 1)
        if e.mode is Mode.STABILITY:
            side = "above" if positive else "below"
            ahead = (h if positive else -h) - fields.margin
            seen.hit(f"just unstable {side}", when=ahead == 0)
            seen.hit(f"just stable {side}", when=ahead == 1)
            continue
        turns = "turns down" if positive else "turns up"
        seen.hit(turns if e.reported >> p & 1 else "stays")
        seen.hit("field is 0", when=h == 0)
        seen.hit("field is -1", when=h == -1)
