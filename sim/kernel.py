"""The compiled kernel of the model's fast path: one sample after another, event by event.

Nothing is recomputed that did not change. The input field Σ W x and the recurrent field Σ J s
outlive the sample; an input or a neuron that differs from before is an *event* that adds ±2 times
its column, and learning corrects both fields by what it adds to the couplings. All of it is integer
arithmetic, hence exact. `relaxon.sim.fast` keeps the memory that it works on.

Columns are what events read, so J and W are stored transposed: J as (M, j, i), W as (N, M·H).
Neurons are numbered k = m·H + i, so that those of a group are neighbours, and H zeros on either side of
the state stand for the missing neighbours of the first and the last module.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np
import numpy.typing as npt

from relaxon import cycles, protocol
from relaxon.cycles import Timing
from relaxon.errors import ToolError
from relaxon.protocol import REGISTERS
from relaxon.sim import cache


class Memory(NamedTuple):
    """Everything the kernel reads and writes, K = M·H; integers unless said."""

    recurrent: np.ndarray  # (M, H, H) int16: J[m, i, j] at [m, j, i]
    input: np.ndarray  # (N, K) int16: W[k, n] at [n, k]
    feedback: np.ndarray  # (C, K) int8
    readout: np.ndarray  # (C, K) int16
    state: np.ndarray  # (H + K + H,) int8: zeros, s, zeros
    next: np.ndarray  # (K,) int8: the state a sweep computes
    x: np.ndarray  # (N,) int8: the last input
    a: np.ndarray  # (K,) int32: Σ W x, not shifted
    r: np.ndarray  # (K,) int32: Σ J s, not shifted
    h: np.ndarray  # (K,) int32: scratch
    scores: np.ndarray  # (C,) int32
    unstable: np.ndarray  # (K,) int32: scratch, a list of neurons
    group: np.ndarray  # (K,) int32: `Layout.group`
    strip: np.ndarray  # (K,) int32: `Layout.strip`
    at_once: np.ndarray  # (2,) int64: 0, K
    in_turn: np.ndarray  # (groups + 1,) int64: the first neuron of every group, K
    marks: np.ndarray  # (groups, strips) int64: scratch, how many neurons are concerned
    visited: np.ndarray  # (groups,) uint8: scratch, groups that a sweep evaluates
    changed: np.ndarray  # (input words,) int64: scratch, how many inputs are
    rebuild: np.ndarray  # (1,) uint8: 1 where the next sample makes all fields anew
    totals: np.ndarray  # (3,) int64: saturations, readout saturations, field envelope


LIMITS = ("recurrent_max", "weight_max", "readout_max")
Parameters = NamedTuple(  # type: ignore[misc]  # made from the one list of registers
    "Parameters",
    [(name, np.int32) for name in (*(r.name for r in REGISTERS), *LIMITS)],
)
"""The registers, and the ranges of J, W and of O."""


class Log(NamedTuple):
    """Per-sample results, (n,) each but `scores` (n, C); those after it make an `Activity`."""

    prediction: np.ndarray
    unstable: np.ndarray
    scores: np.ndarray
    sweeps: np.ndarray
    flips: np.ndarray
    moves: np.ndarray
    input_changes: np.ndarray
    clamped: np.ndarray
    evaluations: np.ndarray
    decisions: np.ndarray
    learned: np.ndarray
    input_time: np.ndarray
    event_time: np.ndarray
    learn_time: np.ndarray
    weight_accesses: np.ndarray


LARGE = 1 << 20
"""Elements of an array that no longer fits a cache of 2 MB."""
jit = numba.njit(nogil=True)  # compiled into the kernel, which is what numba keeps on disk
_input_time, _event_time, _learn_time, _visit = (
    jit(f) for f in (cycles.input_time, cycles.event_time, cycles.learn_time, cycles.visit)
)


@jit
def _free_sweep(mem, par, tim, log, t, x):
    """Apply the inputs that changed; `next` = sign A, or the state as it is."""
    mem.changed[:] = 0
    for n in range(x.size):
        if x[n] != mem.x[n] or mem.rebuild[0]:
            mem.changed[n // tim.input_width] += 1
        if x[n] != mem.x[n]:
            mem.x[n] = x[n]
            _add(mem.a, mem.input[n], x[n])
    log.input_changes[t] = mem.changed.sum()
    log.input_time[t], turns = _input_time(tim, mem.changed, mem.rebuild[0])
    log.weight_accesses[t] += turns * mem.marks.size
    if par.keep_state:
        size = mem.recurrent.shape[1]
        mem.next[:] = mem.state[size : size + mem.next.size]
        return
    scale = np.int32(1 << par.input_shift)
    envelope = np.int32(0)
    for k in range(mem.a.size):
        h = np.int32(mem.a[k] * scale)
        envelope |= h ^ (h >> 31)
        mem.next[k] = 1 if h >= 0 else -1
    mem.totals[2] |= envelope


@jit
def _add(field, column, sign):
    """An event: the element of a column's own input or neuron went from −sign to sign."""
    twice = np.int32(2 * sign)
    for k in range(field.size):
        field[k] += twice * np.int32(column[k])


@jit
def _fields(mem, par, label, first, end):
    """h of neurons into `mem.h`, with the feedback of `label` unless it is −1."""
    # Slices, here and below: of a loop from 0 the compiler knows that no index is negative.
    size = mem.recurrent.shape[1]
    before, here = mem.state[first:end], mem.state[size + first : size + end]
    after = mem.state[2 * size + first : 2 * size + end]
    h, r, a = mem.h[first:end], mem.r[first:end], mem.a[first:end]
    inner, outer = np.int32(1 << par.recurrent_shift), np.int32(1 << par.input_shift)
    for k in range(h.size):
        neighbours = np.int32(before[k]) + np.int32(after[k])
        h[k] = (
            r[k] * inner + a[k] * outer + par.self_coupling * np.int32(here[k])
            + par.chain_coupling * neighbours
        )
    if label >= 0:
        scale, column = np.int32(1 << par.feedback_shift), mem.feedback[label, first:end]
        for k in range(h.size):
            h[k] += scale * np.int32(column[k])


@jit
def _evaluate(mem, par, label, first, end):
    """`next` = sign h."""
    _fields(mem, par, label, first, end)
    h, new, envelope = mem.h[first:end], mem.next[first:end], np.int32(0)
    for k in range(h.size):
        envelope |= h[k] ^ (h[k] >> 31)
        new[k] = 1 if h[k] >= 0 else -1
    mem.totals[2] |= envelope


@jit
def _move(mem, first, end):
    """Make `next` the state of neurons; every one that differs is an event. Returns how many."""
    size, moved = mem.recurrent.shape[1], 0
    new, state = mem.next[first:end], mem.state[size + first : size + end]
    for at in range(new.size):
        turns = new[at] != state[at]
        if turns or mem.rebuild[0]:
            k = first + at
            moved += 1
            mem.marks[mem.group[k], mem.strip[k]] += 1
            if turns:
                state[at] = new[at]
                m = k // size
                _add(mem.r[m * size : (m + 1) * size], mem.recurrent[m, k - m * size], new[at])
    return moved


@jit
def _count_sweep(mem, tim, log, t, free):
    """Count a sweep, the free one or not, and what its events cost."""
    evaluations, time, turns = _event_time(tim, mem.visited, mem.marks, free)
    log.sweeps[t] += 1
    log.evaluations[t] += evaluations
    log.event_time[t] += time
    log.weight_accesses[t] += turns * tim.parts


@jit
def _phase(mem, par, tim, log, t, most, label):
    """At most this many sweeps; one that flips nothing is the last."""
    turns = mem.in_turn if par.sequential else mem.at_once
    for sweep in range(most):
        _visit(tim, mem.visited, mem.marks, sweep == 0)
        mem.marks[:] = 0
        flips = 0
        for turn in range(turns.size - 1):
            _evaluate(mem, par, label, turns[turn], turns[turn + 1])
            flips += _move(mem, turns[turn], turns[turn + 1])
        _count_sweep(mem, tim, log, t, False)
        log.flips[t] += flips
        if label >= 0 and tim.label == 0:
            log.weight_accesses[t] += mem.visited.sum() * mem.marks.shape[1]
        if flips == 0:
            break


@jit
def _decide(mem):
    """Class scores into `mem.scores`."""
    size = mem.recurrent.shape[1]
    state = mem.state[size : size + mem.h.size]
    for c in range(mem.scores.size):
        row, score = mem.readout[c], np.int32(0)
        for k in range(state.size):
            score += np.int32(row[k]) * np.int32(state[k])
        mem.scores[c] = score


@jit
def _predict(mem, log, t):
    log.scores[t] = mem.scores
    log.prediction[t] = np.argmax(mem.scores)


@jit
def _right(scores, y, gate):
    """Is the label's score above every other one's by more than `gate`?"""
    for c in range(scores.size):
        if c != y and np.int64(scores[y]) - scores[c] <= gate:
            return False
    return True


@jit
def _learn(mem, par, tim, log, t, y):
    """The learning step, decided from the old couplings."""
    _fields(mem, par, -1, 0, mem.h.size)
    size = mem.recurrent.shape[1]
    state = mem.state[size : size + mem.h.size]
    mem.marks[:] = 0
    unstable = 0
    for k in range(mem.h.size):
        if state[k] * mem.h[k] <= par.margin:
            mem.unstable[unstable] = k
            unstable += 1
            mem.marks[mem.group[k], mem.strip[k]] += 1
    learners = mem.unstable[:unstable]
    if par.learn_recurrent:
        first = 0
        while first < unstable:  # module by module
            m, end = learners[first] // size, first
            while end < unstable and learners[end] // size == m:
                end += 1
            own = state[m * size : (m + 1) * size]
            mem.totals[0] += _learn_array(
                mem.recurrent[m], learners[first:end], m * size, True, state, own, mem.r,
                par.recurrent_max,
            )
            first = end
    if par.learn_input:
        mem.totals[0] += _learn_array(
            mem.input, learners, 0, False, state, mem.x, mem.a, par.weight_max
        )
    classes = 0
    if par.learn_readout:
        for c in range(mem.scores.size):
            score = np.int64(mem.scores[c])
            if c == y:
                low, step = score <= par.readout_margin_true, par.readout_step_true
            else:
                low, step = -score <= par.readout_margin_false, -par.readout_step_false
            if low:
                classes += 1
                _learn_readout(mem, mem.readout[c], state, np.int32(step), par.readout_max)
    log.learned[t] = 1
    log.unstable[t] = unstable
    log.learn_time[t], used = _learn_time(tim, mem.marks, classes)
    log.weight_accesses[t] += used


@jit
def _learn_array(columns, learners, base, within, state, signs, field, limit):
    """The couplings to the neurons that learn, from what has these signs, and their fields; returns
    how many were cut. The columns begin with neuron `base`; `within`: they are those neurons' own.

    What is large is learned column by column, as it lies in memory: that is twice as fast there.
    """
    total = 0
    if columns.size >= LARGE:
        for c in range(signs.size):
            for k in learners:
                step = state[k] * signs[c]
                if not within or c != k - base:
                    if columns[c, k - base] * step == limit:
                        total += 1
                    else:
                        columns[c, k - base] += step
                        field[k] += state[k]
        return total
    for k in learners:
        cut, i = 0, k - base
        for c in range(signs.size):
            step = state[k] * signs[c]
            if not within or c != i:
                if columns[c, i] * step == limit:
                    cut += 1
                else:
                    columns[c, i] += step
        field[k] += state[k] * (signs.size - within - cut)
        total += cut
    return total


@jit
def _learn_readout(mem, row, state, step, limit):
    cut = 0
    for k in range(row.size):
        wanted = np.int32(row[k]) + step * np.int32(state[k])
        clipped = min(max(wanted, -limit), limit)
        cut += clipped != wanted
        row[k] = clipped
    mem.totals[1] += cut


def _samples(mem, par, tim, log, x, y, train):
    """Infer every row of x, or train on it with its label, in turn."""
    for t in range(x.shape[0]):
        _free_sweep(mem, par, tim, log, t, x[t])
        mem.visited[:] = 1
        mem.marks[:] = 0
        log.moves[t] = _move(mem, 0, mem.h.size)
        _count_sweep(mem, tim, log, t, True)
        mem.rebuild[0] = 0
        if par.gate_enable or not train:
            _phase(mem, par, tim, log, t, par.sweeps_infer, -1)
            _decide(mem)
            log.decisions[t] = 1
            _predict(mem, log, t)
            if not train or _right(mem.scores, y[t], par.gate):
                continue
        log.clamped[t] = 1
        log.weight_accesses[t] += tim.label * mem.marks.shape[1]
        _phase(mem, par, tim, log, t, par.sweeps_clamped, y[t])
        _phase(mem, par, tim, log, t, par.sweeps_released, -1)
        _decide(mem)
        if not par.gate_enable:
            _predict(mem, log, t)
        _learn(mem, par, tim, log, t, y[t])


# ---- compiled once ------------------------------------------------------------------------------

PATIENCE = 300.0
"""Seconds to wait for another process that compiles the kernel, which takes 20 to 70."""

_settings: Any = numba.config
_kernel: Callable[..., None] | None = None


def run(
    mem: Memory, par: Parameters, tim: Timing, log: Log,
    x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8], train: bool,
) -> None:  # fmt: skip
    """Infer every row of x, or train on it with its label, in turn; compiled at first use."""
    global _kernel
    arguments = mem, par, tim, log, _read_only(x, np.int8), _read_only(y, np.uint8), bool(train)
    if _kernel is None:
        _kernel = load(*arguments)
    _kernel(*arguments)


def _read_only(array: npt.NDArray[Any], kind: type) -> npt.NDArray[Any]:
    """An array as the kernel takes it, whether the caller's may be written or not."""
    view: npt.NDArray[Any] = np.ascontiguousarray(array, kind).view()
    view.flags.writeable = False
    return view


def load(*arguments: Any) -> Callable[..., None]:
    """The kernel for arguments of these types: from the cache (`relaxon.sim.cache`), or compiled now.

    numba verifies nothing of what it keeps, and wants to write where it looks. So what it compiled is a
    result of our cache, and numba is shown a copy.
    """
    if _settings.DISABLE_JIT:  # for a debugger
        return _samples
    types = tuple(numba.typeof(argument) for argument in arguments)
    made: list[Any] = []

    def fill(folder: Path) -> None:
        if not any(kernel.signatures for kernel in made):  # or it could not be kept elsewhere
            made.append(_decorated(folder))
            made[-1].compile(types)

    try:
        folder = cache.entry("kernels", _name(types), fill, wait=PATIENCE)
        if not made:
            with tempfile.TemporaryDirectory(prefix="relaxon-") as copy:
                for path in folder.rglob("*.nb?"):
                    target = Path(copy, path.relative_to(folder))
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(path.read_bytes())
                made.append(_decorated(Path(copy)))
                made[-1].compile(types)
    except (OSError, RuntimeError, ToolError, pickle.PickleError, EOFError) as error:
        cache.say_once("kernel", f"the model is compiled for this process alone: {error}")
        if not any(kernel.signatures for kernel in made):
            made.append(_decorated(None))
            made[-1].compile(types)
    return next(kernel for kernel in made if kernel.signatures)


def _decorated(folder: Path | None) -> Any:
    """The kernel, not compiled yet; numba looks into the folder for it, and keeps it there."""
    # numba asks where that is while it decorates; the user's own functions are kept elsewhere.
    before, _settings.CACHE_DIR = _settings.CACHE_DIR, str(folder or _settings.CACHE_DIR)
    try:
        return numba.njit(cache=folder is not None, nogil=True)(_samples)
    finally:
        _settings.CACHE_DIR = before


def _name(types: tuple[Any, ...]) -> str:
    """The kernel's name in the cache: all that decides whether what was compiled is still good.

    numba itself looks at place, age and size of this file, or at its content, and at the processor.
    """
    files = [Path(__file__), Path(cycles.__file__), Path(protocol.__file__)]
    stat = files[0].stat()
    apart = ("NUMBA_CACHE", "NUMBA_NUM_THREADS", "NUMBA_THREADING")
    told = [
        f"{name}={value}" for name, value in sorted(os.environ.items())
        if name.startswith("NUMBA_") and not name.startswith(apart)
    ]  # fmt: skip
    return cache.key(
        *(path.read_bytes() for path in files), f"{files[0]} {stat.st_mtime_ns} {stat.st_size}",
        str(types), numba.__version__, llvmlite.__version__, np.__version__, sys.version,
        llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten(), *told,
    )  # fmt: skip
