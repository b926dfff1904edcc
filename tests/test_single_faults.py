"""One fault at every place of a session: whatever it is, the result is right or an error.

The session opens the simulated board, loads couplings, trains 50 samples and reads everything back.
With ``--long`` every byte and every frame in both directions meets every fault; without, a few do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from faults import QUICK, Training, quick_board

from relaxon import Config
from relaxon.errors import LinkError
from relaxon.protocol import ACCESS, Opcode, Space
from relaxon.session import Session
from relaxon.sim.chaos import BYTE_KINDS, Chaos, ChaosTransport, FaultAt
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.twin import Direction
from relaxon.sim.verilate import library

CONFIG = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)  # as test_conformance.py's
TINY = Config(neurons=4, inputs=3, classes=2, lanes=4)
"""A machine of fewer bytes, each of which is simulated sooner: for ``--long``."""
SHORT = 6
"""Places that are tried of each fault without ``--long``."""

DIRECTIONS: tuple[Direction, ...] = ("request", "reply")
SURVIVED = (
    ("flip", 0), ("flip", 3), ("flip", 7), ("lose", 0), ("repeat", 0), ("insert", 0),
    ("insert", 0xA5), ("drop", 0), ("duplicate", 0), ("reorder", 0), ("truncate", 1),
    ("truncate", 7), ("truncate", -1), ("stall", 0),
)  # fmt: skip
"""Faults after which the session goes on, and their details."""
GREETING = {"request": 4, "reply": 2}
"""Frames until the board has said twice who it is; requests come with an empty frame before them."""


@pytest.fixture(scope="module")
def training(long: bool) -> Training:
    training = Training(TINY if long else CONFIG, 50, whole=True)
    before, *_, last = training.history
    assert all(last.differences(before)[name] for name in ("recurrent", "input", "readout"))
    return training


@contextmanager
def simulated(config: Config, start: int = 0) -> Iterator[SimulatedTransport]:
    """A simulated board that expects the sequence number `start`."""
    transport = SimulatedTransport(path=_library(config))
    if start:
        read = bytes((Opcode.READ,)) + ACCESS.pack(space=Space.STATE, address=0, count=1)
        for _ in Session(transport).run([read] * start):
            pass
    try:
        yield transport
    finally:
        transport.close()


_library = cache(library)


class Link(ChaosTransport):
    """Leaves the board to the next link."""

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def places(training: Training) -> dict[Direction, tuple[int, int]]:
    """How many frames and bytes a session without a fault has, each way."""
    with simulated(training.config) as transport:
        link = ChaosTransport(transport, Chaos())
        training.carry_through(quick_board(link, training.config))
        return {direction: link.passed(direction) for direction in DIRECTIONS}


def chosen(count: int, long: bool, first: int) -> range:
    """All places, or some of them from about the `first` on."""
    stride = 1 if long else max(1, count // SHORT)
    return range(first % stride, count, stride)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("kind", "detail"), SURVIVED)
def test_one_fault_anywhere_is_survived(
    kind: str, detail: int, direction: Direction, long: bool, training: Training, places
):
    frames, data = places[direction]
    positions = chosen(data if kind in BYTE_KINDS else frames, long, SURVIVED.index((kind, detail)))
    wrong = {}
    began = time.monotonic()
    for position in positions:
        fault = FaultAt(kind, direction, position, detail, pause=3 * QUICK)
        with simulated(training.config) as transport:
            link = ChaosTransport(transport, fault)
            try:
                training.carry_through(quick_board(link, training.config))
                assert link.met.total() == 1, "the fault never happened"
            except (AssertionError, LinkError) as error:
                wrong[position] = error
    what = "bytes" if kind in BYTE_KINDS else "frames"
    print(
        f"\n{kind} {detail}: {len(positions):,} of {what} in a {direction} each met it in a session "
        f"of its own, {len(wrong)} ended wrong; {time.monotonic() - began:.1f} s"
    )
    assert not wrong


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_link_that_breaks_anywhere_is_told_and_training_goes_on_over_another(
    direction: Direction, long: bool, training: Training, places
):
    positions = chosen(places[direction][0], long, 1)
    wrong = {}
    for position in positions:
        with simulated(training.config) as transport:
            link = Link(transport, FaultAt("disconnect", direction, position))
            try:
                with pytest.raises(LinkError):
                    training.carry_through(quick_board(link, training.config))
                board = quick_board(transport, training.config)
                samples = board.counters()["samples"]
                if samples:
                    training.check(board, samples)
                    board.train(training.x[samples:], training.y[samples:])
                    training.check(board, training.n)
            except (AssertionError, LinkError, pytest.fail.Exception) as error:
                wrong[position] = error
    print(f"\nlink broken at each of {len(positions)} {direction} frames, {len(wrong)} ended wrong")
    assert not wrong


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("start", [0, 206, 226, 246])
def test_a_board_that_is_reset_anywhere_is_told(
    start: int, direction: Direction, long: bool, training: Training, places
):
    """Sequence numbers wrap within the session, so that a fresh board may want the very next one.

    While the board is being greeted nothing is lost with it, so the session may go on.
    """
    wrong, told = {}, 0
    wraps = GREETING[direction] + -start % 256  # the first frame that bears the number 0
    positions = sorted({wraps, *chosen(places[direction][0], long, start)})
    for position in positions:
        with simulated(training.config, start) as transport:
            link = Link(transport, FaultAt("reset", direction, position))
            try:
                training.carry_through(quick_board(link, training.config, timeout=0.5))
                if position >= GREETING[direction]:
                    wrong[position] = "no error, though all was right"
            except AssertionError as error:
                wrong[position] = f"WRONG RESULT WITHOUT AN ERROR: {error}"
            except LinkError:
                told += 1
                board = quick_board(transport, training.config)
                board.clear_counters()
                training.carry_through(board)
            assert link.met.total() == 1, "the fault never happened"
    print(
        f"\nboard reset within each of {len(positions)} {direction} frames, sequence from {start}: "
        f"{told} errors, {len(wrong)} ended wrong"
    )
    assert not wrong
