"""The command port survives whatever comes: it counts it, and goes on learning correctly."""

from __future__ import annotations

import random

import numpy as np
import pytest
from recorded import random_samples

from relaxon import Config, Couplings
from relaxon.errors import IdentityError
from relaxon.framing import encode
from relaxon.linkboard import LinkBoard
from relaxon.protocol import Opcode
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.simulated import SimulatedTransport

CONFIG = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)  # as test_conformance.py's


def train_frame(sequence: int, inputs: int) -> bytes:
    """A training frame for a machine of so many inputs."""
    return bytes((sequence, Opcode.TRAIN, 0)) + bytes(-(-inputs // 8))


def test_training_goes_on_correctly_after_garbage() -> None:
    x, y = random_samples(CONFIG, 100, seed=8)
    start = Couplings.fresh(CONFIG, 8)
    transport = SimulatedTransport(CONFIG)
    board = LinkBoard(transport, CONFIG)
    board.load(start)
    board.train(x[:50], y[:50])
    before = board.counters()
    expected = (board.session.identity.expected + before["frames"]) & 0xFF

    good = encode(train_frame(expected, CONFIG.inputs))
    broken = bytearray(good)
    broken[4] ^= 0x20
    garbage = {
        "random bytes": random.Random(8).randbytes(4000) + b"\0",
        "a truncated frame": good[:-4] + b"\0",
        "a frame longer than the receive buffer": b"\x01" * 3000 + b"\0",
        "a frame with a wrong checksum": bytes(broken),
        "half a frame, never ended": good[:5],
        "delimiters": b"\0" * 100,
        "another machine's sample, twice": encode(train_frame(expected ^ 0x80, 90)) * 2,
    }
    for data in garbage.values():
        transport.write(data)
        while transport.read(1.0):
            pass

    with LinkBoard(transport, CONFIG) as again:
        counted = again.counters()
        for name in ("samples", "learned", "cycles", "updates"):
            assert counted[name] == before[name], "garbage was learned"
        assert counted["bad_frames"] > before["bad_frames"] + 2
        assert counted["overflows"] > before["overflows"]
        assert counted["out_of_sequence"] >= before["out_of_sequence"] + 2
        again.train(x[50:], y[50:])
        with ModelBoard(CONFIG) as model:
            model.load(start)
            model.train(x, y)
            assert not any(again.couplings().differences(model.couplings()).values())
            assert np.array_equal(again.read("state"), model.read("state"))


def test_another_machine_is_refused_with_what_differs() -> None:
    with pytest.raises(IdentityError, match="inputs: board 11, wanted 12"):
        LinkBoard(SimulatedTransport(CONFIG), CONFIG.replace(inputs=12))
