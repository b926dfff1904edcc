"""Runs inside a simulator (see test_array_blocks.py): lanes with the control registers they share."""

import random
from functools import reduce
from operator import or_

import cocotb
from fields import Cycle, Evaluation, Fields, edges, random_addition, random_evaluation
from ports import Ports, made, named

from relaxon.hw.operation import Mode
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

NAMES = dict(zip(Mode, ("free", "kept", "sweep", "stability"), strict=True))
FACTORS = [sign << shift for sign in (1, -1) for shift in range(6)]
seen = Coverage(
    "lanes", "one column", "two columns", "difference", "learned", "label", "clear",
    "twice in a row", "added after clear", "seen two cycles later", "beside an evaluation", "free",
    "kept", "beside a state that is kept", "sweep", "clamped", "stability", "turns up", "turns down",
    "stays", "stable", "unstable", "just unstable", "just stable", "field is 0", "field is -1",
    "both neighbours", "one neighbour", "no neighbour", "neighbours differ",
)  # fmt: skip


def schedule(fields: Fields, count: int) -> list[Cycle]:
    """So many cycles of additions and evaluations, as they may follow one another."""
    rng, groups, cycles, last = fields.rng, fields.layout.groups, [], Cycle()
    for _ in range(count):
        now, group = Cycle(), rng.randrange(groups)
        if last.addition and rng.random() < 0.4:
            group = last.addition.group
        mode = rng.choice((None, None, *Mode, Mode.SWEEP))
        if mode is not None and _settled(last, mode, group):
            clamped = mode is Mode.SWEEP and rng.random() < 0.4
            now.evaluation = random_evaluation(fields, group, mode, clamped)
        adds = rng.random() < 0.8
        if now.evaluation is None and adds:
            now.addition = random_addition(fields, group, FACTORS)
        elif mode in (Mode.FREE, Mode.KEEP) and adds:  # which look at A alone, or at nothing
            now.addition = random_addition(fields, rng.randrange(groups), FACTORS)
            now.addition.drive = False
            if now.addition.kind == "clear":
                now.addition = None
        elif now.evaluation and now.evaluation.clamped:
            now.addition = random_addition(fields, group, FACTORS)
            now.addition.kind, now.addition.two, now.addition.differ = "label", False, False
        label = [0] * fields.lanes
        if now.evaluation:
            if now.evaluation.clamped:
                label = now.addition.amounts(fields.layout.columns)
            fields.evaluate(now.evaluation, label)
        if now.addition:
            fields.add(now.addition)
        _cover_order(cycles, now)
        cycles.append(now)
        last = now
    return cycles


def _settled(last: Cycle, mode: Mode, group: int) -> bool:
    """Whether no addition of a cycle ago is still on its way to what the evaluation reads."""
    add = last.addition
    if add is None or add.kind == "label" or add.group != group or mode is Mode.KEEP:
        return True
    return add.kind != "clear" and mode is Mode.FREE and not add.drive


def _cover_order(before: list[Cycle], now: Cycle) -> None:
    add, e = now.addition, now.evaluation
    last = before[-1].addition if before else None
    if add:
        bins = {"learned": "learned", "clear": "clear", "label": "label"}
        column = "two columns" if add.two else "one column"
        seen.hit(bins.get(add.kind, column))
        seen.hit("difference", when=add.kind == "column" and add.differ)
        if last and last.group == add.group and add.kind not in ("label", "clear"):
            same = last.kind in ("column", "learned") and last.drive == add.drive
            seen.hit("twice in a row", when=same)
            seen.hit("added after clear", when=last.kind == "clear")
        seen.hit("beside an evaluation", when=e is not None and add.kind != "label")
        seen.hit("beside a state that is kept", when=e is not None and e.mode is Mode.KEEP)
    if e:
        earlier = before[-2].addition if len(before) > 1 else None
        there = earlier is not None and earlier.kind != "label" and earlier.group == e.group
        seen.hit("seen two cycles later", when=there)


def cover(fields: Fields, e: Evaluation) -> None:
    """What an evaluation was like."""
    seen.hit(NAMES[e.mode])
    seen.hit("clamped", when=e.clamped)
    for p, h in enumerate(e.fields):
        s = 1 if e.state >> p & 1 else -1
        if e.mode is Mode.STABILITY:
            seen.hit("unstable" if e.reported >> p & 1 else "stable")
            seen.hit("just unstable", when=s * h == fields.margin)
            seen.hit("just stable", when=s * h == fields.margin + 1)
            continue
        turns = "turns up" if s < 0 else "turns down"
        seen.hit(turns if e.reported >> p & 1 else "stays")
        seen.hit("field is 0", when=h == 0)
        seen.hit("field is -1", when=h == -1)
    if fields.chain_coupling and e.sees_recur:
        count = e.has_previous + e.has_next
        seen.hit(("no neighbour", "one neighbour", "both neighbours")[count])
        seen.hit("neighbours differ", when=count == 2 and e.previous != e.next)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("cluster"))
async def lanes_add_and_evaluate(dut, name):
    component, rng = made(name), random.Random(20)
    block = Ports(dut, name, component)
    fields = Fields(component.layout, len(component.valid), rng)
    await start(dut)
    for part in range(max(3, parameters()["cycles"] // 200)):
        fields.choose_registers()
        cycles = schedule(fields, 100) if part else edges(fields)
        await block.step(
            self_coupling=fields.self_coupling, chain_coupling=fields.chain_coupling,
            margin=fields.margin,
        )  # fmt: skip
        await run(block, fields, [None] * 5 + cycles + [None] * 5)


async def run(block: Ports, fields: Fields, cycles: list) -> None:
    """Control at stage −1, couplings at 0, states at 1; what comes of it at stage 4."""
    for at in range(5, len(cycles)):
        inputs = {"addend": 0, "target": 0, "evaluation": 0}
        now, before, long_before, done = cycles[at], cycles[at - 1], cycles[at - 2], cycles[at - 5]
        if now and (add := now.addition):
            label, clear = add.kind == "label", add.kind == "clear"
            inputs |= {
                "addend": {"valid": 1, "learned": clear or add.kind == "learned", "two": add.two,
                           "differ": add.differ},
                "factor": add.factor, "hit": add.hit, "up": add.up, "count": add.count,
                "target": {"valid": not label, "drive": add.drive, "clear": clear,
                           "group": add.group},
            }  # fmt: skip
        if now and (e := now.evaluation):
            inputs["evaluation"] = {
                "valid": 1, "mode": e.mode.value, "group": e.group, "clamped": e.clamped
            }
        if before and before.addition:
            inputs |= {"a": before.addition.a, "b": before.addition.b}
        if long_before and (e := long_before.evaluation):
            inputs |= {
                "state": e.state, "previous": e.previous, "next": e.next,
                "has_previous": e.has_previous, "has_next": e.has_next,
            }  # fmt: skip
        e = done and done.evaluation
        await block.step(valid=e.valid if e else 0, **inputs)
        if e:
            assert (block.get("reported"), block.get("sign")) == (e.reported, e.sign)
            fields_seen = [h for p, h in enumerate(e.fields) if e.valid >> p & 1]
            envelope = reduce(or_, (h if h >= 0 else ~h for h in fields_seen), 0)
            assert block.get("envelope") == (envelope if e.turns else 0)
            cover(fields, e)
