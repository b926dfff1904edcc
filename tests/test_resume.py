"""A run that was broken off goes on from its checkpoint and ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run as relaxon
from recorded import random_samples
from test_serve import Served

from relaxon import Config, Couplings, checkpoint, resume
from relaxon.board import Board
from relaxon.coding import Bits
from relaxon.data import Dataset, load
from relaxon.errors import DataError, LinkError, ResetError
from relaxon.linkboard import LinkBoard
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.twin import Twin, TwinTransport
from relaxon.training import Plan, Run, train

CONFIG = Config.preset("modules", modules=3, neurons=6, inputs=20, classes=4, lanes=8)
START = Couplings.fresh(CONFIG, 0, "modules")
PLAN = Plan(epochs=5, seed=3, settle=2, test_epochs=True)
SAMPLES = 1200
"""Per epoch: two and a half slices."""


class BrokenOff(Exception):
    """What ends a run in these tests."""


def dataset(seed: int = 2) -> Dataset:
    x, y = random_samples(CONFIG, SAMPLES + 60, seed=seed)
    parts = x[:SAMPLES], y[:SAMPLES], x[SAMPLES:], y[SAMPLES:]
    return Dataset("noise", *parts, (0, 1, 2, 3), Bits(CONFIG.inputs))


def board(couplings: Couplings = START, config: Config = CONFIG) -> ModelBoard:
    opened = ModelBoard(config)
    opened.load(couplings)
    return opened


def assert_same(run: Run, opened: Board, wanted: Run, reference: Board) -> None:
    """The same learned, predicted and counted."""
    assert not any(opened.couplings().differences(reference.couplings()).values())
    assert np.array_equal(opened.read("state"), reference.read("state"))
    for name in ("prediction", "right"):
        assert np.array_equal(*(np.concatenate(getattr(r, name)) for r in (run, wanted))), name
    for name in ("samples", "slices", "epoch_ends", "train_accuracy", "test_accuracy", "counters"):
        assert getattr(run, name) == getattr(wanted, name), name
    assert np.array_equal(run.test_prediction, wanted.test_prediction)
    assert opened.registers == reference.registers


@pytest.mark.parametrize("slices", range(15))
def test_from_any_slice_a_run_goes_on_to_the_same_end(slices: int, tmp_path: Path):
    data, path, left = dataset(), tmp_path / "c.npz", slices

    first = board()
    keeper = resume.Keeper(path, first, data, PLAN, {"a": 1}, every=0)

    def keep(run: Run) -> None:
        nonlocal left
        keeper(run)
        left -= 1
        if left < 0:
            raise BrokenOff

    with pytest.raises(BrokenOff):
        train(first, data, PLAN, keep=keep)
    kept = resume.load(path)
    kept.check(data)
    assert (kept.plan, kept.config, kept.told) == (PLAN, CONFIG, {"a": 1})
    assert kept.run.resumed == [] and len(kept.run.slices) == slices
    second = ModelBoard(kept.config)
    run = train(second, data, kept.plan, run=kept.restore(second))
    reference = board()
    wanted = train(reference, data, PLAN, anew=[slices])
    assert run.resumed == [slices]
    assert_same(run, second, wanted, reference)
    plain = board()
    train(plain, data, PLAN)
    assert not any(second.couplings().differences(plain.couplings()).values())


def test_checkpoints_are_written_in_time_and_go_when_the_run_is_finished(tmp_path: Path):
    path, data, opened = tmp_path / "c.npz", dataset(), board()
    keeper = resume.Keeper(path, opened, data, PLAN, {}, every=3600)
    train(opened, data, PLAN, keep=keeper)
    assert resume.load(path).run.samples == 0, "one at the start, none in the hour after it"
    keeper.finished()
    keeper.finished()
    assert not path.exists()


def test_other_samples_are_refused(tmp_path: Path):
    path, opened = tmp_path / "c.npz", board()
    resume.Keeper(path, opened, dataset(), PLAN, {}).save(Run(counters=opened.counters()))
    with pytest.raises(DataError, match="other samples than noise"):
        resume.load(path).check(dataset(seed=9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plan": None}, "it has no plan"),
        ({"plan": {"epochs": 0, "seed": 1}}, "epochs must be at least 1"),
        ({"plan": {"epoch": 1}}, "no account of a run"),
        ({"run": {}}, "no account of a run"),
        ({"slices": np.zeros((2, 3), int)}, "no account of a run"),
        ({"prediction": np.zeros(5, np.uint8)}, "one prediction for each of 0 samples"),
        ({"state": None}, "it has no state"),
    ],
)
def test_what_is_no_checkpoint_of_a_run_is_refused(change: dict, message: str, tmp_path: Path):
    path, opened = tmp_path / "c.npz", board()
    resume.Keeper(path, opened, dataset(), PLAN, {}).save(Run(counters=opened.counters()))
    held = checkpoint.load(path)
    parts = {**held.arrays, **held.extra, **change}
    parts = {name: value for name, value in parts.items() if value is not None}
    checkpoint.save(path, held.config, held.couplings, **parts)
    with pytest.raises(DataError, match=message):
        resume.load(path)


def test_the_next_connect_tells_what_the_board_holds(tmp_path: Path):
    data, path, transport = dataset(), tmp_path / "c.npz", TwinTransport(Twin(CONFIG))
    first = LinkBoard(transport, CONFIG)
    first.load(START)
    assert first.fresh
    first.clear_counters()
    resume.Keeper(path, first, data, PLAN, {}).save(Run(counters=first.counters()))
    kept = resume.load(path)
    again = LinkBoard(transport, CONFIG)
    assert "still holds the couplings" in kept.held(again)
    again.train(data.x_train[:7], data.y_train[:7])
    assert r"other couplings (+7 samples" in kept.held(LinkBoard(transport, CONFIG))
    transport.twin = Twin(CONFIG)
    with pytest.raises(ResetError):
        again.counters()
    assert "learned nothing" in kept.held(LinkBoard(transport, CONFIG))


# ---- the command line ---------------------------------------------------------------------------

HELD = ("it was powered up or reset since", "it holds other couplings")
"""What a board may be found to hold whose training was broken off."""
TRAIN = ("--modules", "2", "--neurons", "8", "--lanes", "8", "--epochs", "6", "--seed", "4")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relaxon.plots.plot_accuracy", lambda *_: None)
    monkeypatch.setattr("relaxon.plots.plot_couplings", lambda *_: None)
    return tmp_path


@pytest.fixture
def wanted(here: Path) -> Couplings:
    """What the training of `TRAIN` comes to."""
    assert relaxon("train", *TRAIN, "--out", "whole").exit_code == 0
    assert not (here / "whole" / resume.NAME).exists()
    return checkpoint.load(here / "whole" / "couplings.npz").couplings


def machine() -> Config:
    data = load("digits", seed=4)
    return Config.preset("modules", modules=2, neurons=8, lanes=8, inputs=data.inputs, classes=10)


def test_ctrl_c_leaves_a_checkpoint_and_the_rest_makes_the_same(
    wanted: Couplings, here: Path, monkeypatch: pytest.MonkeyPatch
):
    original, calls = ModelBoard.train, iter(range(100))

    def interrupted(self: ModelBoard, *args: Any, **kwargs: Any) -> Any:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(ModelBoard, "train", interrupted)
        done = relaxon("train", *TRAIN, "--out", "run", "--checkpoint-every", "0")
    assert done.exit_code == 130 and "relaxon resume run" in done.output
    assert resume.load(here / "run" / resume.NAME).run.samples > 0
    done = relaxon("resume", "run", "--check")
    assert done.exit_code == 0 and "EQUAL, bit for bit" in done.output, done.output
    learned = checkpoint.load(here / "run" / "couplings.npz").couplings
    assert not any(learned.differences(wanted).values())
    done = relaxon("resume", "run")
    assert done.exit_code == 0 and "the run in run is finished: 8,082 samples" in done.output


def test_a_pulled_cable_is_told_with_how_to_go_on(
    wanted: Couplings, here: Path, monkeypatch: pytest.MonkeyPatch
):
    class Cable(TwinTransport):
        writes = 0

        def write(self, data: bytes) -> None:
            self.writes += 1
            if self.writes == 260:
                raise LinkError("/dev/ttyUSB0 is gone (unplugged): was it unplugged or closed?")
            super().write(data)

    twin = Twin(machine())
    for kind in (Cable, TwinTransport):
        monkeypatch.setattr(
            "relaxon.transport.open_transport", lambda *_, kind=kind, **__: kind(twin)
        )
        if kind is Cable:
            done = relaxon("train", "--board", "tcp:here", *TRAIN, "--out", "run",
                           "--checkpoint-every", "0")  # fmt: skip
            assert done.exit_code == LinkError.exit_code
            assert "unplugged" in done.output and "relaxon resume run" in done.output
    done = relaxon("resume", "run", "--check")
    assert done.exit_code == 0 and "it holds other couplings" in done.output, done.output
    learned = checkpoint.load(here / "run" / "couplings.npz").couplings
    assert not any(learned.differences(wanted).values())


@pytest.mark.skipif(os.name != "posix", reason="kills with signals")
def test_killed_hosts_and_power_cuts_at_any_moment(wanted: Couplings, here: Path, long: bool):
    """Real processes on a served board: kill -9 and Ctrl-C of the host, power cuts of the board."""
    rng, config, transport = random.Random(6), machine(), TwinTransport(Twin(machine()))
    transport.read = lambda timeout, read=transport.read: read(0)  # type: ignore[method-assign]
    endings = [signal.SIGKILL, signal.SIGINT] * (12 if long else 1)
    kills, cuts, early = len(endings), 0, 0
    found: set[str] = set()
    path = here / "run" / resume.NAME
    with Served(transport) as served:
        command = ["train", *TRAIN, "--board", served.urls[0], "--out", "run"]
        while True:
            process = subprocess.Popen(
                [sys.executable, "-m", "relaxon.cli", *command, "--checkpoint-every", "0"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                # Whoever is started in the background has Ctrl-C ignored, and so have its children.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
            held = path.stat().st_mtime_ns if path.exists() else 0
            at_once = len(endings) % 8 in (5, 7)  # rather than while it trains
            while endings and process.poll() is None:
                if at_once or path.exists() and path.stat().st_mtime_ns != held:  # it is training
                    time.sleep(rng.uniform(0, 1 if at_once else 0.4))
                    process.send_signal(signal.SIGKILL if at_once else endings[0])
                    break
                time.sleep(0.02)
            output = process.communicate(timeout=300)[0]
            found.update(words for words in HELD if words in output)
            if process.returncode == 0:
                break
            ended = signal.SIGKILL if at_once else endings[0]
            del endings[0]
            early += at_once
            assert process.returncode == (130 if ended == signal.SIGINT else -ended), output
            resume.load(path)
            with Board.open(served.urls[0]) as board:
                assert board.couplings().input.any(), "the board is readable, and holds something"
            command = ["resume", "run"]
            path.with_name(f".{path.name}.1.part").write_text("as if killed while it was written")
            if len(endings) % 2 == 0:
                cuts += 1
                transport.twin = Twin(config)
    print(
        f"\nhost ended {kills - len(endings)} times, {early} of them at any time after its start, the "
        f"others while training; {cuts} power cuts meanwhile"
    )
    assert not endings and cuts >= 1
    assert found == set(HELD) or not long
    assert not list(path.parent.glob(".*")) and not path.exists(), "nothing is left behind"
    learned = checkpoint.load(here / "run" / "couplings.npz").couplings
    assert not any(learned.differences(wanted).values())
