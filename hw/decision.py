"""Comparing the class scores: prediction, gate and readout margins."""

from __future__ import annotations

from amaranth import Array, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.registers import REGISTERS
from relaxon.layout import Layout


class Decision(wiring.Component):
    """Walks over the scores, one class per cycle.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    scores : In(C × signed)
        Must hold while `busy`.
    label : In
        y.
    gate, margin_true, margin_false : In(signed)
        Registers.
    start : In(1)
    busy : Out(1)
    prediction : Out
        argmax r, the lowest class on a tie.
    passes : Out(1)
        r[y] − max r[c≠y] > gate.
    up, down : Out(C)
        Class y where r[y] ≤ κ₊; the other classes where −r[c] ≤ κ₋.

    Timing
    ------
    `busy` for C + 2 cycles after `start`; the results hold until the next `start`.
    """

    def __init__(self, layout: Layout):
        config = layout.config
        self._classes = config.classes
        super().__init__(
            {
                "scores": In(data.ArrayLayout(signed(config.score_bits), config.classes)),
                "label": In(range(config.classes)),
                "gate": In(REGISTERS["gate"].shape),
                "margin_true": In(REGISTERS["readout_margin_true"].shape),
                "margin_false": In(REGISTERS["readout_margin_false"].shape),
                "start": In(1),
                "busy": Out(1),
                "prediction": Out(range(config.classes)),
                "passes": Out(1),
                "up": Out(config.classes),
                "down": Out(config.classes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        at, walking = Signal(range(self._classes)), Signal()
        score = Signal.like(self.scores[0])
        compared, compares, finishes = Signal.like(at), Signal(), Signal()
        best, rival, true = (Signal.like(score, name=n) for n in ("best", "rival", "true"))
        any_best, any_rival = Signal(), Signal()
        m.d.comb += self.busy.eq(walking | compares | finishes)

        # Fetch r[at] …
        m.d.sync += [score.eq(Array(self.scores)[at]), compared.eq(at), compares.eq(walking)]
        with m.If(walking):
            m.d.sync += at.eq(at + 1)
            with m.If(at == self._classes - 1):
                m.d.sync += walking.eq(0)
        # … compare it …
        is_label = compared == self.label
        with m.If(compares):
            with m.If((score > best) | ~any_best):
                m.d.sync += [best.eq(score), self.prediction.eq(compared)]
            with m.If(~is_label & ((score > rival) | ~any_rival)):
                m.d.sync += [rival.eq(score), any_rival.eq(1)]
            with m.If(is_label):
                m.d.sync += true.eq(score)
            m.d.sync += [
                any_best.eq(1),
                self.up.bit_select(compared, 1).eq(is_label & (score <= self.margin_true)),
                self.down.bit_select(compared, 1).eq(~is_label & (-score <= self.margin_false)),
            ]
        # … and, after the last, the gate.
        m.d.sync += finishes.eq(compares & ~walking)
        with m.If(finishes):
            m.d.sync += self.passes.eq(true - rival > self.gate)

        with m.If(self.start):
            m.d.sync += [walking.eq(1), at.eq(0), any_best.eq(0), any_rival.eq(0)]
        return m
