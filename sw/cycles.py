"""Clock cycles of every phase of a sample, as formulas (tested against the RTL's own counters).

With P lanes, γ groups, Gm groups per module (`relaxon.layout`), N inputs and C classes:

| phase  | cycles per sample |
|--------|-------------------|
| input  | N·γ + INPUT |
| sweep  | sweeps · (γ + SWEEP) |
| event  | (M·H + flips)·Gm + EVENT · (sweeps that moved a neuron, the free one included) |
| clamp  | 2 · (γ + CLAMP), where the label was clamped |
| decide | C + DECIDE, once per comparison of the scores |
| learn  | LEARN + max(stability and couplings, readout), where the sample was learned |

Couplings: γ + STABILITY, and for each group that holds an unstable neuron
ROW + N (if W learns) + H (if J learns). Readout: γ·P + READOUT if any class is below its margin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from relaxon.config import Config
from relaxon.layout import Layout

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Activity:
    """What happened in each sample of a run; every array has shape (n,), int64.

    `sweeps` counts the free sweep, `moving` the sweeps after which some neuron differed (the free
    one always does), `clamped` is 1 where the label was clamped, `decisions` how often the scores
    were compared, `learned` 1 where the learning step was reached, `active_groups` the groups
    holding an unstable neuron there, `readout_learned` 1 where some class was below its margin.
    """

    sweeps: Counts
    moving: Counts
    flips: Counts
    clamped: Counts
    decisions: Counts
    learned: Counts
    active_groups: Counts
    readout_learned: Counts

    @classmethod
    def zeros(cls, n: int) -> Activity:
        """No activity, for `n` samples; filled in place by the models."""
        return cls(*(np.zeros(n, np.int64) for _ in fields(cls)))


def phase_cycles(config: Config, activity: Activity) -> dict[str, Counts]:
    """Cycles of each phase (keys: `relaxon.protocol.PHASES`), per sample."""
    raise NotImplementedError
