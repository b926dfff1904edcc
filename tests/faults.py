"""What tests of a faulty link share: a training to be carried through, and the model's result."""

from __future__ import annotations

from functools import cache
from unittest import mock

import numpy as np
from recorded import random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.build_id import build_id
from relaxon.framing import Deframer
from relaxon.linkboard import LinkBoard
from relaxon.session import Session
from relaxon.sim.model import Model
from relaxon.transport import Transport

QUICK = 0.002
"""Seconds before a silent board is asked again; a twin or a simulated board answers at once or
never."""


def messages(data: bytes) -> list[bytes]:
    """The messages in bytes from the wire."""
    return Deframer(0xFFFF).feed(data)


def quick_board(transport: Transport, config: Config | None, timeout: float = 2.0) -> LinkBoard:
    """A board whose session asks again soon, from its first greeting on."""
    with (
        mock.patch.dict(Session.__init__.__kwdefaults__, retry=QUICK),
        mock.patch("relaxon.linkboard.build_id", _build_id),
    ):
        return LinkBoard(transport, config, timeout=timeout)


_build_id = cache(build_id)  # reads all of the gateware's sources


class Training:
    """`n` samples for a machine, and what the reference model makes of them.

    `history` are the couplings after 0, 1, … n samples (the first and the last where not `whole`),
    `predictions` what each sample is answered.
    """

    def __init__(self, config: Config, n: int, *, whole: bool = False):
        self.config, self.n = config, n
        self.start = random_couplings(config, seed=1)
        self.x, self.y = random_samples(config, n, seed=2)
        model = Model(config, self.start)
        self.history = [_copy(model)]
        self.predictions = np.zeros(n, np.uint8)
        for k in range(n):
            self.predictions[k] = model.train_one(self.x[k], int(self.y[k])).prediction
            if whole or k == n - 1:
                self.history.append(_copy(model))

    def carry_through(self, board: LinkBoard) -> None:
        """Load, train, read back; everything must be as the model has it."""
        board.load(self.start)
        outcomes = board.train(self.x, self.y)
        self.check(board, self.n)
        assert np.array_equal(outcomes.prediction, self.predictions)

    def check(self, board: LinkBoard, samples: int) -> None:
        """The board has learned the first so many samples, each exactly once."""
        counted = board.counters()["samples"]
        assert counted == samples, f"{counted} samples were carried out, not {samples}"
        wanted = self.history[-1] if samples == self.n else self.history[samples]
        differ = board.couplings().differences(wanted)
        assert not any(differ.values()), differ


def _copy(model: Model) -> Couplings:
    return Couplings(**{name: getattr(model, name).copy() for name in Couplings.NAMES})
