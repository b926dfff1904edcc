"""The reference model agrees with recorded runs, with a scalar re-telling, and with sums by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recorded import Recorded, random_couplings, random_samples

from relaxon import Config, Couplings, Registers
from relaxon.cycles import phase_cycles
from relaxon.errors import ConfigError, DataError
from relaxon.protocol import CHIP_COUNTERS, PHASES
from relaxon.sim.model import Model

QUIET = Registers(
    input_shift=0, feedback_shift=0, self_coupling=0, margin=0,
    readout_margin_true=0, readout_margin_false=0,
)  # fmt: skip
"""Nothing acts but J, W and F."""


def machine(m: int, h: int, n: int, c: int = 2, **registers: int) -> tuple[Config, Couplings]:
    """A small machine with all couplings 0."""
    config = Config(
        modules=m, neurons=h, inputs=n, classes=c, lanes=2, registers=QUIET.replace(**registers)
    )
    shapes = dict(recurrent=(m, h, h), input=(m, h, n), feedback=(m, h, c), readout=(c, m, h))
    return config, Couplings(**{k: np.zeros(s, np.int16) for k, s in shapes.items()})


# ---- recorded runs ------------------------------------------------------------------------------


def test_recorded_runs_are_reproduced_bit_for_bit(golden: Recorded):
    model = Model(golden.config, golden.before)
    results = [model.train_one(x, int(y)) for x, y in zip(golden.x, golden.y, strict=True)]
    assert [r.prediction for r in results] == golden.prediction.tolist()
    for name in Couplings.NAMES:
        assert np.array_equal(getattr(model, name), getattr(golden.after, name)), name
    assert np.array_equal(model.state, golden.state)
    n = len(golden.prediction_after)
    after = [model.infer_one(x).prediction for x in golden.x[:n]]
    assert after == golden.prediction_after.tolist()


# ---- against loops ------------------------------------------------------------------------------


class Scalar:
    """design.md part 1 in loops over Python integers; results only, nothing is counted."""

    def __init__(self, config: Config, couplings: Couplings):
        self.c, self.r = config, config.registers
        self.J, self.W, self.F, self.O = (getattr(couplings, n).tolist() for n in Couplings.NAMES)
        self.M, self.H = range(config.modules), range(config.neurons)
        self.s = [[-1 for _ in self.H] for _ in self.M]

    def relax(self, sweeps: int, label: int | None = None) -> None:
        for _ in range(sweeps):
            for turn in self.turns():
                for (m, i), h in {(m, i): self.field(m, i, label) for m, i in turn}.items():
                    self.s[m][i] = 1 if h >= 0 else -1

    def turns(self) -> list[list[tuple[int, int]]]:
        """All neurons at once, or as many as there are lanes: of one module, or of as many whole
        modules as have room."""
        h, lanes = self.c.neurons, self.c.lanes
        if not self.r.sequential:
            return [[(m, i) for m in self.M for i in self.H]]
        if h >= lanes:
            return [[(m, i) for i in self.H[first : first + lanes]]
                    for m in self.M for first in range(0, h, lanes)]  # fmt: skip
        together = lanes // h
        return [[(m, i) for m in self.M[first : first + together] for i in self.H]
                for first in range(0, self.c.modules, together)]  # fmt: skip

    def field(self, m: int, i: int, label: int | None = None) -> int:
        c, r, s = self.c, self.r, self.s
        h = sum(self.J[m][i][j] * s[m][j] for j in self.H if j != i) * 2**r.recurrent_shift
        h += self.A(m, i) + r.self_coupling * s[m][i]
        for other in (m - 1, m + 1):
            if 0 <= other < c.modules:
                h += r.chain_coupling * s[other][i]
        return h if label is None else h + self.F[m][i][label] * 2**r.feedback_shift

    def A(self, m: int, i: int) -> int:
        return sum(w * x for w, x in zip(self.W[m][i], self.x, strict=True)) * 2**self.r.input_shift

    def scores(self) -> list[int]:
        c = self.c
        return [sum(self.O[k][m][i] * self.s[m][i] for m in self.M for i in self.H)
                for k in range(c.classes)]  # fmt: skip

    def train(self, x: list[int], y: int) -> int:
        c, r = self.c, self.r
        self.x = x
        if not r.keep_state:
            self.s = [[1 if self.A(m, i) >= 0 else -1 for i in self.H] for m in self.M]
        prediction = None
        if r.gate_enable:
            self.relax(r.sweeps_infer)
            score = self.scores()
            prediction = score.index(max(score))
            if score[y] - max(v for k, v in enumerate(score) if k != y) > r.gate:
                return prediction
        self.relax(r.sweeps_clamped, y)
        self.relax(r.sweeps_released)
        score = self.scores()
        s, h = self.s, [[self.field(m, i) for i in self.H] for m in self.M]
        for m in self.M:
            for i in self.H:
                if s[m][i] * h[m][i] <= r.margin:
                    for j in self.H:
                        if j != i and r.learn_recurrent:
                            wanted = self.J[m][i][j] + s[m][i] * s[m][j]
                            self.J[m][i][j] = self.cut(wanted, c.recurrent_max)
                    for n in range(c.inputs):
                        if r.learn_input:
                            wanted = self.W[m][i][n] + s[m][i] * x[n]
                            self.W[m][i][n] = self.cut(wanted, c.weight_max)
                for k in range(c.classes):
                    low, step = (
                        (score[k] <= r.readout_margin_true, r.readout_step_true)
                        if k == y
                        else (-score[k] <= r.readout_margin_false, -r.readout_step_false)
                    )
                    if low and r.learn_readout:
                        wanted = self.O[k][m][i] + step * s[m][i]
                        self.O[k][m][i] = self.cut(wanted, c.readout_max)
        return score.index(max(score)) if prediction is None else prediction

    @staticmethod
    def cut(value: int, limit: int) -> int:
        return max(-limit, min(limit, value))


@pytest.mark.parametrize(
    ("sizes", "registers"),
    [
        (dict(modules=1, neurons=5, inputs=4), {}),
        (dict(modules=3, neurons=4, inputs=3, weight_bits=4), dict(chain_coupling=11)),
        (dict(modules=2, neurons=3, inputs=7, readout_bits=4), dict(gate_enable=1, gate=5)),
        (dict(modules=4, neurons=2, inputs=2), dict(chain_coupling=-3, self_coupling=-5)),
        (dict(modules=1, neurons=6, inputs=3), dict(learn_input=0, sweeps_released=0)),
        (dict(modules=1, neurons=6, inputs=3), dict(learn_recurrent=0, sweeps_clamped=0)),
        (dict(modules=1, neurons=6, inputs=3), dict(learn_readout=0, sweeps_clamped=9)),
        (dict(modules=2, neurons=4, inputs=5), dict(readout_step_true=200, readout_step_false=0)),
        (dict(modules=2, neurons=6, inputs=4, recurrent_bits=3), dict(recurrent_shift=5)),
        (dict(modules=2, neurons=6, inputs=4, weight_bits=4, recurrent_bits=9), dict(input_shift=5)),
        (dict(modules=2, neurons=5, inputs=4), dict(keep_state=1)),
        (dict(modules=1, neurons=9, inputs=4, lanes=4), dict(sequential=1, sweeps_clamped=4)),
        (dict(modules=3, neurons=4, inputs=3, lanes=4), dict(sequential=1, chain_coupling=11)),
        (dict(modules=7, neurons=3, inputs=4, lanes=8), dict(sequential=1, chain_coupling=-9)),
        (
            dict(modules=4, neurons=5, inputs=5, lanes=2),
            dict(sequential=1, keep_state=1, gate_enable=1, gate=100, sweeps_released=5),
        ),
    ],
)
def test_the_model_agrees_with_loops_over_python_integers(
    sizes: dict[str, int], registers: dict[str, int]
):
    config = Config(classes=3, **sizes).with_registers(**registers)
    couplings = random_couplings(config, 7)
    model, scalar = Model(config, couplings), Scalar(config, couplings)
    x, y = random_samples(config, 60, 8)
    for t in range(60):
        assert model.train_one(x[t], int(y[t])).prediction == scalar.train(x[t].tolist(), int(y[t]))
        assert model.state.tolist() == scalar.s
    for name, array in zip(Couplings.NAMES, (scalar.J, scalar.W, scalar.F, scalar.O), strict=True):
        assert getattr(model, name).tolist() == array, name


# ---- by hand ------------------------------------------------------------------------------------


def test_a_fresh_machine_has_every_state_at_minus_one_and_every_counter_at_zero():
    model = Model(*machine(2, 3, 1))
    assert (model.state == -1).all() and model.state.dtype == np.int8
    assert model.counters == dict.fromkeys(CHIP_COUNTERS, 0)


def test_a_field_of_zero_is_plus_one_and_a_tie_is_the_lowest_class():
    model = Model(*machine(1, 4, 2, c=3))
    result = model.infer_one(np.array([1, -1], np.int8))
    assert (model.state == 1).all()
    assert result.prediction == 0 and result.scores.tolist() == [0, 0, 0]


def test_the_free_sweep_sees_the_input_alone():
    """W says −; J, J_D and λ say +, but do not act without a further sweep."""
    config, zero = machine(
        2, 2, 1, sweeps_infer=0, self_coupling=1000, chain_coupling=1000, input_shift=2
    )
    model = Model(config, zero)
    model.input[:], model.recurrent[:, 0, 1] = -1, 99
    assert model.infer_one(np.array([1], np.int8)).sweeps == 1
    assert (model.state == -1).all()
    assert model.counters["field_envelope"] == 3  # ~(−1 << 2)


def test_two_neurons_by_hand():
    """W x = (+3, −1), J = ((·, −2), (5, ·)), J_D = 1: free (+, −); then h = (3+2+1, −1+5−1),
    so the second turns; then h = (3−2+1, −1+5+1): nothing turns and the phase is over."""
    model = Model(*machine(1, 2, 1, self_coupling=1, sweeps_infer=9))
    model.input[0, :, 0] = 3, -1
    model.recurrent[0] = [[0, -2], [5, 0]]
    model.readout[:] = [[[1, -1]], [[2, 2]]]
    result = model.infer_one(np.array([1], np.int8))
    assert model.state.tolist() == [[1, 1]]
    assert result.scores.tolist() == [0, 4] and result.prediction == 1
    a = result.activity
    assert (result.sweeps, a.sweeps[0], a.flips[0], a.moves[0]) == (3, 3, 1, 2)
    assert model.counters["field_envelope"] == 0b111 & (3 | ~-1 | 6 | 3 | 2 | 5)


def test_a_state_that_is_kept_is_written_read_and_relaxed_without_input():
    """Every neuron of a ring wants what the one before it is: with W = 0, the pattern that the host
    wrote goes one neuron further with every sweep, and with the next sample from there."""
    config, zero = machine(1, 5, 1, keep_state=1, sweeps_infer=2)
    model = Model(config, zero)
    model.recurrent[0, np.arange(5), np.arange(5) - 1] = 1
    model.state = np.array([[1, -1, -1, 1, -1]], np.int8)
    for _ in range(3):
        before, moves, model.rebuild = model.state, model.counters["moves"], True
        result = model.infer_one(np.array([1], np.int8))
        assert model.state.tolist() == np.roll(before, 2, 1).tolist()
        assert result.sweeps == 3 and model.counters["moves"] == moves + 5
    result = model.infer_one(np.array([-1], np.int8))
    assert (result.activity.moves[0], result.activity.flips[0]) == (0, 8)
    assert model.counters["field_envelope"] == 1  # of the sweeps: ±1 and ~−1


@pytest.mark.parametrize(("sequential", "plus"), [(0, [1, 2, 3, 4, 5, 6]), (1, [1, 3, 5, 6])])
def test_groups_in_turn_see_the_newest_state(sequential: int, plus: list[int]):
    """Every neuron wants what the one before it is, the first +. All at once, + goes one neuron further
    with every sweep; in turn, two neurons a group, from the second one of a group to the next's first,
    too."""
    config, zero = machine(1, 6, 1, keep_state=1, sequential=sequential)
    for sweeps, count in enumerate([*plus, 6, 6], 1):
        model = Model(config.with_registers(sweeps_infer=sweeps), zero)
        model.recurrent[0, np.arange(1, 6), np.arange(5)] = 1
        result = model.infer_one(np.array([1], np.int8))
        assert model.state.tolist() == [[1] * count + [-1] * (6 - count)]
        assert result.sweeps == 1 + min(sweeps, len(plus) + 1)  # the last one finds a fixed point
        assert result.activity.flips[0] == count
        assert result.activity.evaluations[0] == 3 * result.sweeps


def test_neighbouring_modules_pull_and_the_ends_have_one_neighbour():
    """Free state (+, −, +); λ = 2 against |A| = 3: each end gains −2, the middle +4 and turns."""
    model = Model(*machine(3, 2, 1, chain_coupling=2, sweeps_infer=1))
    model.input[:, :, 0] = np.array([[3], [-3], [3]])
    model.infer_one(np.array([1], np.int8))
    assert model.state.tolist() == [[1, 1], [1, 1], [1, 1]]
    assert model.counters["field_envelope"] == 3 | ~-3 | (3 - 2) | (-3 + 4)


def test_the_label_acts_while_clamped_and_not_after():
    config, couplings = machine(1, 2, 1, feedback_shift=3, sweeps_released=0)
    model = Model(config, couplings)
    model.input[:], model.feedback[:, :, 1] = 100, -128
    model.train_one(np.array([1], np.int8), 1)
    assert (model.state == -1).all()
    model.registers = model.registers.replace(sweeps_released=1)
    model.train_one(np.array([1], np.int8), 1)
    assert (model.state == 1).all()


def test_learning_by_hand():
    """h = (1, 1) ≤ κ: both learn. O of the label gains 3 s, the other class loses 2 s."""
    config, zero = machine(1, 2, 2, margin=1, readout_step_true=3, readout_step_false=2)
    model = Model(config, zero)
    model.input[0, :, :] = [[1, 0], [0, -1]]
    result = model.train_one(np.array([1, -1], np.int8), 1)
    assert (result.learned, result.unstable) == (1, 2)
    assert model.input.tolist() == [[[2, -1], [1, -2]]]
    assert model.recurrent.tolist() == [[[0, 1], [1, 0]]]
    assert model.readout.tolist() == [[[-2, -2]], [[3, 3]]]


def test_a_margin_is_reached_by_equality():
    for margin, unstable in ((4, 0), (5, 1)):
        model = Model(*machine(1, 2, 1, margin=margin))
        model.input[0, :, 0] = 5, 6
        assert model.train_one(np.array([1], np.int8), 0).unstable == unstable
    for margin, moved in ((-1, False), (0, True)):
        model = Model(*machine(1, 2, 1, readout_margin_true=margin, readout_step_false=0))
        model.train_one(np.array([1], np.int8), 0)
        assert model.readout[0].any() == moved


def test_updates_beyond_the_range_are_cut_and_counted():
    config, zero = machine(1, 3, 2, margin=10_000, readout_step_true=9, readout_step_false=0)
    model = Model(config, zero)
    model.input[:] = config.weight_max
    model.recurrent[0, 0, 1] = config.weight_max
    model.readout[0, 0, :] = config.readout_max - 9, config.readout_max - 8, 0
    model.registers = model.registers.replace(readout_margin_true=1 << 20)
    model.train_one(np.array([1, 1], np.int8), 0)
    assert model.counters["saturations"] == 6 + 1
    assert model.counters["readout_saturations"] == 1
    assert (model.input == config.weight_max).all()
    assert model.readout[0, 0].tolist() == [config.readout_max, config.readout_max, 9]
    assert not np.einsum("mii->mi", model.recurrent).any()


@pytest.mark.parametrize("margin", [7, 8])
def test_the_gate_ends_samples_that_are_right_by_more_than_it(margin: int):
    """r = (4, −4): the difference is 8."""
    model = Model(*machine(1, 4, 1, gate_enable=1, gate=margin, margin=100))
    model.readout[:] = np.array([1, -1])[:, None, None]
    result = model.train_one(np.array([1], np.int8), 0)
    learned = margin >= 8
    assert (result.learned, result.unstable) == (learned, 4 * learned)
    assert result.prediction == 0
    assert result.activity.clamped[0] == learned and result.activity.decisions[0] == 1
    assert model.input.any() == learned


def test_arrays_whose_learning_is_off_stay_and_instability_is_still_counted(tiny: Recorded):
    off = dict(learn_recurrent=0, learn_input=0, learn_readout=0)
    model = Model(tiny.config.with_registers(margin=1 << 14, **off), tiny.before)
    result = model.train_one(tiny.x[0], int(tiny.y[0]))
    assert (result.learned, result.unstable) == (1, 8) and model.counters["updates"] == 8
    for name in Couplings.NAMES:
        assert np.array_equal(getattr(model, name), getattr(tiny.before, name))


def test_inference_changes_nothing_but_state_and_counters(tiny: Recorded):
    model = Model(tiny.config, tiny.before)
    first = model.infer_one(tiny.x[0])
    model.infer_one(tiny.x[1])
    again = model.infer_one(tiny.x[0])
    assert first.scores.tolist() == again.scores.tolist()
    assert (first.learned, model.counters["learned"], model.counters["samples"]) == (0, 0, 3)
    for name in Couplings.NAMES:
        assert np.array_equal(getattr(model, name), getattr(tiny.before, name))


def test_counters_add_up_to_the_results_and_the_activity(golden: Recorded):
    model = Model(golden.config, golden.before)
    results = [model.train_one(x, int(y)) for x, y in zip(golden.x[:50], golden.y, strict=False)]
    results += [model.infer_one(x) for x in golden.x[:20]]
    total: dict[str, Any] = dict.fromkeys(("learned", "sweeps", "flips"), 0)
    for result in results:
        for name in total:
            total[name] += int(getattr(result.activity, name)[0])
    for name, value in total.items():
        assert model.counters[name] == value
    assert model.counters["samples"] == 70
    assert model.counters["updates"] == sum(r.unstable for r in results)
    cycles = [phase_cycles(model.config, r.activity) for r in results]
    for phase in PHASES:
        assert model.counters[f"cycles_{phase}"] == sum(int(c[phase][0]) for c in cycles)
    assert model.counters["cycles"] == sum(model.counters[f"cycles_{p}"] for p in PHASES)


def test_counters_wrap_at_their_width(tiny: Recorded):
    model = Model(tiny.config, tiny.before)
    model.counters["samples"] = (1 << 32) - 1
    model.infer_one(tiny.x[0])
    assert model.counters["samples"] == 0


def test_couplings_and_registers_that_do_not_fit_are_refused(tiny: Recorded):
    with pytest.raises(DataError, match="recurrent must have shape"):
        Model(tiny.config.replace(neurons=9), tiny.before)
    model = Model(tiny.config, tiny.before)
    with pytest.raises(ConfigError, match="field_bits"):
        model.registers = model.registers.replace(self_coupling=1 << 22)
    assert model.registers == tiny.config.registers
