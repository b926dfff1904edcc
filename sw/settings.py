"""The rule's parameters in the papers' units (arXiv 2509.05041, 2510.11984), and the named presets.

A fresh coupling has the spread σ, a fresh recurrent field the spread K = σ√H: that is the papers'
1.0. Scores are compared in units of `readout_unit`·√(M·H). `Settings.registers` turns all of it
into the integers of a machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaxon import protocol
from relaxon.errors import ConfigError

if TYPE_CHECKING:
    from relaxon.config import Config

FEEDBACK = 32
"""Largest spread of F in its int8: 4σ fit."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a machine relaxes and learns, whatever its size.

    Attributes
    ----------
    spread
        σ: standard deviation of fresh J and W in LSB of 8 bits; with fewer bits it shrinks with the
        range. A coupling learns by 1 LSB, that is 1/σ of it.
    input_strength
        λ_in: spread of a fresh input field, in K, as nearly as a shift of 0 to 7 bits comes to it.
    self_coupling, chain_coupling
        J_D and λ, in K.
    margin
        κ − J_D − λ, in K.
    feedback
        Spread of the label's field, in K.
    readout_bits
        Width of O.
    readout_unit
        Unit of the next three, in LSB·√(M·H): the larger it is, the finer the readout's step.
    readout_true, readout_false
        κ₊ and κ₋.
    sweeps_clamped, sweeps_released, sweeps_infer
        Most sweeps with the label, after it, and of an inference.
    gate
        Above this lead of the right class a sample is not learned; None: every sample is.
    """

    spread: float = 32
    input_strength: float = 5.0
    self_coupling: float = 0.5
    chain_coupling: float = 0.0
    margin: float = 0.5
    feedback: float = 0.62
    readout_bits: int = 12
    readout_unit: float = 64
    readout_true: float = 1.2
    readout_false: float = 3.79
    sweeps_clamped: int = 2
    sweeps_released: int = 1
    sweeps_infer: int = 2
    gate: float | None = None

    def sigma(self, bits: int) -> float:
        """σ of couplings of so many bits, in their LSB: less where these are fewer than 8, so that 4σ
        still fit."""
        return self.spread * 2.0 ** min(0, bits - 8)

    def k(self, config: Config) -> float:
        """K = σ√H: the field, in LSB, that stands for the papers' 1.0.

        Where J has a larger LSB than W, r makes up for it; where W has, b does.
        """
        widest = max(config.recurrent_bits, config.weight_bits)
        shifted = self.sigma(config.recurrent_bits)
        if config.recurrent_bits < widest:
            shifted = self.sigma(widest)
        return shifted * math.sqrt(config.neurons)

    def registers(self, config: Config) -> dict[str, int]:
        """The registers that these settings decide, by name.

        b = max(0, round(log2(λ_in √(H/N)))), more where W has a larger LSB than J; r where J has. F is
        kept as int8 << f with the smallest f that leaves its spread at `FEEDBACK` or less.
        """
        k, unit = self.k(config), self.readout_unit * math.sqrt(config.total_neurons)
        feedback = max(1, self.feedback * k / FEEDBACK)
        finer = round(
            math.log2(self.sigma(config.recurrent_bits) / self.sigma(config.weight_bits))
        )
        strength = self.input_strength * math.sqrt(config.neurons / config.inputs)
        shifts = protocol.REGISTERS[0].high
        return dict(
            input_shift=min(shifts, max(0, round(math.log2(strength)) + max(0, finer))),
            recurrent_shift=min(shifts, max(0, -finer)),
            feedback_shift=min(shifts, math.ceil(math.log2(feedback))),
            self_coupling=round(self.self_coupling * k),
            chain_coupling=round(self.chain_coupling * k),
            margin=round((self.margin + self.self_coupling + self.chain_coupling) * k),
            readout_margin_true=round(self.readout_true * unit),
            readout_margin_false=round(self.readout_false * unit),
            sweeps_clamped=self.sweeps_clamped,
            sweeps_released=self.sweeps_released,
            sweeps_infer=self.sweeps_infer,
            gate_enable=int(self.gate is not None),
            gate=round((self.gate or 0) * unit),
        )

    def feedback_spread(self, config: Config) -> float:
        """Standard deviation of a fresh F in int8 LSB, before the shift."""
        return self.feedback * self.k(config) / (1 << self.registers(config)["feedback_shift"])


PRESETS = {
    "paper": Settings(),
    "modules": Settings(readout_bits=14, readout_unit=256, feedback=0.9, gate=2.0),
    "tuned": Settings(
        spread=40, self_coupling=0.6, margin=0.48, feedback=1.06, readout_bits=15, readout_unit=512,
        readout_true=3.9, readout_false=1.75, sweeps_clamped=1, sweeps_released=3, sweeps_infer=3,
        gate=2.12,
    ),
}  # fmt: skip
"""`paper`: one module of a few hundred neurons, as in arXiv 2509.05041. `modules`: many small ones,
gated. `tuned`: the same with what the experiment `search` found best of 46 settings drawn at random, on
validation images of Entangled MNIST of 100 bits, where it is .005 ahead; with the test images of five
tasks it is so by -.001 to .005 (`presets`)."""


def settings_of(preset: str | Settings) -> Settings:
    """The settings of that name, or these. `ConfigError` for an unknown name."""
    if isinstance(preset, Settings):
        return preset
    if preset not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    return PRESETS[preset]
