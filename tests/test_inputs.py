"""Whatever brings samples and labels to a machine: what does not fit is refused, by name, before a board
is opened; what fits loses nothing on the way."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from relaxon import Couplings, RelaxonClassifier, checkpoint
from relaxon.board import Board
from relaxon.coding import Bits, ConstantFeatureWarning, Thermometer
from relaxon.errors import DataError, LinkError
from relaxon.samples import Encoder, features, labels

SMALL = ("--modules", 2, "--neurons", 8, "--samples", 200, "--epochs", 2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relaxon.plots.plot_accuracy", lambda *_: None)
    monkeypatch.setattr("relaxon.plots.plot_couplings", lambda *_: None)
    return tmp_path


@pytest.fixture
def no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if a board is opened."""

    def opened(*_: Any, **__: Any) -> Any:
        raise AssertionError("a board was opened")

    monkeypatch.setattr(Board, "open", opened)


# ---- thresholds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("made", ["ones", "negated", "plus_minus", "other"])
def test_mostly_ones_are_learned_as_well_as_mostly_zeros(made: str):
    bits = (np.random.default_rng(0).random((500, 64)) < 0.8).astype(int)
    x = {"ones": bits, "negated": 1 - bits, "plus_minus": 2 * bits - 1, "other": 3 * bits + 4}[made]
    y = bits[:, 0]
    learner = RelaxonClassifier(random_state=0).fit(x, y)
    assert learner.coder_.bits == 64, "a feature of two values is one bit"
    assert learner.score(x, y) > 0.98


def test_zeros_and_ones_learn_exactly_as_plus_and_minus_one():
    images, y = load_digits(return_X_y=True)
    dark = (images > 8).astype(int)
    one, other, third = (
        RelaxonClassifier(epochs=2, random_state=0).fit(x, y)
        for x in (dark, 2 * dark - 1, dark.astype(bool))
    )
    assert not any(one.couplings_.differences(other.couplings_).values())
    assert not any(one.couplings_.differences(third.couplings_).values())


def test_negated_features_are_learned_as_well():
    x, y = load_breast_cancer(return_X_y=True)
    plain, negated = (
        cross_val_score(RelaxonClassifier(random_state=0), each, y, cv=5) for each in (x, -x)
    )
    assert abs(plain.mean() - negated.mean()) <= max(plain.std(), negated.std(), 0.01)


@given(
    arrays(np.int64, st.tuples(st.integers(2, 60), st.integers(1, 4)), elements=st.integers(-4, 4)),
    st.integers(1, 9),
)
@settings(max_examples=200, deadline=None)
def test_thresholds_lie_strictly_between_values_and_once_each(x: np.ndarray, levels: int):
    coder = Thermometer.learn(x, levels)
    pairs = list(zip(coder.feature, coder.threshold, strict=True))
    assert len(set(pairs)) == len(pairs)
    varied = any(len(np.unique(column)) > 1 for column in x.T)
    for feature, column in enumerate(x.T):
        values = np.unique(column)
        mine = [t for f, t in pairs if f == feature]
        assert mine == sorted(mine)
        if varied:
            assert len(mine) <= min(levels, len(values) - 1)
            assert len(mine) == len(values) - 1 or len(values) - 1 > levels
            for threshold in mine:
                assert values[0] < threshold < values[-1] and threshold not in values
    bits = coder.encode(x)
    assert varied == bool((bits != bits[:1]).any()) or not varied


@given(arrays(np.float64, st.tuples(st.integers(2, 40), st.just(1)), elements=st.floats(-1e308, 1e308)))
@settings(max_examples=200, deadline=None)
def test_every_pair_of_neighbouring_values_can_be_told_apart(x: np.ndarray):
    """Thresholds separate even neighbours among the doubles, and the largest of them."""
    values = np.unique(x)
    coder = Thermometer.learn(x, levels=len(values))
    codes = {tuple(row) for row in coder.encode(values[:, None]).tolist()}
    assert len(codes) == len(values)


def test_the_thresholds_of_a_negated_feature_are_the_negated_ones():
    for load in (load_iris, load_breast_cancer, load_digits):
        x, _ = load(return_X_y=True)
        plain, negated = Thermometer.learn(x), Thermometer.learn(-x)
        assert sorted(plain.threshold) == sorted(-t for t in negated.threshold)


def test_constant_features_are_named_and_cost_no_bit():
    x = np.random.default_rng(0).normal(size=(50, 5))
    x[:, [1, 3]] = 7.0
    y = (x[:, 0] > 0).astype(int)
    with pytest.warns(ConstantFeatureWarning, match="features 1, 3 of 5: the same value"):
        learner = RelaxonClassifier(epochs=1, random_state=0).fit(x, y)
    assert set(learner.coder_.feature) == {0, 2, 4}
    import pandas as pd

    frame = pd.DataFrame(x, columns=list("abcde"))
    with pytest.warns(ConstantFeatureWarning, match="features b, d of 5"):
        RelaxonClassifier(epochs=1, random_state=0).fit(frame, y)
    with pytest.warns(ConstantFeatureWarning, match="and 40 more of 50"):
        RelaxonClassifier(epochs=1, random_state=0).fit(np.zeros((9, 50)), np.arange(9) % 2)


def test_train_names_the_constant_features_of_a_file(here: Path):
    bits = np.random.default_rng(0).integers(0, 2, (40, 6))
    bits[:, 2] = 1
    np.savez(here / "b.npz", x=bits, y=np.arange(40) % 2)
    with pytest.warns(ConstantFeatureWarning, match="b.npz: feature 2 of 6"):
        run("train", "--data", "b.npz", "--modules", 1, "--neurons", 4, "--epochs", 1)


# ---- labels -------------------------------------------------------------------------------------


@pytest.fixture
def trained(here: Path) -> Path:
    assert run("train", *SMALL, "--out", "run").exit_code == 0
    return here / "run" / "couplings.npz"


DIGITS = load_digits(return_X_y=True)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (DIGITS[1][:60, None], "y must be 60 integers or strings, not int64[60, 1]; write y.ravel()"),
        (DIGITS[1][:60].astype(float), "not float64[60]; write y.astype(int)"),
        (DIGITS[1][:59], "not int64[59]; there are 60 samples and 59 labels"),
        (np.eye(10)[DIGITS[1][:60]], "write y.argmax(axis=1)"),
        (DIGITS[1][:60] + 5, "y: label 10 is not among the classes 0, 1, 2"),
        (DIGITS[1][:60].astype(str), "y: label '0' is not among the classes"),
        (np.full(60, np.nan), "must be 60 integers or strings, not float64"),
    ],
    ids=["column", "float", "short", "one-hot", "unknown", "text", "nan"],
)  # fmt: skip
def test_predict_refuses_labels_that_are_none_of_the_machines(
    trained: Path, no_board: None, y: np.ndarray, message: str
):
    np.savez("new.npz", x=DIGITS[0][:60], y=y)
    result = run("predict", trained, "--data", "new.npz")
    assert result.exit_code == DataError.exit_code
    assert result.stderr.startswith("error: new.npz: ") and message in result.stderr
    if "not among" not in message:  # training takes any labels
        train = run("train", "--data", "new.npz", "--entangle", 20, *SMALL)
        assert train.exit_code == DataError.exit_code and message in train.stderr


def test_truth_values_are_the_classes_0_and_1(here: Path):
    bits = np.random.default_rng(0).integers(0, 2, (80, 6))
    np.savez("two.npz", x=bits, y=bits[:, 0])
    assert run("train", "--data", "two.npz", *SMALL[:4], "--epochs", 20, "--out", "r").exit_code == 0
    np.savez("bool.npz", x=bits, y=bits[:, 0].astype(bool))
    results = [run("predict", "r/couplings.npz", "--data", f) for f in ("two.npz", "bool.npz")]
    assert results[0].stdout == results[1].stdout and "accuracy" in results[0].stdout


@pytest.mark.parametrize("kind", ["bytes", "markup", "commas"])
def test_labels_of_any_text_are_saved_and_come_back(here: Path, kind: str):
    import csv

    names = {
        "bytes": np.array([b"a", b"b"]), "markup": np.array(["[unk]", "[/b]"]),
        "commas": np.array(['a,"b"', "c\nd" + "e" * 200]),
    }[kind]  # fmt: skip
    bits = np.random.default_rng(0).integers(0, 2, (80, 6))
    np.savez("named.npz", x=bits, y=names[bits[:, 0]])
    assert run("train", "--data", "named.npz", *SMALL[:4], "--epochs", 20, "--out", "r").exit_code == 0
    result = run("predict", "r/couplings.npz", "--data", "named.npz", "--out", "p.csv")
    assert result.exit_code == 0, result.output
    with open("p.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    wanted = [n.decode() if isinstance(n, bytes) else str(n) for n in names[bits[:, 0]].tolist()]
    assert [row[2] for row in rows] == wanted
    predicted = [row[1] for row in rows]
    assert np.mean(np.array(predicted) == wanted) > 0.8
    np.savez("bare.npz", x=bits)
    bare = run("predict", "r/couplings.npz", "--data", "bare.npz")
    assert bare.stdout == "".join(f"{label}\n" for label in predicted)


# ---- features -----------------------------------------------------------------------------------


@pytest.mark.parametrize("entangle", [(), ("--entangle", 40)], ids=["levels", "projection"])
@pytest.mark.parametrize("values", [32, 63, 65, 256])
def test_predict_refuses_another_number_of_features(
    here: Path, monkeypatch: pytest.MonkeyPatch, values: int, entangle: tuple[object, ...]
):
    assert run("train", *SMALL, *entangle, "--out", "run").exit_code == 0
    monkeypatch.setattr(Board, "open", lambda *_: pytest.fail("a board was opened"))
    np.savez("new.npz", x=np.random.default_rng(0).integers(0, 17, (20, values)))
    result = run("predict", "run/couplings.npz", "--data", "new.npz")
    assert result.exit_code == DataError.exit_code
    assert "new.npz: x: samples must have 64 features each" in result.stderr
    assert f"not (20, {values})" in result.stderr


def test_a_machine_of_version_0_1_still_predicts(trained: Path, here: Path):
    """Its projection did not tell its number of features, nor did its levels."""
    assert run("train", *SMALL, "--entangle", 40, "--out", "e").exit_code == 0
    for file in (trained, here / "e" / "couplings.npz"):
        wanted = run("predict", file).stdout
        machine = checkpoint.load(file)
        coding = machine.extra["coding"]
        old = {"levels": [16 / 3, 32 / 3]}
        if coding["kind"] == "projection":
            old = {"bits": 40, "seed": coding["seed"], "centre": coding["centre"][0]}
        extra = {**machine.extra, "coding": old}
        checkpoint.save("old.npz", machine.config, machine.couplings, **extra)
        result = run("predict", "old.npz")
        assert result.exit_code == 0 and result.stdout == wanted and "warning" not in result.stderr
    checkpoint.save(
        "lost.npz", machine.config, machine.couplings, **{**extra, "data": "mnist:gone"}
    )
    result = run("predict", "lost.npz", "--data", "digits")
    assert result.stdout == wanted and "it is taken to be of 64, as these samples are" in result.stderr


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"coding": {"kind": "bits", "features": 64}}, "makes 64 bits, and the machine has 128 inputs"),
        ({"labels": list(range(11))}, "labels must be up to 10 different"),
        ({"labels": [1, 1]}, "labels must be up to 10 different"),
        ({"labels": {"a": 1}}, "labels must be up to 10 different"),
        ({"coding": 3}, "coding must be an object"),
        ({"data": 3}, "does not say what it was trained on"),
    ],
)
def test_a_checkpoint_whose_parts_do_not_fit_is_refused(
    trained: Path, no_board: None, changed: dict[str, Any], message: str
):
    machine = checkpoint.load(trained)
    checkpoint.save("odd.npz", machine.config, machine.couplings, **{**machine.extra, **changed})
    result = run("predict", "odd.npz")
    assert result.exit_code == DataError.exit_code and message in result.stderr
    assert result.stderr.startswith("error: odd.npz")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (dict(x=np.zeros((0, 4)), y=np.zeros(0, int)), "x has no samples"),
        (dict(x=np.zeros((4, 0)), y=np.zeros(4, int)), "x has no values in a sample"),
        (
            dict(x=np.eye(4), y=np.arange(4) % 2, x_test=np.zeros((0, 4)), y_test=np.zeros(0, int)),
            "x_test has no samples",
        ),
    ],
)
def test_empty_parts_of_a_data_set_are_refused(
    no_board: None, parts: dict[str, Any], message: str
):
    np.savez("empty.npz", **parts)
    result = run("train", "--data", "empty.npz", *SMALL)
    assert result.exit_code == DataError.exit_code and f"empty.npz: {message}" in result.stderr


def test_a_baseline_that_cannot_be_fitted_is_told_before_training(no_board: None, here: Path):
    result = run("train", *SMALL[:4], "--samples", 1, "--baseline")
    assert result.exit_code == DataError.exit_code
    assert "1 to train on, of 1 classes" in result.stderr and not (here / "runs").exists()


def test_recorded_samples_are_checked_before_a_board_is_opened(no_board: None, here: Path):
    from recorded import GOLDEN

    with np.load(GOLDEN[0]) as file:
        parts = dict(file)
    parts["x"] = parts["x"].copy()
    parts["x"][3, 1] = 0
    np.savez("bad.npz", **parts)
    result = run("verify", "bad.npz")
    assert result.exit_code == DataError.exit_code
    assert "bad.npz: x must hold -1 and +1 only, but x[3, 1] is 0" in result.stderr


def test_features_and_labels_are_what_they_were():
    assert features(np.zeros((2, 3, 4))).shape == (2, 12)
    assert labels(np.array([b"\xc3\xa9"]), 1).tolist() == ["é"]
    encoder = Encoder(Bits(2), ("x", "y", "z"))
    assert encoder.codes(["z", "x"], 2).tolist() == [2, 0]
    assert encoder.named(np.array([1, 2])).tolist() == ["y", "z"]
    with pytest.raises(DataError, match="bytes that are no text"):
        labels(np.array([b"\xff"]), 1)
    with pytest.raises(DataError, match="class 3, and has 3 labels"):
        encoder.named(np.array([3]))
    with pytest.raises(DataError, match=r"x\[0, 1\] is inf"):
        features(np.array([[0, np.inf]]))


# ---- the estimator ------------------------------------------------------------------------------


def small(**changes: Any) -> RelaxonClassifier:
    return RelaxonClassifier(**{"modules": 2, "neurons": 8, "epochs": 2, "random_state": 0} | changes)


def test_a_failed_refit_leaves_the_model_as_it_was():
    x, y = load_iris(return_X_y=True)
    learner = small(epochs=10).fit(x, y)
    before, predicted = dict(vars(learner)), learner.predict(x)
    with pytest.raises(LinkError):
        learner.set_params(board="tcp:127.0.0.1:1").fit(x[:, :2], y)
    learner.set_params(board="model")
    assert vars(learner) == before and (learner.predict(x) == predicted).all()
    for bad, message in [
        (dict(epochs=0), "epochs"), (dict(coding="bits"), "features must be"),
        (dict(neurons=1), "neurons"), (dict(levels=2.5), "levels"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            learner.set_params(**bad).fit(x, 2 - y)
        learner.set_params(**{name: before[name] for name in bad})
        assert vars(learner) == before
    assert (learner.predict(x) == predicted).all()


def test_ctrl_c_in_a_refit_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch):
    from relaxon.sim.modelboard import ModelBoard

    x, y = load_iris(return_X_y=True)
    learner = small().fit(x, y)
    before = dict(vars(learner))

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ModelBoard, "train", interrupted)
        learner.fit(x[:, :2], y)
    assert vars(learner) == before


def test_a_failed_first_call_of_partial_fit_leaves_nothing():
    x, y = load_iris(return_X_y=True)
    learner = small()
    with pytest.raises(ValueError, match="y: label 0 is not among the classes 7, 8"):
        learner.partial_fit(x, y, classes=[7, 8])
    assert vars(learner) == vars(small())
    learner.partial_fit(x, y, classes=[0, 1, 2])
    before = dict(vars(learner))
    with pytest.raises(ValueError, match="features"):
        learner.partial_fit(x[:, :2], y)
    assert vars(learner) == before


def test_a_failed_load_leaves_the_board_as_it_was():
    from relaxon import Config
    from relaxon.linkboard import LinkBoard
    from relaxon.sim.modelboard import ModelBoard
    from relaxon.sim.twin import Twin, TwinTransport

    config = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
    for board in (ModelBoard(config), LinkBoard(TwinTransport(Twin(config)), config)):
        board.load(Couplings.fresh(config, 1))
        before, registers = board.couplings(), board.registers
        bad = Couplings.fresh(config, 2)
        bad.readout[0, 0, 0] = 3000
        with pytest.raises(DataError, match="readout must lie in"):
            board.load(bad)
        with pytest.raises(DataError, match="state must"):
            board.write("state", np.zeros((2, 4)))
        with pytest.raises(DataError, match="y must lie in 0 to 2"):
            board.train(np.ones((2, 6), int), [0, 3])
        assert not any(board.couplings().differences(before).values())
        assert board.registers == registers


def test_a_warning_that_is_made_an_error_leaves_the_registers_of_a_board():
    from relaxon import Config
    from relaxon.build_id import build_id
    from relaxon.linkboard import BuildWarning, LinkBoard
    from relaxon.sim.twin import Twin, TwinTransport

    config = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
    twin = Twin(config, build=build_id(config) ^ 1)
    with pytest.warns(BuildWarning):
        before = LinkBoard(TwinTransport(twin), config).registers
    other = config.replace(registers=config.registers.replace(margin=3))
    with warnings.catch_warnings(), pytest.raises(BuildWarning):
        warnings.simplefilter("error")
        LinkBoard(TwinTransport(twin), other)
    with pytest.warns(BuildWarning):
        assert LinkBoard(TwinTransport(twin)).registers == before


def test_scikit_learns_tools_take_it():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    search = GridSearchCV(small(), {"levels": [2, 8], "neurons": [8, 16]}, cv=3).fit(x, y)
    assert search.best_score_ > 0.6
    piped = make_pipeline(StandardScaler(), small(epochs=10)).fit(x, y)
    assert piped.score(x, y) > 0.8
    calibrated = CalibratedClassifierCV(small(epochs=10), cv=3).fit(x, y)
    assert calibrated.predict_proba(x).shape == (150, 3)
    again = pickle.loads(pickle.dumps(piped))
    assert (again.predict(x) == piped.predict(x)).all()


@pytest.mark.parametrize("coding", ["thermometer", "projection"])
def test_pandas_and_read_only_arrays_are_taken(coding: str):
    import pandas as pd

    x, y = load_iris(return_X_y=True)
    wanted = small(coding=coding).fit(x, y)
    frame = pd.DataFrame(x, columns=list("abcd"))
    read_only, fixed = x.copy(), y.copy()
    read_only.flags.writeable = fixed.flags.writeable = False
    for features_, labels_ in ((frame, pd.Series(y)), (read_only, fixed), (np.asfortranarray(x), y)):
        learner = small(coding=coding).fit(features_, labels_)
        assert not any(learner.couplings_.differences(wanted.couplings_).values())
        assert (learner.predict(features_) == wanted.predict(x)).all()
    assert list(small().fit(frame, y).feature_names_in_) == list("abcd")


def test_boards_take_read_only_samples():
    from recorded import random_samples

    from relaxon import Config
    from relaxon.sim.modelboard import ModelBoard

    config = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
    x, y = random_samples(config, 30, seed=0)
    x, y = np.ascontiguousarray(x, np.int8), np.ascontiguousarray(y, np.uint8)
    boards = [ModelBoard(config) for _ in range(2)]
    for board in boards:
        board.load(Couplings.fresh(config, 1))
        board.train(x, y)
        x.flags.writeable = y.flags.writeable = False
    assert not any(boards[0].couplings().differences(boards[1].couplings()).values())
