"""Answers to the self-test's script that are made up, but the same wherever they are asked for."""

from __future__ import annotations

import random

from relaxon.selftest import Script


def bodies(script: Script) -> list[bytes]:
    """Of the answers to its commands."""
    rng = random.Random(5)
    return [rng.randbytes(rng.choice((0, 1, rng.randrange(12)))) for _ in script.commands()]
