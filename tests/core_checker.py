"""Compares what a core answers with what its twin said."""

from __future__ import annotations

from typing import NamedTuple

from core_bins import LinkBins, messages
from core_traffic import Piece

from relaxon.sim.twin import Twin


class Answer(NamedTuple):
    """What the twin says; a `repeat` may be left out if the answer had not been sent yet."""

    message: bytes
    repeat: bool


class Checker:
    """Compares what a core answers with what its twin said."""

    def __init__(self, seen: LinkBins, twin: Twin):
        self._seen, self._twin, self._wanted = seen, twin, list[Answer]()
        self.answers = 0

    def told(self, piece: Piece) -> bytes:
        """Give the twin a piece and note its answers; returns the piece's bytes."""
        memory, expected = self._twin.memory, self._twin._expected
        link, chip = dict(memory.counters), dict(memory.model.counters)
        answer = self._twin.feed(piece.data)
        self._seen.fed(piece, link, expected, answer)
        repeat = memory.counters["duplicates"] != link["duplicates"]
        self._wanted += [Answer(message, repeat) for message in messages(answer)]
        if piece.kind == "due" and piece.data and not repeat:
            self._seen.wrapped(chip)
        return piece.data

    def check(self, received: bytes) -> None:
        """All that came until the core was at rest."""
        came = messages(received)
        assert received.count(0) == len(came), f"broken answers: {received.hex(' ')}"
        at = 0
        for wanted in self._wanted:
            if at < len(came) and came[at] == wanted.message:
                at += 1
            else:
                found = came[at].hex(" ") if at < len(came) else "nothing"
                assert wanted.repeat, f"wanted {wanted.message.hex(' ')}, found {found}"
                self._seen.order.hit("an answer not sent yet: not sent twice")
        assert at == len(came), f"nobody asked for {came[at].hex(' ')}"
        self.answers += at
        self._wanted.clear()
