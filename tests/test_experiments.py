"""Every experiment runs, and a point of it is the same on the simulated board; what they stand on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from relaxon.coding import Bits
from relaxon.data import Dataset
from relaxon.errors import ConfigError
from relaxon.experiments import (
    NAMES,
    TOLD,
    Form,
    bare,
    find,
    learner,
    question,
    results,
    sweep,
)
from relaxon.experiments.baselines import (
    LINEAR,
    STRENGTHS,
    binarised_mlp,
    linear,
    mlp_of,
    mlp_parameters,
)
from relaxon.experiments.entropy import annealed
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import at_limit, machine, trainable
from relaxon.experiments.relaxation import Network, random_state
from relaxon.settings import PRESETS
from relaxon.sim.model import Model
from relaxon.training import Run


@pytest.fixture
def lab(images: Path) -> Lab:
    return Lab(data=images)


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_comes_to_a_table_a_figure_and_a_verdict(
    name: str, lab: Lab, client: Client, tmp_path: Path
) -> None:
    script = find(name)
    swept = sweep.Sweep(name, script.points(Form.SMOKE), tmp_path)
    assert swept.run(lab, client) == []
    assert swept.missing() == []
    assert results.write(name, script, swept.frame(), tmp_path)
    results.draw(name, script, swept.frame(), tmp_path)
    table = pd.read_csv(tmp_path / f"{name}-table.csv")
    assert len(table) and len(pd.read_csv(tmp_path / f"{name}.csv")) == len(swept.frame())
    assert (tmp_path / f"{name}.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("name", NAMES)
def test_a_point_of_every_experiment_is_identical_on_the_simulated_board(
    name: str, lab: Lab, tmp_path: Path
) -> None:
    script = find(name)
    point = next(p for p in script.points(Form.SMOKE) if p.get("learner") != LINEAR)
    point = bare(point)
    measured = sweep.measure(name, point, lab)
    swept = sweep.Sweep(name, [point], tmp_path)
    swept.keep(point, *measured)
    kept = sweep.load(swept.file(point))
    assert sweep.repeat(name, kept, replace(lab, board="sim")) == []


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("name", NAMES)
def test_points_are_plain_and_differ(name: str, form: Form) -> None:
    points = find(name).points(form)
    assert len({json.dumps(point) for point in points}) == len(points)
    assert all(json.loads(json.dumps(point)) == point for point in points)
    assert all("seed" in point for point in points)
    assert question(find(name)).endswith("?")


def test_unknown_experiments_are_refused() -> None:
    with pytest.raises(ConfigError, match="experiment must be one of size, .*, not 'sise'"):
        find("sise")


def test_an_interrupted_machine_is_no_result(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    monkeypatch.setattr(learner, "train", lambda *_: Run(interrupted=True))
    script = find("stability")
    with pytest.raises(KeyboardInterrupt):
        script.measure(script.points(Form.SMOKE)[0], lab)


# ---- what they stand on -------------------------------------------------------------------------


def test_a_network_relaxes_as_written_down() -> None:
    """By hand: s ← sign(J s + J_D s) until nothing turns."""
    with Network.open(Lab(), neurons=12, seed=3, self_coupling=0.8) as net:
        recurrent = net.board.couplings().recurrent[0].astype(int)
        own = net.board.registers.self_coupling
        rng = np.random.default_rng(0)
        for _ in range(20):
            start = random_state(rng, net.shape)
            s, sweeps = start[0].astype(int), 0
            while sweeps < 100:
                new = np.where(recurrent @ s + own * s >= 0, 1, -1)
                if (new == s).all():
                    break
                s, sweeps = new, sweeps + 1
            end, taken = net.relax(start)
            assert (end[0] == s).all() and sweeps < 100
            assert taken == sweeps
            assert net.is_fixed(end) and net.is_fixed(start) == (taken == 0)


def test_the_annealed_entropy_counts_what_it_says() -> None:
    """A sum over all states of products of chances, with no use made of their symmetry."""
    from itertools import product

    from scipy.stats import norm

    for modules, h, own, chain in ((1, 5, 0.4, 0.0), (2, 3, 0.3, 0.7)):
        total = 0.0
        for state in product((-1, 1), repeat=modules * h):
            s = np.array(state).reshape(modules, h)
            others = s[::-1] if modules == 2 else np.zeros_like(s)
            fields = (own * s + chain * others) * s / np.sqrt((h - 1) / h)
            total += float(norm.cdf(fields).prod())
        assert annealed(own, chain, modules, h) == pytest.approx(np.log(total) / (modules * h))


def test_a_point_makes_the_machine_it_names() -> None:
    point = dict(
        preset="tuned", modules=3, neurons=20, weight_bits=6, gate=1.0, self_coupling=0.25,
        learn_input=0, sweeps_infer=7, seed=5, wiring="no recurrence",
    )  # fmt: skip
    made = machine(point, 50, 4)
    assert made.settings == replace(
        PRESETS["tuned"], gate=1.0, self_coupling=0.25, sweeps_infer=7
    )
    config = made.config
    assert (config.modules, config.neurons, config.inputs, config.classes) == (3, 20, 50, 4)
    assert (config.weight_bits, config.readout_bits) == (6, 15)
    assert config.registers.sweeps_infer == 7
    assert config.registers.self_coupling == round(0.25 * made.settings.k(config))
    assert not made.couplings.recurrent.any() and made.couplings.input.any()
    assert trainable(config) == 60 * (19 + 4)
    limited = at_limit(config, replace(made.couplings, input=np.full((3, 20, 50), -31)))
    assert limited == dict(recurrent_at_limit=0, input_at_limit=1, readout_at_limit=0)


def dataset(n: int, rule: Any, seed: int = 0) -> Dataset:
    """Random bits, labelled by a rule, half of them for testing."""
    x = np.where(np.random.default_rng(seed).random((2 * n, 8)) < 0.5, -1, 1).astype(np.int8)
    y = rule(x).astype(np.uint8)
    return Dataset("made", x[:n], y[:n], x[n:], y[n:], (0, 1), Bits(x.shape[1]))


def test_the_mlp_learns_what_no_linear_readout_can() -> None:
    parity = dataset(2000, lambda x: x[:, 0] * x[:, 1] > 0)
    assert binarised_mlp(parity, 64, 60, 0) > 0.95
    assert linear(parity)["accuracy"] < 0.6


def test_a_linear_readout_is_regularised_as_held_out_samples_want_and_fitted_to_all() -> None:
    told = dataset(600, lambda x: x[:, 0] > 0)
    assert linear(told) == {"accuracy": 1.0, "strength": STRENGTHS[-1]}  # all do, the least suffices
    wrong = np.random.default_rng(1).random(240) < 0.4
    noisy = dataset(120, lambda x: (x[:, 0] > 0) ^ wrong)
    found = linear(noisy)
    assert found["strength"] == STRENGTHS[0]
    all_of_them = LogisticRegression(C=STRENGTHS[0]).fit(noisy.x_train, noisy.y_train)
    assert found["accuracy"] == all_of_them.score(noisy.x_test, noisy.y_test)
    one = replace(told, x_train=told.x_train[:2], y_train=np.array([0, 1], np.uint8))
    assert linear(one)["strength"] == STRENGTHS[0]  # nothing to choose by


def test_the_mlp_of_as_many_parameters_has_as_many() -> None:
    for parameters in (1000, 36_000, 145_000):
        hidden = mlp_of(parameters, 100, 10)
        assert abs(mlp_parameters(hidden, 100, 10) - parameters) <= 111 / 2 + 1


def test_relaxation_needs_what_the_model_offers() -> None:
    """W = 0, a state that is kept: the reference model does what `Network` says, too."""
    with Network.open(Lab(), neurons=10, seed=1, self_coupling=1.0) as net:
        start = random_state(np.random.default_rng(1), net.shape)
        end, _ = net.relax(start)
        reference = Model(net.board.config, net.board.couplings())
        reference.state = start
        reference.infer_one(np.ones(1, np.int8))
        assert (reference.state == end).all()


@pytest.mark.parametrize(("needed", "told"), [(99, 99), (100, 100), (101, None), (102, None)])
def test_a_hundred_sweeps_are_enough_and_one_more_is_too_many(needed: int, told: int | None) -> None:
    """A front that goes one neuron further with every sweep, along a line of `needed` neurons."""
    with Network.open(Lab(), neurons=needed + 1, seed=0, self_coupling=0.0) as net:
        recurrent = np.zeros((1, needed + 1, needed + 1), np.int16)
        recurrent[0, np.arange(1, needed + 1), np.arange(needed)] = 1
        net.board.write("recurrent", recurrent)
        start = np.full(net.shape, -1, np.int8)
        start[0, 0] = 1  # nobody pulls it: its field is 0, which is +
        assert net.relax(start)[1] == told


def test_overlaps_and_parts_are_those_of_hand_made_rows() -> None:
    common = dict(kicked="end", self_coupling=1.0, neurons=10, starts=2, turned=1)
    rows = [
        common | dict(network=0, agreeing=20, fixed=2, same=1),
        common | dict(network=1, agreeing=10, fixed=0, same=0),
    ]
    (row,) = find("kicks").table(pd.DataFrame(rows)).to_dict("records")
    assert (row["kick"], row["overlap"], row["returned"], row["fixed_pairs"]) == (0.1, 0.5, 0.5, 2)
    assert row["error"] == pytest.approx(0.5)
    common = dict(kind="synchronous", neurons=100, self_coupling=0.6, starts=4)
    rows = [common | dict(network=n, reached=r, sweeps=10 * r) for n, r in enumerate((4, 0))]
    (row,) = find("fixed-points").table(pd.DataFrame(rows)).to_dict("records")
    assert (row["fraction"], row["error"], row["mean_sweeps"], row["relaxations"]) == (0.5, 0.5, 10, 8)


def test_the_verdict_on_size_is_of_the_largest_machine_not_of_the_luckiest() -> None:
    common = dict(task="mnist", inputs=100, neurons=32, seed=0)
    rows = [
        common | dict(learner="relaxon", modules=m, trainable=m, accuracy=a)
        for m, a in ((4, 0.90), (64, 0.88))
    ]
    rows.append(dict(task="mnist", inputs=100, learner=LINEAR, trainable=9, accuracy=0.8, seed=0))
    told = find("size").verdict(pd.DataFrame(rows))
    assert told == "Entangled MNIST, N = 100: 64 × 32 reaches 0.880 (linear readout 0.800)"


def test_capacity_ends_where_recall_first_falls_short() -> None:
    common = dict(shape="one module", modules=1, neurons=64, seed=0, unstable=0)
    recalled = ((100, 100), (200, 160), (400, 200), (800, 640))
    rows = [common | dict(patterns=p, recalled=r, recalled_best=r) for p, r in recalled]
    (row,) = find("capacity").table(pd.DataFrame(rows)).to_dict("records")
    assert row["recalled_90"] == 150 and row["recalled_99"] == 105
    assert (row["dip_at"], row["dip"], row["beyond_it"]) == (400, 0.5, 0.8)
    (row,) = find("capacity").table(pd.DataFrame(rows[:1])).to_dict("records")
    assert row["recalled_90"] == 100  # all that were tried
    (row,) = find("capacity").table(pd.DataFrame(rows[2:3])).to_dict("records")
    assert row["recalled_90"] == 0


def test_codes_are_named_after_their_bits() -> None:
    common = dict(seed=0, task="fashion", accuracy=0.8)
    rows = [common | dict(levels=2, learner="relaxon"), common | dict(levels=2, learner=LINEAR)]
    rows += [common | dict(inputs=784, learner="relaxon")]
    table = find("codes").table(pd.DataFrame(rows))
    assert list(table["code"]) == ["pixels, 2 levels", "pixels, 2 levels", "784 projections"]
    told = find("codes").verdict(pd.DataFrame(rows[:2]))
    assert told == "Fashion-MNIST: pixels, 2 levels 0.800 (linear 0.800)"


def test_the_tuned_preset_is_what_the_search_found() -> None:
    """One of the settings drawn, the O it was tried with, and every seed."""
    found = [p for p in find("search").points(Form.FULL) if p[TOLD]["settings"] == "tuned"]
    assert [p["seed"] for p in found] == [0, 1, 2]
    assert {p["readout_bits"] for p in found} == {PRESETS["tuned"].readout_bits}


def test_differences_are_taken_seed_by_seed() -> None:
    """One seed is .1 better than the other; the change costs .02 and .04."""
    accuracies = {("preset", 0): 0.8, ("preset", 1): 0.9, ("changed", 0): 0.78, ("changed", 1): 0.86}
    rows = [
        dict(machine="a", value=value, seed=seed, accuracy=accuracy)
        for (value, seed), accuracy in accuracies.items()
    ]
    table = results.against(pd.DataFrame(rows), ["machine", "value"], {"value": "preset"})
    preset, changed = table.to_dict("records")
    assert (preset["difference"], preset["its_deviation"]) == (0, 0)
    assert changed["difference"] == pytest.approx(-0.03) and changed["seeds"] == 2
    assert changed["its_deviation"] == pytest.approx(0.02 / 2**0.5)
    assert changed["deviation"] == pytest.approx(0.08 / 2**0.5)


def test_what_a_figure_is_of_is_written_below_it() -> None:
    frame = pd.DataFrame(dict(seed=[0, 1], samples=[10, None], tested=[200, 200], epochs=[3, 3]))
    told = results.images(frame)
    assert told == (
        "2 seeds, error bars: ± their standard deviation; 10 to 60\u202f000 training images, "
        "3 epochs; 200 test images"
    )
    held_out = results.images(pd.DataFrame(dict(seed=[0], split=["validation"])))
    assert held_out == "1 seed; 50\u202f000 training images; 10\u202f000 validation images"


def test_every_panel_of_the_ablation_shows_its_accuracies() -> None:
    common = dict(machine="32 × 32, gated", seed=0, accuracy=0.8)
    rows = [common | dict(axis="switch", value=name) for name in ("preset", "J frozen")]
    rows += [common | dict(axis="J_D / K", value=v, accuracy=a) for v, a in ((0, 0.2), (0.5, 0.8))]
    figure = Figure()
    find("ablation").draw(pd.DataFrame(rows), figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["preset", "J frozen"]
    assert figure.axes[1].get_ylim() == (0, 1)
