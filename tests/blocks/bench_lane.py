"""Runs inside a simulator (see test_array_blocks.py): a lane by itself, stage by stage."""

import random

import cocotb
from bench_cluster import cover, schedule
from fields import Fields, edges
from ports import Ports, made, named

from relaxon.hw.operation import Mode
from relaxon.sim.testbench.bench import parameters, start


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("lane"))
async def a_lane_adds_and_evaluates(dut, name):
    component, rng = made(name), random.Random(19)
    block, fields = Ports(dut, name, component), Fields(component.layout, 1, rng)
    await start(dut)
    for part in range(max(3, parameters()["cycles"] // 200)):
        fields.choose_registers()
        cycles = schedule(fields, 100) if part else edges(fields)
        await run(block, fields, [None] * 4 + cycles + [None] * 4)


async def run(block: Ports, fields: Fields, cycles: list) -> None:
    """Everything at its stage; what an evaluation reports four cycles after its couplings."""
    stability = fields.self_coupling - fields.margin
    parts = {
        Mode.FREE: (0, 0),
        Mode.KEEP: (9, -9),  # whatever they are
        Mode.SWEEP: (fields.self_coupling, -fields.self_coupling),
        Mode.STABILITY: (stability - 1, -stability),
    }
    for at in range(4, len(cycles)):
        now, before, long_before, *later = (cycles[at - stage] for stage in range(5))
        inputs = {"addend": 0, "target": 0, "again": 0}
        if now and (add := now.addition):
            how = {"valid": 1, "learned": add.kind in ("learned", "clear"), "two": add.two}
            inputs |= {
                "addend": how | {"differ": add.differ}, "a": add.a[0], "b": add.b[0],
                "hit": add.hit, "up": add.up, "count": add.count,
            }  # fmt: skip
        evaluations = [c.evaluation if c else None for c in (before, long_before, *later)]
        for stage, e in enumerate(evaluations, 1):
            inputs[f"evaluation{stage}"] = {"valid": 0} if e is None else {
                "valid": 1, "mode": e.mode.value, "group": e.group, "clamped": e.clamped,
            }  # fmt: skip
        if before and (add := before.addition):
            inputs |= {"factor": add.factor, "drive_read": add.group, "recur_read": add.group}
        if e := evaluations[0]:
            inputs["drive_read"] = e.group
            plus, minus = parts[e.mode]
            if e.sees_recur:
                inputs["recur_read"] = e.group
            inputs |= {
                "plus": plus, "minus": minus, "state": e.state, "previous": e.previous,
                "next": e.next, "has_previous": e.has_previous, "has_next": e.has_next,
                "chain_coupling": fields.chain_coupling if e.sees_recur else 0,
            }  # fmt: skip
        if long_before and (add := long_before.addition):
            valid = add.kind != "label"
            inputs["target"] = {
                "valid": valid, "drive": add.drive, "clear": add.kind == "clear", "group": add.group
            }
            last = later[0] and later[0].addition
            inputs["again"] = bool(
                last and last.kind != "label" and last.group == add.group
                and (last.drive == add.drive or last.kind == "clear")
            )  # fmt: skip
        await block.step(**inputs)
        if e := evaluations[3]:
            assert (block.get("reported"), block.get("sign")) == (e.reported, e.sign)
            if e.turns:
                h = e.fields[0]
                assert block.get("envelope") == (h if h >= 0 else ~h)
            cover(fields, e)
