"""The estimator is one scikit-learn accepts, and its machine is the one of the model."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from recorded import random_samples
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from relaxon import Config, Couplings, Settings
from relaxon.board import Board
from relaxon.classifier import RelaxonClassifier
from relaxon.coding import Bits, Projection, Thermometer
from relaxon.errors import ConfigError, DataError
from relaxon.linkboard import LinkBoard
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.twin import Twin, TwinTransport


@parametrize_with_checks([
    RelaxonClassifier(),
    RelaxonClassifier(preset="paper", neurons=64, coding="projection", inputs=64, epochs=20),
])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


def small(**changes) -> RelaxonClassifier:
    parameters = {"modules": 3, "neurons": 8, "epochs": 3, "random_state": 7}
    return RelaxonClassifier(**parameters | changes)


def test_it_learns_iris_and_digits():
    X, y = load_iris(return_X_y=True)
    assert cross_val_score(RelaxonClassifier(random_state=0), X, y).mean() > 0.92
    train, test, y_train, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    assert RelaxonClassifier(random_state=0).fit(train, y_train).score(test, y_test) > 0.92


def test_learned_couplings_are_attributes_and_are_those_of_the_machine(iris):
    X, y = iris
    machine = small(shuffle=False, epochs=2).fit(X, y)
    assert machine.config_.structure() == machine.config_.structure() | {
        "modules": 3, "neurons": 8, "inputs": 58, "classes": 3, "readout_bits": 14,
    }
    seed = int(np.random.RandomState(7).randint(2**31 - 1))
    board = ModelBoard(machine.config_)
    board.load(Couplings.fresh(machine.config_, seed, "modules"))
    for _ in range(2):
        board.train(machine.coder_.encode(X), y)
    assert not any(board.couplings().differences(machine.couplings_).values())
    for name in Couplings.NAMES:
        assert (getattr(machine, f"{name}_") == getattr(board.couplings(), name)).all()
    assert (machine.decision_function(X) == board.scores(machine.coder_.encode(X))).all()


def test_the_board_makes_no_difference(iris, monkeypatch: pytest.MonkeyPatch):
    X, y = iris
    model = small(epochs=1).fit(X, y)
    twins = iter([Twin(model.config_) for _ in range(2)])
    monkeypatch.setattr(
        Board, "open", lambda url, config: LinkBoard(TwinTransport(next(twins)), config, url=url)
    )
    other = small(epochs=1, board="tcp:twin").fit(X, y)
    assert not any(other.couplings_.differences(model.couplings_).values())
    other_scores = other.decision_function(X)
    monkeypatch.undo()
    assert (other_scores == model.decision_function(X)).all()


def test_the_seed_decides(iris):
    X, y = iris
    one, same, other = (small(random_state=seed).fit(X, y).couplings_ for seed in (1, 1, 2))
    assert not any(one.differences(same).values())
    assert all(one.differences(other).values())


def test_any_labels_will_do(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])
    assert (small().fit(X, names[y]).predict(X) == names[small().fit(X, y).predict(X)]).all()
    two = small().fit(X[y < 2], np.where(y[y < 2] == 0, -7, 3))
    assert set(two.predict(X)) == {-7, 3}
    assert ((two.decision_function(X) > 0) == (two.predict(X) == 3)).all()
    assert set(small().fit(X, np.full(len(X), "only")).predict(X)) == {"only"}


def test_partial_fit_goes_on(iris):
    X, y = iris
    whole = small(shuffle=False, epochs=2).fit(X, y)
    parts = small().partial_fit(X, y, classes=[0, 1, 2])
    for part in (slice(0, 50), slice(50, None)):
        parts.partial_fit(X[part], y[part])
    assert not any(parts.couplings_.differences(whole.couplings_).values())


def test_partial_fit_wants_its_classes_first_and_keeps_them(iris):
    X, y = iris
    with pytest.raises(ValueError, match="classes must be given at the first call"):
        small().partial_fit(X, y)
    machine = small().partial_fit(X[:9], y[:9], classes=[2, 1, 0])
    with pytest.raises(ValueError, match="classes must stay"):
        machine.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="label 5 is not among the classes"):
        machine.partial_fit(X[:2], [1, 5])


def test_parameters_survive_cloning_and_pickling(iris):
    X, y = iris
    machine = small(registers={"margin": 50}).fit(X, y)
    assert clone(machine).get_params() == machine.get_params()
    assert (pickle.loads(pickle.dumps(machine)).predict(X) == machine.predict(X)).all()


def test_registers_and_sizes_reach_the_machine(iris):
    config = small(
        preset="paper", modules=2, neurons=12, lanes=4, weight_bits=6, levels=3,
        registers={"sweeps_infer": 4},
    ).fit(*iris).config_
    wanted = Config.preset(
        "paper", modules=2, neurons=12, inputs=12, classes=3, lanes=4, weight_bits=6,
        registers={"sweeps_infer": 4},
    )
    assert config == wanted


def test_any_settings_make_a_machine(iris):
    settings = Settings(self_coupling=0.4, readout_bits=13, gate=3.0)
    learner = small(preset=settings).fit(*iris)
    assert learner.config_.registers.self_coupling == round(0.4 * settings.k(learner.config_))
    assert learner.config_.readout_bits == 13 and learner.config_.registers.gate_enable
    assert clone(learner).fit(*iris).score(*iris) == learner.score(*iris)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "huge"}, "preset must be one of paper, modules"),
        ({"epochs": 0}, "epochs must be a whole number of 1 or more"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"coding": "morse"}, "coding must be auto, bits"),
        ({"coding": "bits"}, "features must be -1 or \\+1 for coding 'bits'"),
        ({"levels": 0}, "levels must be a whole number of 1 or more, not 0"),
        ({"levels": 2.5}, "levels must be a whole number of 1 or more, not 2.5"),
        ({"coding": "projection", "inputs": 5000}, "1 to 4096 bits"),
        ({"neurons": 1}, "neurons must be 2 to 4096"),
        ({"registers": {"marign": 3}}, "unknown register 'marign'"),
        ({"board": "usb"}, "no such board 'usb'"),
    ],
)
def test_parameters_that_make_no_sense_are_named(iris, parameters, message):
    with pytest.raises((ConfigError, DataError), match=message):
        small(**parameters).fit(*iris)


def test_bits_are_taken_as_they_are():
    config = Config(inputs=20, classes=3)
    x, y = random_samples(config, 90, seed=0)
    machine = small().fit(x, y)
    assert machine.coder_ == Bits(20)
    assert machine.score(x, y) > 0.8
    with pytest.raises(ValueError, match=r"features must be -1 or \+1"):
        machine.predict(x * 0.5)


def test_thermometer_levels_rise_at_the_quantiles():
    x = np.arange(100.0)[:, None] * [1.0, -2.0]
    coder = Thermometer.learn(x, levels=3)
    bits = coder.encode(x)
    assert bits.shape == (100, 6) and set(np.unique(bits)) == {-1, 1}
    assert (bits.reshape(100, 2, 3).sum(axis=(0, 2)) == 0).all()
    assert ((np.diff(bits.reshape(100, 2, 3), axis=2)) <= 0).all()
    assert (bits == 1).sum(axis=0).tolist() == [75, 50, 25] * 2


@pytest.mark.parametrize(
    ("features", "bits"), [(1, 16), (8, 128), (64, 128), (784, 1568), (2000, 4000), (3000, 3000)]
)
def test_thermometer_chooses_its_levels(features: int, bits: int):
    assert Thermometer.learn(np.random.default_rng(0).normal(size=(50, features))).bits == bits


def test_more_features_than_inputs_need_a_projection():
    x = np.random.default_rng(0).normal(size=(5, 5000))
    with pytest.raises(DataError, match="coding='projection'"):
        Thermometer.learn(x)
    with pytest.raises(DataError, match="5000 bits; a machine has 1 to 4096 inputs"):
        Thermometer.learn(np.random.default_rng(0).normal(size=(2000, 5)), 1000)
    assert Projection.learn(x, 100, seed=0).encode(x).shape == (5, 100)


def test_projections_are_balanced_and_seeded():
    x = np.random.default_rng(0).normal(3, [1, 50, 0.01], size=(500, 3))
    coder = Projection.learn(x, 200, seed=1)
    means = coder.encode(x).mean(axis=0)
    assert abs(means.mean()) < 0.1 and (np.abs(means) < 0.99).all()
    assert (coder.encode(x) == Projection.learn(x, 200, seed=1).encode(x)).all()
    assert (coder.encode(x) != Projection.learn(x, 200, seed=2).encode(x)).any()
