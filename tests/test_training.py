"""The training loop does the same on any board, and its account is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from recorded import Recorded, random_samples

from relaxon import Config, Couplings, verify
from relaxon.board import Board
from relaxon.coding import Bits
from relaxon.data import Dataset
from relaxon.errors import ConfigError, DataError
from relaxon.layout import Layout
from relaxon.protocol import PHASES
from relaxon.sim.model import Model
from relaxon.sim.modelboard import ModelBoard
from relaxon.training import SLICE, Plan, Run, baseline_accuracy, metrics, train

CONFIG = Config.preset("modules", modules=3, neurons=6, inputs=20, classes=4, lanes=8)
START = Couplings.fresh(CONFIG, 0, "modules")


def dataset(n: int = 700, test: int = 90) -> Dataset:
    """Noisy copies of four patterns."""
    x, y = random_samples(CONFIG, n + test, seed=2)
    return Dataset("noise", x[:n], y[:n], x[n:], y[n:], (0, 1, 2, 3), Bits(x.shape[1]))


def board() -> ModelBoard:
    opened = ModelBoard(CONFIG)
    opened.load(START)
    return opened


def test_a_run_is_the_models_over_the_same_samples():
    data, plan, machine = dataset(), Plan(epochs=2, seed=5), board()
    run = train(machine, data, plan)
    model, predictions = Model(CONFIG, START), []
    for epoch in range(2):
        model.registers = plan.registers(CONFIG.registers, epoch)
        for t in plan.order(700, epoch):
            predictions.append(model.train_one(data.x_train[t], int(data.y_train[t])).prediction)
    trained = dict(model.counters)
    tested = [model.infer_one(x).prediction for x in data.x_test]
    assert np.concatenate(run.prediction).tolist() == predictions
    assert run.test_prediction.tolist() == tested
    assert run.counters == model.counters
    assert all(np.array_equal(a, getattr(model, n)) for n, a in vars(machine.couplings()).items())
    assert run.test_accuracy == {1: np.mean(np.array(tested) == data.y_test)}
    assert sum(grown["cycles"] for grown in run.slices) == trained["cycles"]
    inference = model.counters["cycles"] - trained["cycles"]
    assert run.cycles_per_inference == inference / 90


def test_every_epoch_has_an_order_of_its_own_that_the_seed_decides():
    plan = Plan(epochs=2, seed=1)
    orders = [plan.order(50, 0), plan.order(50, 1), Plan(2, 2).order(50, 0)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert np.array_equal(plan.order(50, 1), Plan(9, 1).order(50, 1))


@pytest.mark.parametrize(("n", "epochs"), [(1, 1), (3, 1), (700, 1), (700, 3), (1000, 2), (999, 5)])
def test_slices_cover_every_epoch_and_one_ends_at_half_of_the_run(n: int, epochs: int):
    seen: list[list[int]] = [[] for _ in range(epochs)]
    ends, done = set(), 0
    for epoch, part in Plan(epochs, 0).slices(n):
        assert 0 < part.stop - part.start <= SLICE
        seen[epoch] += range(part.start, part.stop)
        done += part.stop - part.start
        ends.add(done)
    assert seen == [list(range(n))] * epochs
    assert epochs * n // 2 in ends | {0}


def test_cycles_and_busy_memory_are_those_of_the_second_half():
    data, machine = dataset(700), board()
    run = train(machine, data, Plan(epochs=1, seed=3))
    first, whole = board(), board()
    order = Plan(1, 3).order(700, 0)
    first.train(data.x_train[order[:350]], data.y_train[order[:350]])
    whole.train(data.x_train[order], data.y_train[order])
    before, after = first.counters(), whole.counters()
    grown = {name: after[name] - before[name] for name in after}
    assert run.cycles_per_sample == grown["cycles"] / 350
    assert run.cycles_per_phase == {phase: grown[f"cycles_{phase}"] / 350 for phase in PHASES}
    strips = Layout(CONFIG).strips
    assert run.weight_memory_busy(CONFIG) == grown["weight_accesses"] / (grown["cycles"] * strips)


def test_the_test_set_is_tried_after_every_epoch_if_wanted():
    run = train(board(), dataset(), Plan(epochs=3, seed=0, test_epochs=True))
    assert list(run.test_accuracy) == [0, 1, 2]
    assert run.counters["samples"] == 3 * (700 + 90)
    assert run.epoch_ends == [700, 1400, 2100] and len(run.train_accuracy) == 3


def test_earlier_samples_do_not_count():
    data, machine = dataset(), board()
    machine.infer(data.x_test)
    assert train(machine, data, Plan(1, 0)).counters["samples"] == 790


def test_the_observer_hears_of_every_sample_and_of_the_accuracy():
    told, accuracies = [], []

    def observe(run: Run, done: int) -> None:
        told.append(done)
        accuracies.append(run.running_accuracy)

    run = train(board(), dataset(1200), Plan(2, 0), observe)
    assert sum(told) == run.samples == 2400
    assert accuracies[0] is None and accuracies[-1] == run.running_accuracy
    assert run.running_accuracy == np.concatenate(run.right)[-1000:].mean()


def test_an_interrupted_run_tells_what_was_done(monkeypatch: pytest.MonkeyPatch):
    machine, left = board(), [2]

    def observe(run: Run, done: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    run = train(machine, dataset(), Plan(5, 0), observe)
    assert run.interrupted and run.samples == run.counters["samples"] == 700
    assert sum(map(len, run.prediction)) == 500
    figures = metrics(run, CONFIG, clock_mhz=50)
    assert figures["test_accuracy"] is None and figures["interrupted"]
    assert machine.couplings().differences(START)["input"] > 0
    empty = metrics(Run(counters=dict.fromkeys(run.counters, 0)), CONFIG, clock_mhz=50)
    for name in ("cycles_per_sample", "samples_per_second", "cycles_per_phase", "weight_memory_busy"):
        assert empty[name] is None, name


def test_figures_follow_from_the_account():
    run = train(board(), dataset(), Plan(2, 0))
    figures = metrics(run, CONFIG, clock_mhz=20)
    assert run.cycles_per_sample is not None
    assert figures["samples_per_second"] == 20e6 / run.cycles_per_sample
    assert figures["test_accuracy"] == run.test_accuracy[1]
    assert figures["accuracy_per_epoch"]["test"] == [None, run.test_accuracy[1]]
    assert figures["samples_trained"] == 1400
    envelope = run.counters["field_envelope"]
    assert figures["largest_field_bound"] == envelope + 1
    assert -(1 << (figures["field_bits_used"] - 1)) <= -envelope - 1
    assert envelope < 1 << (figures["field_bits_used"] - 1)
    assert figures["saturations"] == run.counters["saturations"]


def test_no_test_set_is_no_error():
    run = train(board(), dataset(100, 0), Plan(1, 0))
    assert run.test_accuracy == {} and metrics(run, CONFIG, 50)["cycles_per_inference"] is None


def test_no_epochs_are_refused():
    with pytest.raises(ConfigError, match="epochs must be at least 1, not 0"):
        Plan(0, 0)


def test_the_baseline_learns_an_easy_task():
    assert baseline_accuracy(dataset()) > 0.9


# ---- against the model --------------------------------------------------------------------------


def checked(board: Board, data: Dataset, plan: Plan) -> list[verify.Finding]:
    run = train(board, data, plan)
    return verify.against_model(CONFIG, START, data, plan, run, board.couplings())


def test_a_faithful_board_equals_the_model_in_everything():
    findings = checked(board(), dataset(), Plan(2, 1, test_epochs=True))
    assert all(f.agrees for f in findings) and len(findings) == 4 + 2 + 17
    totals = {f.what: f.total for f in findings}
    assert totals["prediction in training"] == 1400 and totals["prediction in testing"] == 90
    assert totals["input"] == 18 * 20


def test_a_single_wrong_update_is_found():
    class Faulty(ModelBoard):
        def train(self, *args: Any, **kwargs: Any) -> Any:
            outcomes = super().train(*args, **kwargs)
            wrong = self.read("input")
            wrong[0, 0, 0] += 1 if wrong[0, 0, 0] < 0 else -1
            self.write("input", wrong)
            return outcomes

    machine = Faulty(CONFIG)
    machine.load(START)
    differing = {f.what: f.differ for f in checked(machine, dataset(300), Plan(1, 1))}
    assert differing["input"] > 0


def test_recorded_runs_are_replayed(golden: Recorded):
    run = verify.load_run(f"{golden.folder}/{golden.name}.npz")
    findings = verify.replay(ModelBoard(run.config), run)
    assert [f.what for f in findings] == [
        "prediction in training", "recurrent", "input", "feedback", "readout", "state",
        "prediction afterwards",
    ]  # fmt: skip
    assert all(f.agrees for f in findings)
    arrays = dict(run.arrays)
    arrays["readout_out"] = arrays["readout_out"].copy()
    arrays["readout_out"].flat[[3, 5]] += 1
    arrays["prediction"] = arrays["prediction"][:-1]
    findings = verify.replay(ModelBoard(run.config), replace(run, arrays=arrays))
    wrong = [f for f in findings if not f.agrees]
    assert [f.what[:10] for f in wrong] == ["prediction", "readout"] and wrong[1].differ == 2


def test_what_is_no_recorded_run_is_refused(tmp_path, tiny: Recorded):
    from relaxon import checkpoint

    checkpoint.save(tmp_path / "c.npz", tiny.config, tiny.before)
    with pytest.raises(DataError, match="no recorded run: it has no x, y, prediction"):
        verify.load_run(tmp_path / "c.npz")


def test_the_readout_settles_in_the_last_fifth_of_the_epochs():
    registers = CONFIG.registers
    plan = Plan(epochs=10, seed=0)
    assert [plan.registers(registers, e).learn_input for e in range(10)] == [1] * 8 + [0] * 2
    assert plan.registers(registers, 9).learn_readout == 1
    with pytest.raises(ConfigError, match="settle must be 0 to 3"):
        Plan(epochs=3, seed=0, settle=4)


def test_settling_leaves_the_couplings_and_the_registers_alone():
    data, machine = dataset(), board()
    train(machine, data, Plan(epochs=2, seed=0, settle=0))
    before, registers = machine.couplings(), machine.registers
    train(machine, data, Plan(epochs=1, seed=0, settle=1))
    changed = before.differences(machine.couplings())
    assert changed["readout"] > 0
    assert changed["recurrent"] == changed["input"] == 0
    assert machine.registers == registers


def test_the_fast_path_is_compared_with_the_reference_itself():
    data, plan, start = dataset(60), Plan(1, 0), START
    with ModelBoard(CONFIG) as machine:
        machine.load(start)
        run = train(machine, data, plan)
        learned = machine.couplings()
    findings = verify.against_model(CONFIG, start, data, plan, run, learned, fast=True)
    assert all(finding.agrees for finding in findings)
