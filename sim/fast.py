"""The model's fast path: the semantics of `relaxon.sim.model`, bit for bit, compiled by numba.

A machine's memory, its counters, and samples in any number; what happens to a sample is in
`relaxon.sim.kernel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from relaxon.board import Outcomes
from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.cycles import SUMMED, Activity, phase_cycles, timing
from relaxon.layout import Layout
from relaxon.protocol import CHIP_COUNTERS, COUNTERS
from relaxon.sim import kernel
from relaxon.sim.kernel import LIMITS, Log, Memory, Parameters


class FastModel:
    """A machine, many samples at a time; what it computes and counts is `Model`'s.

    Parameters
    ----------
    config
        Sizes, widths and registers.
    couplings
        Initial J, W, F, O; copied. `DataError` if they do not fit `config`.
    """

    def __init__(self, config: Config, couplings: Couplings):
        self.config = config
        m, h, n, c = config.modules, config.neurons, config.inputs, config.classes
        k, layout = m * h, Layout(config)
        group = layout.group.reshape(-1)
        self._memory = Memory(
            recurrent=np.zeros((m, h, h), np.int16),
            input=np.zeros((n, k), np.int16),
            feedback=np.zeros((c, k), np.int8),
            readout=np.zeros((c, k), np.int16),
            state=np.zeros(h + k + h, np.int8),
            next=np.zeros(k, np.int8),
            x=np.full(n, -1, np.int8),
            a=np.zeros(k, np.int32),
            r=np.zeros(k, np.int32),
            h=np.zeros(k, np.int32),
            scores=np.zeros(c, np.int32),
            unstable=np.zeros(k, np.int32),
            group=group.astype(np.int32),
            strip=layout.strip.reshape(-1).astype(np.int32),
            at_once=np.array([0, k], np.int64),
            in_turn=np.searchsorted(group, np.arange(layout.groups + 1)),
            marks=np.zeros((layout.groups, layout.strips), np.int64),
            visited=np.ones(layout.groups, np.uint8),
            changed=np.zeros(-(-n // layout.input_word), np.int64),
            rebuild=np.ones(1, np.uint8),
            totals=np.zeros(3, np.int64),
        )
        self._memory.state[h : h + k] = -1
        self._counters = dict.fromkeys(CHIP_COUNTERS, 0)
        self._pending: Log | None = None
        self.load(couplings)

    # ---- memory -----------------------------------------------------------------------------

    def load(self, couplings: Couplings) -> None:
        """Replace all couplings. `DataError` if they do not fit."""
        checked, mem, k = couplings.check(self.config), self._memory, self.config.total_neurons
        mem.recurrent[:] = checked.recurrent.transpose(0, 2, 1)
        mem.input[:] = checked.input.reshape(k, -1).T
        mem.feedback[:] = checked.feedback.reshape(k, -1).T
        mem.readout[:] = checked.readout.reshape(-1, k)
        self._rebuild_fields()

    @property
    def couplings(self) -> Couplings:
        """A copy of J, W, F and O."""
        mem, m, h = self._memory, self.config.modules, self.config.neurons
        return Couplings(
            recurrent=mem.recurrent.transpose(0, 2, 1).astype(np.int16),
            input=mem.input.T.reshape(m, h, -1).astype(np.int16),
            feedback=mem.feedback.T.reshape(m, h, -1).astype(np.int16),
            readout=mem.readout.reshape(-1, m, h).copy(),
        )

    @property
    def state(self) -> npt.NDArray[np.int8]:
        """s after the last sample (or as set), (M, H) int8 of ±1; −1 at first."""
        h, k = self.config.neurons, self.config.total_neurons
        return self._memory.state[h : h + k].reshape(-1, h).copy()

    @state.setter
    def state(self, state: npt.NDArray[np.int8]) -> None:
        h, k = self.config.neurons, self.config.total_neurons
        self._memory.state[h : h + k] = state.reshape(-1)
        self._rebuild_fields()

    def _rebuild_fields(self) -> None:
        mem = self._memory
        mem.a[:] = mem.x.astype(np.int32) @ mem.input.astype(np.int32)
        mem.r[:] = np.einsum("mji,mj->mi", mem.recurrent, self.state, dtype=np.int32).reshape(-1)
        self.invalidate()

    def invalidate(self) -> None:
        """Say that couplings, registers or the state were written."""
        self._memory.rebuild[0] = 1

    @property
    def registers(self) -> Registers:
        """The run-time parameters. Setting ones that do not fit the fields raises `ConfigError`."""
        return self.config.registers

    @registers.setter
    def registers(self, registers: Registers) -> None:
        config = self.config.replace(registers=registers)
        self._count()  # what ran so far ran under the old ones
        self.config = config
        self.invalidate()

    # ---- samples ----------------------------------------------------------------------------

    def train(
        self, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8]
    ) -> tuple[Outcomes, Activity]:
        """Train on (n, N) inputs of ±1 and (n,) labels, in order."""
        log = self._run(x, y, train=True)
        return _outcomes(log), _activity(log)

    def infer(self, x: npt.NDArray[np.int8]) -> tuple[Outcomes, Activity]:
        """Relax and read out each of (n, N) inputs of ±1."""
        log = self._run(x, np.zeros(len(x), np.uint8), train=False)
        return _outcomes(log), _activity(log)

    def scores(self, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
        """Class scores (n, C) of an inference of each sample."""
        return self._run(x, np.zeros(len(x), np.uint8), train=False).scores

    def _run(self, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8], train: bool) -> Log:
        c, n = self.config, len(x)
        values = [*c.registers.as_dict().values(), *(getattr(c, name) for name in LIMITS)]
        self._count()
        log = Log(
            prediction=np.zeros(n, np.uint8),
            unstable=np.zeros(n, np.int64),
            scores=np.zeros((n, c.classes), np.int32),
            **vars(Activity.zeros(n)),
        )
        self._pending = log
        kernel.run(self._memory, Parameters(*map(np.int32, values)), timing(c), log, x, y, train)
        return log

    # ---- counters ---------------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        """Name → value, for every name of `relaxon.protocol.CHIP_COUNTERS`."""
        self._count()
        return dict(self._counters)

    def set_counters(self, values: Mapping[str, int]) -> None:
        """Set every counter, those that are not named to 0."""
        self._count()
        self._counters = {name: values.get(name, 0) for name in CHIP_COUNTERS}

    def _count(self) -> None:
        """Add the pending log to the counters.

        A log is pending from before its samples run until the next look at the counters, so that
        those which ran before an interrupt (Ctrl-C) are counted, too.
        """
        if self._pending is None:
            return
        log, totals, counters = self._pending, self._memory.totals, dict(self._counters)
        ran = log.sweeps > 0
        activity = Activity(**{k: v[ran] for k, v in vars(_activity(log)).items()})
        phases = {k: int(v.sum()) for k, v in phase_cycles(self.config, activity).items()}
        added = {
            "samples": np.count_nonzero(ran),
            "updates": log.unstable.sum(),
            "saturations": totals[0],
            "readout_saturations": totals[1],
            "cycles": sum(phases.values()),
        }
        added |= {name: getattr(activity, name).sum() for name in SUMMED}
        added |= {f"cycles_{phase}": value for phase, value in phases.items()}
        for name, value in added.items():
            counters[name] = (counters[name] + int(value)) % (1 << _BITS[name])
        if self.config.store == "skewed":  # a column store has no such counter
            counters["field_envelope"] |= int(totals[2])
        totals[:] = 0
        self._counters, self._pending = counters, None


_BITS = {counter.name: counter.bits for counter in COUNTERS}


def _outcomes(log: Log) -> Outcomes:
    outcomes = Outcomes.zeros(len(log.sweeps))
    for name, values in vars(outcomes).items():
        values[:] = getattr(log, name)
    return outcomes


def _activity(log: Log) -> Activity:
    return Activity(*log[-len(fields(Activity)) :])
