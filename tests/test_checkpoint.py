"""What is saved comes back identical; what is damaged or does not fit is refused."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from recorded import GOLDEN, Recorded, random_couplings

from relaxon import Config, Couplings
from relaxon.checkpoint import load, save
from relaxon.errors import DataError
from relaxon.sim.modelboard import ModelBoard

CONFIG = Config.preset("modules", modules=3, neurons=8, inputs=12, classes=3, weight_bits=6)
COUPLINGS = random_couplings(CONFIG, seed=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "machine.npz"
    save(path, CONFIG, COUPLINGS, x=np.arange(5, dtype=np.int8), accuracy=[0.5, 0.75], seed=3)
    return path


def rewrite(path: Path, **changes: object) -> None:
    """Change entries of an archive (None removes one)."""
    with np.load(path) as file:
        entries = dict(file)
    for name, value in changes.items():
        del entries[name]
        if value is not None:
            entries[name] = np.asarray(value)
    np.savez(path, **entries)


def test_everything_comes_back(path: Path):
    loaded = load(path)
    assert loaded.config == CONFIG
    assert not any(loaded.couplings.differences(COUPLINGS).values())
    assert list(loaded.arrays) == ["x"] and loaded.arrays["x"].dtype == np.int8
    assert loaded.extra == {"accuracy": [0.5, 0.75], "seed": 3}


def test_the_same_content_gives_the_same_bytes(path: Path, tmp_path: Path):
    other = tmp_path / "other.npz"
    save(other, CONFIG, COUPLINGS, x=np.arange(5, dtype=np.int8), accuracy=[0.5, 0.75], seed=3)
    assert other.read_bytes() == path.read_bytes()


def test_a_board_loaded_from_it_holds_it(path: Path):
    loaded = load(path)
    board = ModelBoard(loaded.config)
    board.load(loaded.couplings)
    assert not any(board.couplings().differences(COUPLINGS).values())


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_recorded_runs_load(file: Path):
    loaded, recorded = load(file), Recorded.load(file)
    assert loaded.config == recorded.config
    assert not any(loaded.couplings.differences(recorded.before).values())
    assert (loaded.arrays["recurrent_out"] == recorded.after.recurrent).all()
    assert (loaded.arrays["x"] == recorded.x).all()


def test_the_path_is_taken_as_it_is(tmp_path: Path):
    save(tmp_path / "machine", CONFIG, COUPLINGS)
    assert [file.name for file in tmp_path.iterdir()] == ["machine"]


def test_a_failed_save_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch):
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(DataError, match=r"machine\.npz cannot be written: .*No space left"):
        save(path, CONFIG, COUPLINGS)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["machine.npz"]


@pytest.mark.parametrize("name", ["config", "recurrent", "format", "extra", "file"])
def test_names_with_a_meaning_are_refused(tmp_path: Path, name: str):
    with pytest.raises((DataError, TypeError)):
        save(tmp_path / "m.npz", CONFIG, COUPLINGS, **{name: 1})


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()])])
def test_what_cannot_be_read_back_is_refused(tmp_path: Path, value: object):
    with pytest.raises(DataError):
        save(tmp_path / "m.npz", CONFIG, COUPLINGS, thing=value)
    assert not list(tmp_path.iterdir())


def test_couplings_that_do_not_fit_are_refused(tmp_path: Path):
    wrong = Couplings(**{**vars(COUPLINGS), "input": COUPLINGS.input + 40})
    with pytest.raises(DataError, match="input must lie in"):
        save(tmp_path / "m.npz", CONFIG, wrong)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "no.npz")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("text", [b"", b"hello", b"PK\x03\x04" + bytes(40)])
def test_other_files_are_refused(tmp_path: Path, text: bytes):
    (tmp_path / "m.npz").write_bytes(text)
    with pytest.raises(DataError, match=r"damaged or no \.npz"):
        load(tmp_path / "m.npz")


def test_every_cut_and_many_changed_bytes_are_refused_or_harmless(path: Path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            load(path)
    for at in rng.integers(0, len(whole), 400).tolist():
        changed = bytes([whole[at] ^ 1 << int(rng.integers(8))])
        path.write_bytes(whole[:at] + changed + whole[at + 1 :])
        try:
            loaded = load(path)
        except DataError:
            continue
        assert not any(loaded.couplings.differences(COUPLINGS).values())  # an unused zip field
        assert loaded.config == CONFIG


class Boom:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("boom"),)


def test_nothing_is_ever_executed(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.savez("evil.npz", recurrent=np.array([Boom()]), allow_pickle=True)
    Path("pickle.npz").write_bytes(pickle.dumps(Boom()))
    with zipfile.ZipFile("member.npz", "w") as archive:
        archive.writestr("config.npy", pickle.dumps(Boom()))
    for name in ("evil.npz", "pickle.npz", "member.npz"):
        with pytest.raises(DataError):
            load(name)
    assert not Path("boom").exists()


def text(value: object) -> np.ndarray:
    return np.array(json.dumps(value))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format version 2 is not known here"),
        ({"format": "x"}, "format version x is not known"),
        ({"config": None}, "has no config"),
        ({"input": None}, "has no input"),
        ({"config": "{"}, "config is no JSON"),
        ({"config": text([1])}, "config must be a JSON object"),
        ({"config": np.arange(3)}, "config must be one JSON string"),
        ({"config": text({"neurons": 8, "colour": 1})}, "unknown configuration field 'colour'"),
        ({"config": text({"neurons": "many"})}, "neurons must be an integer"),
        ({"config": text({"neurons": 9})}, "recurrent must have shape"),
        ({"registers": text({"margin": 1})}, "registers are incomplete"),
        ({"registers": text({"margin": 2**40})}, "registers are incomplete"),
        ({"feedback": np.zeros((3, 8, 3))}, "feedback must hold integers"),
        ({"feedback": np.zeros((3, 8, 4), int)}, "feedback must have shape"),
        ({"readout": np.full((3, 3, 8), 10**6)}, "readout must lie in"),
    ],
)
def test_parts_that_do_not_fit_are_named(path: Path, changes: dict, message: str):
    rewrite(path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_path_or_a_string_will_do(path: Path):
    assert load(str(path)).config == CONFIG
