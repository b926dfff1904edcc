"""Datasets are read, checked, split and coded the same way every time."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relaxon.coding import Bits, Projection, Thermometer, coding_from_dict
from relaxon.data import Dataset, held_out, load, load_samples
from relaxon.errors import DataError
from relaxon.idx import read_idx
from relaxon.samples import Encoder


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small MNIST: 30 training and 20 test images of 4×3 pixels, two files of four gzipped."""
    rng = np.random.default_rng(1)
    for part, n in (("train", 30), ("t10k", 20)):
        images = rng.integers(0, 256, (n, 4, 3), np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


def assert_sound(data: Dataset) -> None:
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == np.int8 and y.dtype == np.uint8 and len(x) == len(y) > 0
        assert set(np.unique(x)) == {-1, 1}
        assert y.max() < data.classes and x.shape[1] == data.inputs


# ---- digits -------------------------------------------------------------------------------------


def test_digits_are_a_two_level_thermometer_with_a_quarter_of_each_class_held_out():
    data = load("digits", seed=3)
    assert_sound(data)
    assert (data.name, data.inputs, data.classes) == ("digits", 128, 10)
    assert len(data.x_train) + len(data.x_test) == 1797
    for label in range(10):
        n = np.count_nonzero(data.y_train == label), np.count_nonzero(data.y_test == label)
        assert n[1] == round(0.25 * sum(n))
    low, high = data.x_train[:, :64], data.x_train[:, 64:]
    assert (low >= high).all() and (low > high).any()


def test_the_seed_decides_what_is_held_out():
    one, same, other = (load("digits", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.x_test, same.x_test) and np.array_equal(one.y_train, same.y_train)
    assert not np.array_equal(one.x_test, other.x_test)


def test_digits_may_be_entangled():
    data = load("digits", entangle=50, seed=1)
    assert_sound(data)
    assert data.inputs == 50 and isinstance(data.coding, Projection)


def test_a_subset_is_drawn_by_the_seed_and_keeps_the_order_and_the_test_set():
    data = load("digits", seed=0)
    few = data.subset(100, seed=5)
    assert len(few.x_train) == 100 and np.array_equal(few.x_test, data.x_test)
    assert np.array_equal(few.x_train, data.subset(100, seed=5).x_train)
    assert not np.array_equal(few.x_train, data.subset(100, seed=6).x_train)
    assert len(set(few.y_train)) == 10
    whole = data.subset(len(data.x_train), seed=5)
    assert np.array_equal(whole.x_train, data.x_train)
    for samples in (0, -1, 1_000_000):
        with pytest.raises(DataError, match=r"samples must be 1 to 1\d\d\d .*, not"):
            data.subset(samples, seed=0)


def test_holding_out_takes_the_part_of_every_class():
    y = np.array(list("aaaaaaaabbbbc"))
    mask = held_out(y, seed=0)
    assert [np.count_nonzero(mask[y == c]) for c in "abc"] == [2, 1, 0]


# ---- codes --------------------------------------------------------------------------------------


def test_a_thermometer_of_even_levels_has_one_bit_per_level_and_value():
    coded = Thermometer.even(3, (1, 5)).encode(np.array([[0, 2, 9], [1, 5, 6]]))
    assert coded.tolist() == [[-1, 1, 1, -1, -1, 1], [-1, 1, 1, -1, -1, 1]]
    assert coded.dtype == np.int8


def entangled(images: np.ndarray, bits: int, seed: int, centre: float) -> np.ndarray:
    return Projection(images.shape[1], bits, seed, (centre,)).encode(images)


def test_a_projection_is_the_sign_of_exact_sums_whatever_the_chunks(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 30), np.uint8)
    signs = entangled(images, 20, seed=4, centre=100)
    monkeypatch.setattr("relaxon.coding.CHUNK", 7)
    assert np.array_equal(entangled(images, 20, seed=4, centre=100), signs)
    normal = np.random.default_rng([1, 4]).standard_normal((30, 20))
    matrix = [[round(v * 2**16) for v in row] for row in normal.tolist()]
    sums = [[sum((int(p) - 100) * row[k] for p, row in zip(image, matrix, strict=True))
             for k in range(20)] for image in images]  # fmt: skip
    assert (signs == np.where(np.array(sums) >= 0, 1, -1)).all()


def test_projections_of_other_seeds_differ_and_the_same_agree():
    images = np.random.default_rng(0).integers(0, 256, (9, 30), np.uint8)
    assert np.array_equal(entangled(images, 40, 1, 9.0), entangled(images, 40, 1, 9.0))
    assert not np.array_equal(entangled(images, 40, 1, 9.0), entangled(images, 40, 2, 9.0))


def test_the_centre_is_whole_for_whole_numbers():
    assert Projection.entangle(np.array([[1, 2], [2, 2]], np.uint8), 3, 0).centre == (2.0,)
    assert Projection.entangle(np.array([[0.25, 0.5]]), 3, 0).centre == (0.375,)


CODINGS = [
    Bits(4),
    Thermometer.even(64, (16 / 3, 32 / 3)),
    Thermometer.learn(np.random.default_rng(0).normal(size=(30, 3))),
    Projection(7, 9, 1, (33.0,)),
    Projection.learn(np.random.default_rng(0).normal(size=(30, 3)), 5, 2),
]


@pytest.mark.parametrize("coding", CODINGS, ids=lambda c: f"{c.kind}-{c.bits}")
def test_codes_survive_json(coding: Any):
    import json

    assert coding_from_dict(json.loads(json.dumps(coding.to_dict())), coding.bits) == coding


@pytest.mark.parametrize(
    ("values", "bits", "features", "wanted"),
    [
        ({"levels": [1.0, 5.0]}, 6, None, Thermometer.even(3, (1, 5))),
        ({"levels": [0.0]}, 5, None, Thermometer.even(5, (0.0,))),
        ({"bits": 9, "seed": 3, "centre": 33.0}, 9, 7, Projection(7, 9, 3, (33.0,))),
    ],
)
def test_what_version_0_1_wrote_is_understood(values: dict, bits: int, features: int, wanted: Any):
    assert coding_from_dict(values, bits, features) == wanted


@pytest.mark.parametrize(
    "values",
    [
        {}, {"bits": 3}, {"levels": 3}, {"levels": ["a"]}, {"levels": []}, {"kind": "morse"},
        {"kind": "bits"}, {"kind": "bits", "features": 3.5}, {"kind": "bits", "features": True},
        {"kind": "thermometer", "features": 2, "feature": [0, 1, 2], "threshold": [1, 2, 3]},
        {"kind": "thermometer", "features": 3, "feature": [0, 1], "threshold": [1, 2, 3]},
        {"kind": "thermometer", "features": 3, "feature": [0, 1, 2], "threshold": [1, 2, float("nan")]},
        {"kind": "projection", "features": 4, "bits": 3, "seed": -1, "centre": [0]},
        {"kind": "projection", "features": 4, "bits": 3, "seed": 1, "centre": [0, 0]},
        {"bits": 3, "seed": 0, "centre": 33.0},
    ],
)  # fmt: skip
def test_what_is_no_code_is_refused(values: dict[str, Any]):
    with pytest.raises(DataError, match="no coding"):
        coding_from_dict(values, 3)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda c: f"{c.kind}-{c.bits}")
def test_a_code_for_another_machine_is_refused(coding: Any):
    with pytest.raises(DataError, match="the machine has 77 inputs"):
        coding_from_dict(coding.to_dict(), 77)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda c: f"{c.kind}-{c.bits}")
def test_a_code_knows_its_number_of_features(coding: Any):
    for features in (1, coding.features - 1, coding.features + 1, 3 * coding.features):
        with pytest.raises(DataError, match=f"must have {coding.features} features each"):
            coding.encode(np.zeros((2, features)))
    with pytest.raises(DataError, match="must have"):
        coding.encode(np.zeros(coding.features))


def test_projections_of_no_bits_are_refused():
    with pytest.raises(DataError, match="1 to 4096 bits, not 0"):
        Projection(2, 0, 0, (0.0,))


# ---- IDX ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["mnist", "fashion"])
def test_idx_folders_are_read_plain_or_gzipped(folder: Path, source: str):
    data = load(f"{source}:{folder}")
    assert_sound(data)
    assert (data.name, data.inputs, len(data.x_train), len(data.x_test)) == (source, 12, 30, 20)
    images = read_idx(folder / "train-images-idx3-ubyte.gz", 3)
    assert np.array_equal(data.x_train > 0, images.reshape(30, 12) > 127)
    assert load(f"{source}:{folder}", entangle=7).x_test.shape == (20, 7)


def test_the_test_set_is_projected_with_the_training_sets_centre(folder: Path):
    data = load(f"mnist:{folder}", entangle=9, seed=2)
    train = read_idx(folder / "train-images-idx3-ubyte.gz", 3)
    test = read_idx(folder / "t10k-images-idx3-ubyte.gz", 3)
    assert data.coding == Projection(12, 9, 2, (float(round(train.mean())),))
    assert np.array_equal(data.x_test, data.coding.encode(test.reshape(20, 12)))


def test_mnist_is_what_it_should_be(data_folder: Path):
    data = load(f"mnist:{data_folder / 'mnist'}", entangle=100, seed=0)
    assert_sound(data)
    assert data.x_train.shape == (60_000, 100) and data.x_test.shape == (10_000, 100)
    assert np.bincount(data.y_test).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert data.coding == Projection(784, 100, 0, (33.0,))


def test_damaged_idx_files_are_refused_by_name(folder: Path):
    path = folder / "train-labels-idx1-ubyte"
    good = path.read_bytes()
    for content, message in [
        (b"", "ends within its header: 0 of 8"),
        (good[:6], "ends within its header: 6 of 8"),
        (b"\1" + good[1:], "no IDX file of bytes: it starts with 01 00 08 01"),
        (good[:2] + b"\x0d" + good[3:], "no IDX file of bytes"),
        (good[:3] + b"\3" + good[4:] + bytes(9), "has 3 dimensions, not 1"),
        (good[:-1], "must hold 30 bytes for 30, not 29"),
        (good + b"\0", "must hold 30 bytes for 30, not 31"),
        (gzip.compress(good)[:-9], "cannot be read"),
        (gzip.compress(good)[:12] + b"\xff\xff\xff", "cannot be read"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            load(f"mnist:{folder}")
        assert str(path) in str(caught.value)
    path.write_bytes(idx_bytes(np.zeros(29, np.uint8)))
    with pytest.raises(DataError, match="30 train images but 29 labels"):
        load(f"mnist:{folder}")
    path.unlink()
    with pytest.raises(DataError, match="has no train-labels-idx1-ubyte"):
        load(f"mnist:{folder}")


# ---- npz and the rest ---------------------------------------------------------------------------


def test_npz_files_may_hold_bits_of_either_kind_and_any_labels(tmp_path: Path):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (40, 6))
    names = np.array(["cat", "dog", "eel", "fox"])[np.arange(40) % 4]
    path = tmp_path / "pets.npz"
    for x in (bits, bits * 2 - 1, bits.astype(bool), bits.astype(float).reshape(40, 2, 3)):
        np.savez(path, x=x, y=names)
        data = load(str(path), seed=1)
        assert_sound(data)
        assert (data.name, data.inputs, data.labels) == ("pets", 6, ("cat", "dog", "eel", "fox"))
        assert len(data.x_test) == 8  # a quarter of 10 is 2 (2.5 rounds to even), four times
        test = held_out(names, 1)
        assert np.array_equal(data.x_train > 0, bits[~test] > 0)
    np.savez(path, x=bits, y=np.arange(40) % 4 * 100, x_test=bits[:5], y_test=np.full(5, 300))
    data = load(str(path))
    assert data.labels == (0, 100, 200, 300) and data.y_test.tolist() == [3] * 5
    assert len(data.x_train) == 40


def test_npz_files_with_grey_levels_must_be_entangled(tmp_path: Path):
    path = tmp_path / "grey.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=(20, 6)), y=np.arange(20) % 2)
    with pytest.raises(DataError, match="grey.npz: x: features must be -1 or .* --entangle N"):
        load(str(path))
    assert_sound(load(str(path), entangle=11))


def test_unlabelled_npz_files_can_be_coded(tmp_path: Path):
    path = tmp_path / "new.npz"
    np.savez(path, x=np.eye(4))
    x, y = load_samples(str(path), Encoder(Bits(4), (0, 1)))
    assert y is None and np.array_equal(x, 2 * np.eye(4) - 1)
    with pytest.raises(DataError, match="has no labels y"):
        load(str(path))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(3)}, "has no samples x"),
        ({"x": np.eye(4), "y": np.zeros(3, int)}, "y must be 4 integers or strings"),
        ({"x": np.eye(4), "y": np.zeros(4)}, "y must be 4 integers or strings, not float64"),
        ({"x": np.ones(4), "y": np.zeros(4, int)}, "x must be \\(n, …\\) of numbers"),
        ({"x": np.full((4, 2), "a"), "y": np.zeros(4, int)}, "x must be"),
        ({"x": np.full((4, 2), np.nan), "y": np.zeros(4, int)}, "not finite"),
        ({"x": np.eye(8), "y": np.zeros(8, int)}, "2 to 64 classes, not 1"),
        ({"x": np.eye(8), "y": np.arange(8) % 2, "x_test": np.eye(8)}, "both x_test and y_test"),
        (
            {"x": np.eye(8), "y": np.arange(8) % 2, "x_test": np.eye(3),
             "y_test": np.arange(3) % 2}, "8 values a sample but x_test 3",
        ),
        (
            {"x": np.eye(8), "y": np.arange(8) % 2, "x_test": np.eye(8), "y_test": np.arange(8)},
            "y_test: label 2 is not among the classes 0, 1",
        ),
    ],
)  # fmt: skip
def test_npz_files_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict, message: str):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message):
        load(str(path))


def test_what_is_no_npz_file_is_refused(tmp_path: Path):
    path = tmp_path / "bad.npz"
    with pytest.raises(DataError, match="does not exist"):
        load(str(path))
    for content in (b"", b"PK\3\4 rubbish", b"\x80\x04K\x01.", b"\x93NUMPY\1\0rubbish"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no .npz of plain arrays"):
            load(str(path))
    np.savez(path, x=np.array([{}], object), y=np.zeros(1, int))
    with pytest.raises(DataError, match="no .npz of plain arrays"):
        load(str(path))


@pytest.mark.parametrize("source", ["", "mnist", "mnist:", "cifar:somewhere", "file.csv"])
def test_unknown_sources_are_refused_with_the_known_ones(source: str):
    with pytest.raises(DataError, match="data must be digits, mnist:DIR, fashion:DIR or FILE.npz"):
        load(source)
