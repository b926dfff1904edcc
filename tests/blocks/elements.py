"""A model of the readout's elements on their slots: what scores are made of, and how they learn."""

from __future__ import annotations

import random

from relaxon.layout import Layout


class Elements:
    """O and the states of one strip's slots, and the scores they make.

    Parameters
    ----------
    layout, number
        The machine's geometry, and which strip it is.
    """

    def __init__(self, layout: Layout, number: int, rng: random.Random):
        self.layout, self.limit, self.rng = layout, layout.config.readout_max, rng
        classes, lanes = layout.config.classes, layout.strip_lanes
        self.first = number * layout.groups * lanes
        self.values = [self._word() for _ in range(layout.groups * lanes)]
        body, tail = (m >> number * lanes & (1 << lanes) - 1 for m in layout.padding())
        self.used = [
            group * lanes + lane
            for group in range(layout.groups)
            for lane in range(lanes)
            if (tail if (group + 1) % layout.tail_period == 0 else body) >> lane & 1
        ]
        """Slots that hold a neuron."""
        self.states = [rng.getrandbits(lanes) for _ in range(layout.groups)]
        self.classes, self.lanes = classes, lanes

    def _word(self) -> list[int]:
        """Elements of a slot, often near an end of their range."""
        rng, limit = self.rng, self.limit
        return [
            rng.choice((limit, -limit, rng.randint(-limit, limit)))
            for _ in range(self.layout.config.classes)
        ]

    def state(self, slot: int) -> int:
        """1: +1."""
        group, lane = divmod(slot, self.lanes)
        return self.states[group] >> lane & 1

    def flip(self, slot: int) -> None:
        """The neuron there changes sign."""
        group, lane = divmod(slot, self.lanes)
        self.states[group] ^= 1 << lane

    def scores(self) -> list[int]:
        """This strip's part of r."""
        signs = [(slot, 1 if self.state(slot) else -1) for slot in self.used]
        return [sum(self.values[slot][c] * sign for slot, sign in signs) for c in range(self.classes)]

    def learn(self, up: int, down: int, step_true: int, step_false: int) -> int:
        """O ← sat(O ± step·s) for classes of `up`, `down`; returns how many elements were cut."""
        cut = 0
        for slot in self.used:
            sign, word = 1 if self.state(slot) else -1, self.values[slot]
            for c in range(self.classes):
                step = step_true if up >> c & 1 else -step_false if down >> c & 1 else 0
                wanted = word[c] + step * sign
                word[c] = max(-self.limit, min(self.limit, wanted))
                cut += wanted != word[c]
        return cut

    def pair(self, a: int, b: int | None = None) -> dict:
        """The event that the neurons of one or two slots of a group have these states."""
        group, place = divmod(a, self.lanes)
        pair = {"a": place, "positive_a": self.state(a), "tag": {"group": group}}
        if b is not None:
            pair |= {"two": 1, "b": b % self.lanes, "positive_b": self.state(b)}
        return {"valid": 1, "pair": pair}

    def events(self, slots: list[int]) -> list[dict]:
        """Events for all of these slots, some in pairs; a pair is of one group."""
        events, left = [], list(slots)
        while left:
            a, mate = left.pop(), None
            others = [slot for slot in left if slot // self.lanes == a // self.lanes]
            if others and self.rng.random() < 0.6:
                mate = self.rng.choice(others)
                left.remove(mate)
            events.append(self.pair(a, mate))
        return events

    def raw(self, slot: int) -> int:
        """The host's word of a slot."""
        return sum((v & 0xFFFF) << 16 * c for c, v in enumerate(self.values[slot]))
