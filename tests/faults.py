"""Faults between host and twin, to be passed as `alter` to `TwinTransport`."""

from __future__ import annotations

import random
from collections.abc import Callable

from relaxon.framing import Deframer
from relaxon.sim.twin import Direction

KINDS = ("drop", "duplicate", "corrupt", "truncate")


def spoil(frame: bytes, kind: str, rng: random.Random) -> bytes:
    """What arrives of a frame that meets a fault."""
    if kind == "drop":
        return b""
    if kind == "duplicate":
        return frame + frame
    if kind == "truncate":
        return frame[: rng.randrange(len(frame))]  # the delimiter is lost with the rest
    at = rng.randrange(len(frame))
    return frame[:at] + bytes([frame[at] ^ (1 << rng.randrange(8))]) + frame[at + 1 :]


class RandomFaults:
    """Each frame meets one of the faults with probability `rate`, in both directions."""

    def __init__(self, seed: int, rate: float):
        self.rng = random.Random(seed)
        self.rate = rate
        self.met = 0

    def __call__(self, direction: Direction, frame: bytes) -> bytes:
        if self.rng.random() >= self.rate:
            return frame
        self.met += 1
        return spoil(frame, self.rng.choice(KINDS), self.rng)


class FaultAt:
    """One action at one frame: the `position`th of `direction` (requests include HELLO)."""

    def __init__(self, position: int, direction: Direction, action: Callable[[bytes], bytes]):
        self.left, self.direction, self.action = position, direction, action

    def __call__(self, direction: Direction, frame: bytes) -> bytes:
        if direction != self.direction:
            return frame
        self.left -= 1
        return self.action(frame) if self.left == -1 else frame


def messages(data: bytes) -> list[bytes]:
    """The messages in bytes from the wire."""
    return Deframer(0xFFFF).feed(data)
