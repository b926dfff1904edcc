"""Comparing the class scores: prediction, gate and readout margins."""

from __future__ import annotations

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.registers import REGISTERS
from relaxon.hw.rotation import delayed
from relaxon.layout import Layout


class Decision(wiring.Component):
    """Asks for the scores, one class per cycle, and compares them.

    Parameters
    ----------
    layout
        The machine's geometry.
    latency
        Cycles from `score_of` to `score`.

    Members
    -------
    score_of : Out, score : In
        Scores must hold while `busy`.
    label : In
        y.
    gate, margin_true, margin_false : In(signed)
        Registers.
    start : In(1)
    busy : Out(1)
    scores : Out(C × signed)
        All of them, for the host.
    prediction : Out
        argmax r, the lowest class on a tie.
    passes : Out(1)
        r[y] − max r[c≠y] > gate.
    up, down : Out(C)
        Class y where r[y] ≤ κ₊; the other classes where −r[c] ≤ κ₋.

    Timing
    ------
    `busy` for C + 1 + latency cycles after `start`; the results hold until the next `start`.
    """

    def __init__(self, layout: Layout, latency: int):
        config = layout.config
        self._classes, self._latency = config.classes, latency
        super().__init__(
            {
                "score_of": Out(range(config.classes)),
                "score": In(signed(config.score_bits)),
                "label": In(range(config.classes)),
                "gate": In(REGISTERS["gate"].shape),
                "margin_true": In(REGISTERS["readout_margin_true"].shape),
                "margin_false": In(REGISTERS["readout_margin_false"].shape),
                "start": In(1),
                "busy": Out(1),
                "scores": Out(data.ArrayLayout(signed(config.score_bits), config.classes)),
                "prediction": Out(range(config.classes)),
                "passes": Out(1),
                "up": Out(config.classes),
                "down": Out(config.classes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        walking, finishes = Signal(), Signal()
        score = self.score
        best, rival, true = (Signal.like(score, name=n) for n in ("best", "rival", "true"))
        any_best, any_rival, up, down = Signal(), Signal(), Signal(), Signal()

        # Ask for r[at] …
        at = self.score_of
        with m.If(walking):
            m.d.sync += at.eq(at + 1)
            with m.If(at == self._classes - 1):
                m.d.sync += walking.eq(0)
        # … compare it …
        compares, compared, last = delayed(
            m, self._latency, walking, at, walking & (at == self._classes - 1)
        )
        is_label = compared == self.label
        with m.If(compares):
            m.d.sync += self.scores[compared].eq(score)
            with m.If((score > best) | ~any_best):
                m.d.sync += [best.eq(score), self.prediction.eq(compared)]
            with m.If(~is_label & ((score > rival) | ~any_rival)):
                m.d.sync += [rival.eq(score), any_rival.eq(1)]
            with m.If(is_label):
                m.d.sync += true.eq(score)
            m.d.sync += [
                any_best.eq(1),
                up.eq(is_label & (score <= self.margin_true)),
                down.eq(~is_label & (score + self.margin_false >= 0)),
            ]
        sets, place = delayed(m, 1, compares, compared)
        with m.If(sets):
            m.d.sync += [
                self.up.bit_select(place, 1).eq(up), self.down.bit_select(place, 1).eq(down),
            ]  # fmt: skip
        # … and, after the last, the gate.
        m.d.sync += finishes.eq(last)
        with m.If(finishes):
            m.d.sync += [self.passes.eq(true - rival > self.gate), self.busy.eq(0)]

        with m.If(self.start):
            m.d.sync += [walking.eq(1), at.eq(0), self.busy.eq(1), any_best.eq(0), any_rival.eq(0)]
        return m
