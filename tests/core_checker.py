"""Compares what a core answers with what its twin said."""

from __future__ import annotations

from typing import NamedTuple

from core_bins import LinkBins, messages


class Answer(NamedTuple):
    """What the twin says; a `repeat` may be left out if the answer had not been sent yet."""

    message: bytes
    repeat: bool


class Checker:
    """Compares what a core answers with what its twin said."""

    def __init__(self, seen: LinkBins):
        self._seen, self._wanted = seen, list[Answer]()
        self.answers = 0

    def expect(self, answers: list[bytes], *, repeat: bool) -> None:
        """The twin's answers to a frame."""
        self._wanted += [Answer(message, repeat) for message in answers]

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
