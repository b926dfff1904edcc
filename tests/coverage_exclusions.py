"""What need not occur: points of the RTL and transitions of state machines, each with a reason."""

from relaxon.sim.testbench.rtlcoverage import Exclusion

UNREACHABLE: dict[tuple[str, str, str], str] = {}
"""Machine, from, to: why that transition is declared and cannot occur."""

EXCLUDED = [
    Exclusion("a pin that the compiled board leaves alone: bench_core.py drives it",
              "", "start_self_test|before"),
    Exclusion("text of the build: a constant in a memory of constants", "registers.*", "about.*"),
]  # fmt: skip
