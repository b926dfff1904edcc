"""Clock cycles of every phase of a sample, as formulas, exact (tested against the RTL's counters).

With P lanes, γ groups, Gm groups per module (`relaxon.layout`), N inputs and C classes:

| phase  | cycles per sample |
|--------|-------------------|
| input  | N·γ |
| sweep  | sweeps · (γ + SWEEP) + 2 · BRANCH where the label was clamped |
| event  | (M·H + flips)·Gm + EVENT · (sweeps that moved a neuron, the free one included) |
| clamp  | 2·γ where the label was clamped |
| decide | C + DECIDE, once per comparison of the scores |
| learn  | the longer of couplings and readout, where the sample was learned |

Couplings: γ + LEARN, and for each group that holds an unstable neuron VISIT, N if W learns, H if
J learns and HOLD if either does. Readout: γ·P + READOUT if any class is below its margin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from relaxon.config import Config
from relaxon.layout import Layout

Counts = npt.NDArray[np.int64]


SWEEP = 10
"""From the last EVALUATE of a sweep to the next sweep or event."""
BRANCH = 1
"""From the label's clamp or release to the next sweep."""
EVENT = 3
"""From the list of neurons that changed to the first column, and on from the last."""
DECIDE = 8
"""The last events reach the scores; the gate is compared."""
LEARN = 11
"""From the last EVALUATE to the first row, and the end of the step."""
VISIT = 1
"""Taking a group from the list."""
HOLD = 2
"""The last couplings of a group are still being updated."""
READOUT = 5
"""Start and end of the readout's pass over its slots."""


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
    layout = Layout(config)
    groups, r, a = layout.groups, config.registers, activity
    learning = config.inputs * r.learn_input + config.neurons * r.learn_recurrent
    row = VISIT + learning + (HOLD if learning else 0)
    couplings = groups + LEARN + a.active_groups * row
    readout = (layout.slots + READOUT) * a.readout_learned
    return {
        "input": np.full_like(a.sweeps, config.inputs * groups),
        "sweep": a.sweeps * (groups + SWEEP) + 2 * BRANCH * a.clamped,
        "event": (config.total_neurons + a.flips) * layout.groups_per_module + EVENT * a.moving,
        "clamp": 2 * groups * a.clamped,
        "decide": (config.classes + DECIDE) * a.decisions,
        "learn": np.maximum(couplings, readout) * a.learned,
    }
