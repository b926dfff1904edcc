"""Testbenches run on every simulator, and fail when they should."""

import pytest
from echo import Echo

from relaxon.errors import ToolError
from relaxon.sim.testbench import runner
from relaxon.sim.testbench.runner import NO_ICARUS, SIMULATORS, Simulator, has_icarus, simulate


@pytest.fixture(params=SIMULATORS)
def simulator(request: pytest.FixtureRequest, lacking) -> Simulator:
    """Each simulator; Icarus is skipped where it is not installed."""
    if request.param == "icarus" and not has_icarus():
        lacking(NO_ICARUS)
    return request.param


def test_streams_pass_under_all_stalls(simulator, tmp_path):
    tests = "answers"
    count = simulate(Echo(2), "bench_echo", simulator, tmp_path, parameters={"count": 50},
                     tests=tests)  # fmt: skip
    assert count == 4


def test_a_failing_test_is_reported_with_its_log(simulator, tmp_path):
    with pytest.raises(AssertionError, match="told to fail"):
        simulate(Echo(2), "bench_echo", simulator, tmp_path, tests="fails",
                 parameters={"count": 1, "fail": True})  # fmt: skip


def test_a_testbench_that_cannot_be_imported_is_reported(simulator, tmp_path):
    with pytest.raises(AssertionError, match="no_such_bench"):
        simulate(Echo(2), "no_such_bench", simulator, tmp_path)


def test_a_simulation_that_does_not_end_is_ended(simulator, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "TIMEOUT", 0.05)
    with pytest.raises(ToolError, match="did not end within"):
        simulate(Echo(2), "bench_echo", simulator, tmp_path, parameters={"count": 50})


def test_missing_icarus_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="apt-get install iverilog"):
        simulate(Echo(2), "bench_echo", "icarus", tmp_path)
