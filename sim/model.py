"""The reference model: what a Relaxon machine computes, in plain NumPy integers.

Sizes are M modules, H neurons each, N inputs, C classes. With the state s[m, i] = ±1, the input
x[n] = ±1 and the label y, every neuron's field is an exact integer::

    A[m, i] = (Σ_n W[m, i, n] x[n]) << b
    R[m, i] = (Σ_j J[m, i, j] s[m, j]) << r
    h[m, i] = R[m, i] + A[m, i] + J_D s[m, i] + λ (s[m−1, i] + s[m+1, i])
              [+ F[m, i, y] << f   while the label is clamped]

A sample relaxes from rest (s = sign A, then sweeps s = sign h, all neurons at once), is read out
(r[c] = Σ O[c, m, i] s[m, i]), and in training every neuron with s·h ≤ κ learns one LSB.

Two registers change how it relaxes: with `keep_state` it starts from the state as it is, not from
rest; with `sequential` a sweep updates one group of the layout after another, each from the newest
state.

Gateware, fast path and files agree with this module bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.cycles import (
    SUMMED,
    Activity,
    event_time,
    input_time,
    learn_time,
    phase_cycles,
    timing,
    visit,
)
from relaxon.layout import Layout
from relaxon.protocol import CHIP_COUNTERS, COUNTERS

Ints = npt.NDArray[np.int64]


class Result(NamedTuple):
    """One sample's outcome.

    `prediction` is the argmax of `scores` (the lowest class on a tie), `learned` 1 if the learning
    step was reached, `sweeps` counts the free sweep, `unstable` the neurons with s·h ≤ κ at the
    learning step, `scores` (C,) are those the prediction was made from; `activity` has n = 1.
    """

    prediction: int
    learned: int
    sweeps: int
    unstable: int
    scores: Ints
    activity: Activity


class Model:
    """A machine, computed sample by sample.

    Inputs are not checked here: `x` is (N,) of ±1, `y` is 0 … C−1 (`relaxon.sim.modelboard` checks).

    Parameters
    ----------
    config
        Sizes, widths and registers.
    couplings
        Initial J, W, F, O; copied. `DataError` if they do not fit `config`.

    Attributes
    ----------
    recurrent, input, feedback, readout
        J (M, H, H), W (M, H, N), F (M, H, C), O (C, M, H), int64.
    state
        s after the last sample, (M, H) int8 of ±1; −1 before the first.
    rebuild
        Whether the machine makes all its fields anew with the next sample, as it does after
        anything they are made of was written. Nothing but counters depends on it.
    counters
        Name → value, for every name of `relaxon.protocol.CHIP_COUNTERS`.
    """

    def __init__(self, config: Config, couplings: Couplings):
        self.config = config
        checked = couplings.check(config)
        self.recurrent: Ints = checked.recurrent.astype(np.int64)
        self.input: Ints = checked.input.astype(np.int64)
        self.feedback: Ints = checked.feedback.astype(np.int64)
        self.readout: Ints = checked.readout.astype(np.int64)
        self.state = np.full((config.modules, config.neurons), -1, np.int8)
        self.counters = dict.fromkeys(CHIP_COUNTERS, 0)
        self.rebuild = True
        self._marked: Ints = np.zeros((0, 0), np.int64)  # by group and strip, who moved last
        self._x = np.full(config.inputs, -1, np.int64)

    @property
    def registers(self) -> Registers:
        """The run-time parameters. Setting ones that do not fit the fields raises `ConfigError`."""
        return self.config.registers

    @registers.setter
    def registers(self, registers: Registers) -> None:
        self.config = self.config.replace(registers=registers)
        self.invalidate()

    def invalidate(self) -> None:
        """Say that couplings, registers or the state were written."""
        self.rebuild = True

    # ---- one sample -------------------------------------------------------------------------

    def infer_one(self, x: npt.NDArray[np.int8]) -> Result:
        """Relax under the input and read out; nothing is learned."""
        self._start(x)
        self._phase(self.registers.sweeps_infer)
        self._activity.decisions[0] = 1
        return self._finish(self._decide())

    def train_one(self, x: npt.NDArray[np.int8], y: int) -> Result:
        """Relax under input and label, release, read out and learn."""
        r = self.registers
        self._start(x)
        decided = None
        if r.gate_enable:
            self._phase(r.sweeps_infer)
            decided = self._decide()
            self._activity.decisions[0] = 1
            if decided[y] - np.delete(decided, y).max() > r.gate:
                return self._finish(decided)
        self._activity.clamped[0] = 1
        self._activity.weight_accesses[0] += self._timing.label * self._layout.strips
        self._phase(r.sweeps_clamped, label=y)
        self._phase(r.sweeps_released)
        final = self._decide()
        unstable = self._learn(final, y)
        return self._finish(final if decided is None else decided, unstable)

    # ---- its steps --------------------------------------------------------------------------

    def _start(self, x: npt.NDArray[np.int8]) -> None:
        """The free sweep, from rest: s = sign A; or one that turns no neuron."""
        a = self._activity = Activity.zeros(1)
        self._layout, self._timing = Layout(self.config), timing(self.config)
        changed = (x != self._x) | self.rebuild
        self._x = x.astype(np.int64)
        a.input_changes[0] = np.count_nonzero(changed)
        words = np.arange(changed.size) // self._layout.input_word
        a.input_time[0], turns = input_time(
            self._timing, np.bincount(words, changed).astype(int), self.rebuild
        )
        a.weight_accesses[0] = turns * self._layout.groups * self._layout.strips

        self._a = (self.input @ self._x) << self.registers.input_shift
        state = self.state
        if not self.registers.keep_state:
            self._envelope(self._a)
            state = _sign(self._a)
        a.moves[0] = self._move((state != self.state) | self.rebuild, free=True)
        self.state = state
        self.rebuild = False

    def _move(
        self, moved: npt.NDArray[np.bool_], *, first: bool = True, free: bool = False,
        clamped: bool = False,
    ) -> int:
        """Count a sweep, the first of its phase or not, and what its events cost, from the neurons
        that moved; returns how many."""
        a = self._activity
        visited = np.ones(self._layout.groups, np.int64)
        if not first:
            visit(self._timing, visited, self._marked, first)
        self._marked = self._marks(moved)
        evaluations, time, turns = event_time(self._timing, visited, self._marked, free)
        a.sweeps[0] += 1
        a.evaluations[0] += evaluations
        a.event_time[0] += time
        a.weight_accesses[0] += turns * self._layout.groups_per_module
        if self._timing.label == 0:  # the label is part of each evaluation
            a.weight_accesses[0] += clamped * evaluations * self._layout.strips
        return int(np.count_nonzero(moved))

    def _marks(self, which: npt.NDArray[np.bool_]) -> Ints:
        """How many of these neurons are in every (group, strip)."""
        marks = np.zeros((self._layout.groups, self._layout.strips), np.int64)
        np.add.at(marks, (self._layout.group[which], self._layout.strip[which]), 1)
        return marks

    def _fields(self, label: int | None = None) -> Ints:
        """h of every neuron, (M, H)."""
        r, s = self.registers, self.state.astype(np.int64)
        neighbours = np.zeros_like(s)
        neighbours[1:] += s[:-1]
        neighbours[:-1] += s[1:]
        h = (np.einsum("mij,mj->mi", self.recurrent, s) << r.recurrent_shift) + self._a
        h += r.self_coupling * s + r.chain_coupling * neighbours
        if label is not None:
            h += self.feedback[:, :, label] << r.feedback_shift
        return h

    def _phase(self, most: int, label: int | None = None) -> None:
        """At most this many sweeps; one that flips nothing is the last."""
        for sweep in range(most):
            before = self.state
            for turn in self._turns():
                h = self._fields(label)
                self._envelope(h[turn])
                self.state = np.where(turn, _sign(h), self.state)
            flips = self._move(
                self.state != before, first=sweep == 0, clamped=label is not None
            )
            self._activity.flips[0] += flips
            if flips == 0:
                break

    def _turns(self) -> list[npt.NDArray[np.bool_]]:
        """The neurons that a sweep updates at once, turn after turn: all, or a group each."""
        if not self.registers.sequential:
            return [np.ones(self.state.shape, bool)]
        return [self._layout.group == group for group in range(self._layout.groups)]

    def _decide(self) -> Ints:
        """The class scores r of the present state, (C,)."""
        return np.einsum("cmi,mi->c", self.readout, self.state.astype(np.int64))

    def _learn(self, scores: Ints, y: int) -> int:
        """The learning step, decided from the old couplings; returns the unstable neurons."""
        r, c, s = self.registers, self.config, self.state.astype(np.int64)
        unstable = s * self._fields() <= r.margin
        u = unstable * s
        if r.learn_recurrent:
            wanted = self.recurrent + u[:, :, None] * s[:, None, :]
            np.einsum("mii->mi", wanted)[:] = 0  # no neuron has a coupling to itself
            self._saturate("recurrent", wanted, c.recurrent_max, "saturations")
        if r.learn_input:
            wanted = self.input + u[:, :, None] * self._x
            self._saturate("input", wanted, c.weight_max, "saturations")
        low = np.zeros(c.classes, bool)
        if r.learn_readout:
            true = np.arange(c.classes) == y
            low = np.where(true, scores <= r.readout_margin_true, -scores <= r.readout_margin_false)
            step: Ints = low * np.where(true, r.readout_step_true, -r.readout_step_false)
            wanted = self.readout + step[:, None, None] * s
            self._saturate("readout", wanted, c.readout_max, "readout_saturations")
        a = self._activity
        a.learned[0] = 1
        a.learn_time[0], used = learn_time(self._timing, self._marks(unstable), int(low.sum()))
        a.weight_accesses[0] += used
        return int(np.count_nonzero(unstable))

    def _saturate(self, array: str, wanted: Ints, limit: int, counter: str) -> None:
        """Replace an array by the wanted values cut to ±limit, counting the elements cut."""
        setattr(self, array, np.clip(wanted, -limit, limit))
        self._count(counter, np.count_nonzero(np.abs(wanted) > limit))

    # ---- bookkeeping ------------------------------------------------------------------------

    def _envelope(self, h: Ints) -> None:
        """Or every bit that a field needs (|h| ≤ envelope, or −h − 1 ≤ envelope) into the counter,
        which a column store does not have."""
        if self.config.store == "column":
            return
        self.counters["field_envelope"] |= int(np.bitwise_or.reduce(np.where(h < 0, ~h, h), None))

    def _count(self, counter: str, by: int | np.integer) -> None:
        self.counters[counter] = (self.counters[counter] + int(by)) % (1 << _BITS[counter])

    def _finish(self, scores: Ints, unstable: int = 0) -> Result:
        a = self._activity
        self._count("samples", 1)
        for name in SUMMED:
            self._count(name, getattr(a, name)[0])
        self._count("updates", unstable)
        for phase, cycles in phase_cycles(self.config, a).items():
            self._count("cycles", cycles[0])
            self._count(f"cycles_{phase}", cycles[0])
        prediction = int(np.argmax(scores))
        return Result(prediction, int(a.learned[0]), int(a.sweeps[0]), unstable, scores, a)


_BITS = {counter.name: counter.bits for counter in COUNTERS}


def _sign(h: Ints) -> npt.NDArray[np.int8]:
    """+1 where h ≥ 0, else −1."""
    return np.where(h >= 0, 1, -1).astype(np.int8)
