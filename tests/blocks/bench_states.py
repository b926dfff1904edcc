"""Runs inside a simulator (see test_array_blocks.py): the states, and all who read them."""

import random

import cocotb
from ports import Ports, made, named

from relaxon.hw.states import States
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "states", "first group", "last group", "written", "written by the host", "read by the host",
    "evaluating first", "learner second", "host third", "readout last", "neighbours",
)  # fmt: skip


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("states"))
async def everyone_reads_what_was_written(dut, name):
    component, rng = made(name), random.Random(11)
    block, layout = Ports(dut, name, component), component.layout
    await start(dut)
    groups, lanes = layout.groups, layout.strip_lanes
    readers = [
        r for r in States.READERS if r not in ("before", "after") or layout.config.modules > 1
    ]
    held = {}
    for group in range(groups):  # what a memory holds at first is undefined
        held[group] = rng.getrandbits(lanes)
        await block.step(write={"valid": 1, "group": group, "state": held[group]})
    due: dict[str, int] = {}
    for _ in range(parameters()["cycles"]):
        asked = {reader: rng.randrange(groups) for reader in States.READERS}
        write = {
            "valid": rng.random() < 0.3, "group": rng.randrange(groups),
            "state": rng.getrandbits(lanes),
        }  # fmt: skip
        host = {
            "active": rng.random() < 0.3, "address": rng.randrange(groups),
            "write": rng.random() < 0.5, "write_data": rng.getrandbits(lanes),
        }  # fmt: skip
        evaluating, learning = rng.random() < 0.4, rng.random() < 0.4
        await block.step(
            **asked, write=write, evaluating=evaluating, learning=learning,
            **{f"host__{member}": value for member, value in host.items()},
        )  # fmt: skip
        for port, word in due.items():
            assert block.get(port) == word, port
        # What is read now is there a cycle later, unless it is being written.
        words = {f"{reader}_word": asked[reader] for reader in readers}
        if layout.serial:
            if evaluating:
                words = {"center_word": asked["center"]}
            elif learning:
                words = {"learner_word": asked["learner"]}
            elif host["active"]:
                words = {"host__read_data": host["address"]}
            else:
                words = {"readout_word": asked["readout"]}
            seen.hit("evaluating first", when=evaluating and learning and host["active"])
            seen.hit("learner second", when=not evaluating and learning and host["active"])
            seen.hit("host third", when="host__read_data" in words)
            seen.hit("readout last", when="readout_word" in words)
        elif host["active"]:
            del words["readout_word"]
            words["host__read_data"] = host["address"]
        seen.hit("neighbours", when="before_word" in words)
        at, state, writes = write["group"], write["state"], write["valid"]
        if host["active"]:
            at, state, writes = host["address"], host["write_data"], host["write"]
        due = {p: held[g] for p, g in words.items() if not (writes and g == at)}
        if writes:
            held[at] = state
            seen.hit("written by the host" if host["active"] else "written")
        seen.hit("read by the host", when="host__read_data" in due)
        for group, bin_ in ((0, "first group"), (groups - 1, "last group")):
            seen.hit(bin_, when=group in words.values())
