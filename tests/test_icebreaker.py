"""The board that is built whenever the tests run: a bitstream for the iCEBreaker, from wheels alone."""

from __future__ import annotations

from relaxon.boards import flow, registry
from relaxon.boards.design import Design

MODULES, CLOCK_MHZ = 24, 30
"""What it has to hold, of 32 neurons and 100 inputs, and how fast."""


def test_the_icebreaker_is_routed_with_timing_met() -> None:
    target = registry.find("icebreaker")
    network = target.network()
    assert network.modules >= MODULES and network.neurons == 32 and network.inputs == 100
    design = Design.of(target, network)
    assert design.clock_hz >= CLOCK_MHZ * 1e6
    # About three minutes, and two more for each seed after the first.
    made = flow.meeting(design, range(target.seed, target.seed + 4))
    assert made.timing_met, f"routed for {made.fmax_mhz:.1f} MHz, needs {made.needed_mhz:.1f}"
    assert len(made.clocks) == 1
    available = target.part.available
    assert all(made.used[name] <= available[name] for name in made.used)
    assert made.used["SPRAM"] == 4, "the couplings fill the SPRAM"
    assert made.bitstream.stat().st_size > 100_000
