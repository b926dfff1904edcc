"""Clock cycles of every phase of a sample, exact (tested against the gateware's counters).

The phases follow one another; `docs/architecture.md` derives each figure here. What takes longer the
more there is to do is the *issue* of columns and rows: entries (words of inputs, or groups of
neurons, with marked bits) arrive one per cycle, each is worth a number of turns, and a turn keeps
the weight memory busy for `step` cycles. An entry starts when it has arrived and the one before it
is through. `input_time`, `event_time` and `learn_time` follow the issue entry by entry; they are
plain loops over integers, so that NumPy model and compiled fast path share them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from relaxon.config import Config
from relaxon.layout import Layout

Counts = npt.NDArray[np.int64]

INPUT = 6
"""From taking a sample to the first column of its inputs."""
REPORT = 6
"""From an evaluation to its neurons in the list, beside the weight memory's latency (compact lanes,
if few: a cycle less)."""
SCAN = 3
"""From the list to the first column."""
QUIET = 6
"""From the last evaluation to the end of a sweep that moves nothing, beside that latency (compact
lanes, if few: a cycle less)."""
DECIDE = 3
"""Asking for a decision and seeing its end, beside a cycle a class and the scores' latency."""
READOUT = 6
"""Start and end of the readout's pass over its words."""
CLASS = 3
"""A serial readout's cycles for a class, beside one for `readout_width` slots, and the latencies of
words and scores."""
ROTATION_STEPS = 3
"""Doublings of a rotation's distance that the skewed store does in a cycle."""
WIDE = 32
"""Lanes from which on a column store's memory has registers all around …"""
WIDE_LATENCY = 5
"""… so that a word takes so many cycles, not one."""
SCORES_ADDED = 4
"""Strips whose scores are added in a cycle."""


class Timing(NamedTuple):
    """The numbers that the times below depend on.

    `latency` is the weight memory's, `side` the same for a serial readout and the host, `report` and
    `quiet` are `REPORT` and `QUIET` of this machine, `label` the cycles that clamping and releasing
    take by themselves, `input_width` the inputs of a word, `input_words` what is walked over, `decide`
    the cycles of a decision, `readout` those in which the readout learns all its words (skewed) or a
    class (column store), `parts` the groups of a module, `learn_step` the cycles in which a neuron
    (skewed) or a group (column store) learns and `learn_start` what precedes the first, `learn_end`
    what follows the last; `coupled` is 1 where modules are coupled in a chain, `sequential` where the
    groups of a sweep are updated in turn.
    """

    groups: int
    groups_per_bin: int
    parts: int
    columns: int
    latency: int
    side: int
    report: int
    quiet: int
    label: int
    input_width: int
    input_words: int
    readout: int
    decide: int
    learn_step: int
    learn_start: int
    learn_end: int
    skewed: int
    coupled: int
    sequential: int


def timing(config: Config) -> Timing:
    """The timing of a machine under its registers."""
    layout, r = Layout(config), config.registers
    skewed = config.store == "skewed"
    turns = -(-(layout.banks.bit_length() - 1) // ROTATION_STEPS)
    scores, strips = 1, layout.strips
    while strips > 1:
        scores, strips = scores + 1, -(-strips // SCORES_ADDED)
    words = -(-config.inputs // layout.input_word)
    latency = 3 + turns
    if layout.serial:
        latency = WIDE_LATENCY if layout.lanes >= WIDE else 1
    side = latency if latency == 1 else latency + 2
    units = layout.groups * layout.strip_lanes // layout.readout_width
    decide = config.classes + scores + DECIDE
    if layout.serial:
        scores += layout.readout_width.bit_length() - 1
        decide = config.classes * (units + side + scores + CLASS) + 2
    if skewed:
        step = words * r.learn_input + layout.groups_per_module * r.learn_recurrent
    else:
        step = 2 * (config.inputs * r.learn_input + config.neurons * r.learn_recurrent)
    return Timing(
        groups=layout.groups,
        groups_per_bin=layout.groups_per_bin,
        parts=layout.groups_per_module,
        columns=layout.columns,
        latency=latency,
        side=side,
        report=REPORT if latency > 1 else REPORT - 1,
        quiet=QUIET if latency > 1 else QUIET - 1,
        label=0 if skewed else 2 * layout.groups,
        input_width=layout.input_word,
        input_words=words,
        readout=2 * units + side + 1 if layout.serial else units + READOUT,
        decide=decide,
        learn_step=step,
        learn_start=SCAN + 1 if skewed else 0,
        learn_end=3 if skewed else latency + 2,
        skewed=int(skewed),
        coupled=int(config.modules > 1 and r.chain_coupling != 0),
        sequential=r.sequential,
    )


def input_time(t: Timing, changed: Any, anew: bool) -> tuple[int, int]:
    """Cycles of the input phase, and turns, from the inputs that changed in every word; `anew`:
    the accumulators are cleared first."""
    free, turns = (1 + t.groups if anew else 0), 0
    for word in range(changed.size):
        n = -(-changed[word] // t.columns)
        if n > 0:
            free = max(INPUT + word, free) + n * t.groups
            turns += n
    return max(t.input_words + 4, free + (t.groups == 1)), turns


def event_time(t: Timing, visited: Any, moved: Any, free_sweep: bool) -> tuple[int, int, int]:
    """Cycles of a sweep's evaluations, those from their end to that of its events (in turn: summed over
    the groups), and turns, from the groups visited and the neurons that moved in every (group,
    strip)."""
    time, turns, together = 0, 0, moved.shape[0]
    if t.sequential and not free_sweep:
        together = 1
    for first in range(0, moved.shape[0], together):
        groups = visited[first : first + together].sum()
        end, earliest = groups + t.latency + t.quiet, 0
        if t.skewed == 0:
            earliest = groups + SCAN
        elif not free_sweep:
            earliest = groups
        if t.coupled and not free_sweep:
            earliest = groups + t.latency + SCAN
        for strip in range(moved.shape[1]):
            free, at = 0, 0
            for group in range(first, first + together):
                n = -(-moved[group, strip] // t.columns)
                if n > 0:
                    arrival = max(at + t.latency + t.report + SCAN, earliest)
                    free = max(arrival, free) + n * t.parts
                    turns += n
                at += visited[group]
            if free > 0:
                end = max(end, free + 1)
        time += end - groups + 1
    return visited.sum(), time, turns


def visit(t: Timing, visited: Any, moved: Any, first: bool) -> None:
    """Mark the groups that a sweep evaluates: all of them in the first one of a phase, where modules
    are coupled or in turn, else the bins of rows in which a neuron moved before (`moved`)."""
    if first or t.coupled or t.sequential:
        visited[:] = 1
        return
    visited[:] = 0
    for group in range(visited.size):
        if moved[group].any():
            first_group = group // t.groups_per_bin * t.groups_per_bin
            visited[first_group : first_group + t.groups_per_bin] = 1


def learn_time(t: Timing, unstable: Any, classes: int) -> tuple[int, int]:
    """Cycles of the learning step, and those in which the weight memory is used, from the unstable
    neurons in every (group, strip) and the classes whose readout learns."""
    end, turns, earliest = t.groups + t.latency + t.quiet, 0, t.groups + t.skewed
    if t.learn_step > 0:
        for strip in range(unstable.shape[1]):
            free = 0
            for group in range(unstable.shape[0]):
                n = unstable[group, strip]
                if n > 0:
                    if t.skewed == 0:
                        n = 1
                    arrival = max(group + t.latency + t.report + t.learn_start, earliest)
                    free = max(arrival, free) + n * t.learn_step
                    turns += n
            if free > 0:
                end = max(end, free + t.learn_end)
    if t.skewed == 0:  # one after the other
        return end + t.decide + classes * t.readout, turns * t.learn_step
    readout = t.decide + (t.readout if classes > 0 else 0)
    return max(end + 1, readout) + 1, turns * t.learn_step


SUMMED = ("learned", "sweeps", "flips", "moves", "input_changes", "weight_accesses")
"""Counters that are sums of an `Activity`'s arrays."""


@dataclass(frozen=True)
class Activity:
    """What happened in each sample of a run; every array has shape (n,), int64.

    `sweeps` counts the free sweep, whose flips are `moves`; `clamped` and `learned` are 1 where the
    label was clamped and where the learning step was reached, `evaluations` the groups evaluated in
    sweeps, `decisions` how often the scores were compared with nothing else to do. `input_time`,
    `event_time` and `learn_time` are cycles, `weight_accesses` the cycles in which the
    weight memory is used, summed over strips.
    """

    sweeps: Counts
    flips: Counts
    moves: Counts
    input_changes: Counts
    clamped: Counts
    evaluations: Counts
    decisions: Counts
    learned: Counts
    input_time: Counts
    event_time: Counts
    learn_time: Counts
    weight_accesses: Counts

    @classmethod
    def zeros(cls, n: int) -> Activity:
        """No activity, for `n` samples; filled in place by the models."""
        return cls(*(np.zeros(n, np.int64) for _ in fields(cls)))


def phase_cycles(config: Config, activity: Activity) -> dict[str, Counts]:
    """Cycles of each phase (keys: `relaxon.protocol.PHASES`), per sample."""
    t, a = timing(config), activity
    return {
        "input": a.input_time,
        "sweep": a.evaluations + 2 * a.sweeps - 1 + (2 + t.label) * a.clamped,
        "event": a.event_time,
        "decide": t.decide * a.decisions,
        "learn": a.learn_time,
    }

