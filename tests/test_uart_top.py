"""A whole board, pins to couplings, on the simulators (the testbench is bench_top.py)."""

import pytest

from relaxon import Config
from relaxon.hw.top import Top
from relaxon.sim.selftest import expected
from relaxon.sim.testbench.runner import NO_ICARUS, SIMULATORS, Simulator, has_icarus, simulate

CONFIG = Config(modules=2, neurons=6, inputs=10, classes=3, lanes=4).with_registers(
    chain_coupling=20
)
CLOCK_HZ = 48_000_000
BUILD = 0xDEC0DE
SLOW = 3_000_000
"""Bits per second."""


@pytest.mark.parametrize(
    "simulator, baud", [*((each, 12_000_000) for each in SIMULATORS), ("verilator", SLOW)]
)
def test_trains_over_the_uart_pins_as_the_model_does(
    simulator: Simulator, baud: int, long: bool, lacking, tmp_path
):
    if simulator == "icarus" and not has_icarus():
        lacking(NO_ICARUS)
    if baud == SLOW and not long:
        pytest.skip("make benches runs it: four times as many cycles")
    signature = expected(CONFIG).signature
    top = Top(
        CONFIG, clock_hz=CLOCK_HZ, baud=baud, build=BUILD, about=b"board=none\n",
        self_test=signature,
    )  # fmt: skip
    parameters = {
        "structure": CONFIG.structure(), "registers": CONFIG.registers.as_dict(),
        "cycles_per_bit": CLOCK_HZ // baud, "clock_hz": CLOCK_HZ, "build": BUILD,
        "self_test": signature,
    }  # fmt: skip
    assert simulate(top, "bench_top", simulator, tmp_path, parameters=parameters) == 2
