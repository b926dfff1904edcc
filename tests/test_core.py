"""A whole core answers as its twin does, byte for byte (the testbench is bench_core.py)."""

import pytest
from core_traffic import random_machine

from relaxon import Config
from relaxon.hw.core import Core
from relaxon.protocol import STORES
from relaxon.sim.selftest import expected
from relaxon.sim.testbench.runner import NO_ICARUS, SIMULATORS, Simulator, has_icarus, simulate

BUILD, CLOCK_HZ, ABOUT = 0xFEDCBA98, 12_345_678, "board=none\n"
MACHINES = {
    # five modules on two strips, the last group partly empty, a chain from group to group
    "chain": Config(modules=5, neurons=3, inputs=11, classes=3, lanes=8).with_registers(
        chain_coupling=20
    ),
    # two modules of three groups on four lanes, the last padded; weights of two bytes
    "column": Config(
        modules=2, neurons=10, inputs=9, classes=4, lanes=4, weight_bits=9, store="column"
    ),
    # one module of two groups, nothing padded; its self-test expects what cannot come
    "module": Config(modules=1, neurons=8, inputs=16, classes=2, lanes=4, field_bits=20),
    # strips with a memory of one port each
    "strips": Config(modules=3, neurons=2, inputs=7, classes=3, lanes=4, store="column"),
}
SHORT = {("chain", "icarus"): 2, ("chain", "verilator"): 4, ("column", "verilator"): 4}
"""What `make test` runs, and how many random bursts for each pattern of stalls."""
LONG = [(name, simulator) for name in MACHINES for simulator in SIMULATORS]
RANDOM = range(6)
WITHOUT_SELF_TEST, WITH_A_WRONG_ONE = ("column",), ("module",)
WITHOUT_ONE = "twin_whoever|edges|no_room"
"""Tests of bench_core.py that need no self-test."""


def run(config, self_test: int | None, simulator: Simulator, folder, *, seed, bursts, tests=None):
    """The tests of the bench on one machine."""
    core = Core(
        config, build=BUILD, clock_hz=CLOCK_HZ, about=ABOUT.encode(), self_test=self_test
    )
    parameters = {
        "structure": config.structure(), "registers": config.registers.as_dict(),
        "build": BUILD, "clock_hz": CLOCK_HZ, "about": ABOUT, "self_test": self_test,
        "seed": seed, "bursts": bursts,
    }  # fmt: skip
    if self_test is None:
        tests = WITHOUT_ONE
    count = simulate(core, "bench_core", simulator, folder, parameters=parameters, tests=tests)
    assert count == (7 if tests else 9)


@pytest.mark.parametrize("name, simulator", LONG)
def test_answers_as_the_twin(name: str, simulator: Simulator, long: bool, lacking, tmp_path):
    if not long and (name, simulator) not in SHORT:
        pytest.skip("only with --long")
    if simulator == "icarus" and not has_icarus():
        lacking(NO_ICARUS)
    config = MACHINES[name]
    signature = None
    if name not in WITHOUT_SELF_TEST:
        signature = expected(config).signature ^ (name in WITH_A_WRONG_ONE)
    bursts = (60 if simulator == "icarus" else 200) if long else SHORT[name, simulator]
    slow = simulator == "icarus" and not long  # a self-test is 20 000 cycles
    run(
        config, signature, simulator, tmp_path, seed=1, bursts=bursts,
        tests=WITHOUT_ONE if slow else None,
    )  # fmt: skip


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", RANDOM)
def test_random_machines_answer_as_their_twins(seed: int, store: str, long: bool, lacking, tmp_path):
    if not long:
        pytest.skip("only with --long")
    config = random_machine(seed, store)
    signature = expected(config).signature if seed % 2 else None
    simulator: Simulator = "verilator" if seed % 3 == 0 or store == "column" else "icarus"
    if simulator == "icarus" and not has_icarus():
        lacking(NO_ICARUS)
    run(config, signature, simulator, tmp_path, seed=seed, bursts=60)
