"""Every block of the array side by itself, on Icarus and on Verilator (testbenches: bench_*.py)."""

import pytest
from array_blocks import BUNDLES

from relaxon.sim.testbench.bundle import Bundle
from relaxon.sim.testbench.runner import NO_ICARUS, SIMULATORS, has_icarus, simulate

BENCHES = {
    "words": ["bench_arithmetic", "bench_popcount", "bench_rotation", "bench_bits"],
    "walks": ["bench_events", "bench_groups", "bench_decision"],
    "memories": ["bench_singleport", "bench_states", "bench_inputs"],
    "stores": ["bench_store"],
    "lanes": ["bench_lane", "bench_cluster", "bench_compact", "bench_learners"],
    "readouts": ["bench_readout", "bench_parallelreadout", "bench_serialreadout"],
    "arrays": ["bench_array", "bench_strip"],
    "machines": ["bench_machine"],
    "compact": ["bench_compact", "bench_machine"],
}
"""Testbenches by the bundle they run on."""


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("bundle", BENCHES)
def test_blocks_are_as_their_models(bundle, simulator, long, lacking, tmp_path):
    if simulator == "icarus" and not has_icarus():
        lacking(NO_ICARUS)
    blocks = {name: make() for name, make in BUNDLES[bundle].items()}
    parameters = {"bundle": bundle, "cycles": 4000 if long else 400}
    benches = ",".join(BENCHES[bundle])
    assert simulate(Bundle(**blocks), benches, simulator, tmp_path, parameters=parameters) > 0
