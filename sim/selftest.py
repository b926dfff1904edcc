"""The signature that a board's self-test must measure, from the reference model."""

from __future__ import annotations

from typing import NamedTuple

from relaxon.config import Config
from relaxon.selftest import Script
from relaxon.sim.twin import Twin


class Expected(NamedTuple):
    """What a self-test must come to: its `signature`, and about how many clock `cycles` it takes."""

    signature: int
    cycles: int


def expected(config: Config) -> Expected:
    """Play the script of the self-test to the model's twin. Only the structure matters."""
    script = Script(config)
    twin = Twin(config.replace(registers=script.registers))
    signature = twin.self_test()
    return Expected(signature, script.cycles(twin.memory.model.counters["cycles"]))
