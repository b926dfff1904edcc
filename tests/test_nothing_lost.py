"""What a run has learned is saved first and stays; nobody's files, links or runs are taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import program, run

from relaxon import checkpoint, files, resume
from relaxon.board import Board
from relaxon.errors import DataError, LinkError
from relaxon.folder import LOCK, RESULTS, Folder
from relaxon.sim.doors import PtyDoor
from relaxon.sim.modelboard import ModelBoard

SMALL = ("--modules", 2, "--neurons", 8, "--samples", 200, "--epochs", 2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plots."""
    monkeypatch.setattr("relaxon.plots.plot_accuracy", lambda *_: None)
    monkeypatch.setattr("relaxon.plots.plot_couplings", lambda *_: None)


# ---- primary results first ----------------------------------------------------------------------


def test_a_notebooks_backend_does_not_matter(here: Path):
    """``!relaxon train`` in a notebook inherits a backend that this installation may not have."""
    env = os.environ | {"MPLBACKEND": "module://matplotlib_inline.no_such_backend"}
    done = program("train", *SMALL, "--out", "run", env=env)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (here / "run").iterdir()} == set(RESULTS)
    done = program("experiment", "entropy", "--smoke", "--out", "e", env=env)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("no font")])
def test_plots_that_fail_are_told_and_end_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def failing(*_: Any) -> None:
        assert checkpoint.load(here / "run" / "couplings.npz"), "the couplings are there already"
        assert json.loads((here / "run" / "metrics.json").read_text())["test_accuracy"]
        raise error

    monkeypatch.setattr("relaxon.plots.plot_accuracy", failing)
    result = run("train", *SMALL, "--out", "run")
    assert result.exit_code == 0
    assert "warning: the plots could not be made" in result.stderr and str(error) in result.stderr
    assert "the couplings are safe in run/couplings.npz" in result.stderr


def test_figures_that_cannot_be_written_are_told_and_end_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, plain: None
):
    def full(path: Path, values: Any) -> None:
        raise DataError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr("relaxon.cli_train.write_json", full)
    result = run("train", *SMALL, "--out", "run", "--json", "f.json")
    assert result.exit_code == 0 and result.stderr.count("the couplings are safe in") == 2
    assert checkpoint.load(here / "run" / "couplings.npz")


def test_couplings_that_cannot_be_written_go_elsewhere(
    here: Path, monkeypatch: pytest.MonkeyPatch, plain: None
):
    assert run("train", *SMALL, "--out", "wanted").exit_code == 0
    wanted = checkpoint.load(here / "wanted" / "couplings.npz").couplings
    original = checkpoint.save

    def full(path: Path, *arguments: Any, **extra: Any) -> None:
        if Path(path) == Path("run/couplings.npz"):
            raise DataError(f"{path} cannot be written: No space left on device")
        original(path, *arguments, **extra)

    monkeypatch.setattr("relaxon.checkpoint.save", full)
    result = run("train", *SMALL, "--out", "run")
    assert result.exit_code == DataError.exit_code
    place = Path(result.stderr.partition("the couplings are safe in ")[2].strip())
    assert not any(checkpoint.load(place).couplings.differences(wanted).values())
    assert (here / "run" / resume.NAME).exists(), "and it can be resumed"
    place.unlink()
    place.parent.rmdir()


def test_a_later_checkpoint_that_cannot_be_written_does_not_end_the_training(
    here: Path, monkeypatch: pytest.MonkeyPatch, plain: None
):
    original, calls = resume.Keeper.save, iter(range(100))

    def full(self: resume.Keeper, account: Any) -> None:
        if next(calls) in (1, 2):
            raise DataError(f"{self.path} cannot be written: No space left on device")
        original(self, account)

    monkeypatch.setattr(resume.Keeper, "save", full)
    with pytest.warns(resume.CheckpointWarning, match="training goes on"):
        result = run("train", *SMALL, "--out", "run", "--checkpoint-every", 0)
    assert result.exit_code == 0 and checkpoint.load(here / "run" / "couplings.npz")


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_what_cannot_be_written_is_found_before_training(
    here: Path, monkeypatch: pytest.MonkeyPatch, option: str
):
    monkeypatch.setattr(Board, "open", lambda *_: pytest.fail("a board was opened"))
    (here / "file").write_text("")
    (here / "folder" / "f.json").mkdir(parents=True)
    for bad in ("file/there", "/proc/none/there") + (("folder/f.json",) if option == "--json" else ()):
        result = run("train", *SMALL, option, bad)
        assert result.exit_code == DataError.exit_code and "cannot be" in result.stderr, bad
    assert sorted(p.name for p in here.iterdir()) == ["file", "folder"], "nothing is left behind"


def test_predict_finds_what_it_cannot_write_before_it_starts(
    here: Path, monkeypatch: pytest.MonkeyPatch, plain: None
):
    assert run("train", *SMALL, "--out", "run").exit_code == 0
    monkeypatch.setattr(Board, "open", lambda *_: pytest.fail("a board was opened"))
    for option in ("--out", "--json"):
        result = run("predict", "run/couplings.npz", option, "/proc/none/p")
        assert result.exit_code == DataError.exit_code and "/proc/none" in result.stderr


# ---- whole files or none ------------------------------------------------------------------------


def test_an_older_file_stays_until_the_new_one_is_whole(here: Path):
    path = here / "p.csv"
    files.write_csv(path, ("a", "b"), [(1, 'x,"y"')])
    assert path.read_text() == 'a,b\n1,"x,""y"""\n'
    with pytest.raises(ZeroDivisionError), files.replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == 'a,b\n1,"x,""y"""\n'
    assert [p.name for p in here.iterdir()] == ["p.csv"]


def test_links_stay_links_and_devices_devices(here: Path):
    (here / "real").mkdir()
    target = here / "real" / "f.json"
    target.write_text("old")
    (here / "link.json").symlink_to(target)
    files.write_json(here / "link.json", {"new": 1})
    assert (here / "link.json").is_symlink() and json.loads(target.read_text()) == {"new": 1}
    files.write_json(Path("/dev/null"), {"gone": 1})
    files.probe(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    os.mkfifo(here / "pipe")
    reader = os.open(here / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    files.write_text(here / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


def test_names_as_long_as_names_may_be_are_written(here: Path):
    path = here / ("x" * 250 + ".json")
    files.probe(path)
    files.write_json(path, [])
    assert [p.name for p in here.iterdir()] == [path.name]


# ---- a folder belongs to one run ----------------------------------------------------------------


def interrupted_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that Ctrl-C ended, in the folder ``run``."""

    def interrupted(self: ModelBoard, *_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ModelBoard, "train", interrupted)
        assert run("train", *SMALL, "--out", "run").exit_code == 130


def test_the_same_command_after_a_crash_does_not_destroy_the_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, plain: None
):
    interrupted_run(here, monkeypatch)
    held = (here / "run" / resume.NAME).read_bytes()
    result = run("train", *SMALL, "--out", "run")
    assert result.exit_code == DataError.exit_code
    assert "run has a run that is not finished (0 samples)" in result.stderr
    assert "relaxon resume run" in result.stderr and "--overwrite" in result.stderr
    assert (here / "run" / resume.NAME).read_bytes() == held
    (here / "run" / resume.NAME).write_bytes(held[:100])
    assert "its checkpoint cannot be read" in run("train", *SMALL, "--out", "run").stderr
    assert run("train", *SMALL, "--out", "run", "--overwrite").exit_code == 0
    assert not (here / "run" / resume.NAME).exists()


def test_a_finished_run_is_replaced_only_if_that_is_asked_for(here: Path, plain: None):
    assert run("train", *SMALL).exit_code == 0
    (folder,) = (here / "runs").iterdir()
    held = (folder / "couplings.npz").read_bytes()
    result = run("train", *SMALL)
    assert result.exit_code == DataError.exit_code
    assert "has a finished run" in result.stderr and "--overwrite" in result.stderr
    assert (folder / "couplings.npz").read_bytes() == held
    assert run("train", *SMALL, "--overwrite", "--epochs", 1).exit_code == 0
    assert (folder / "couplings.npz").read_bytes() != held


def test_resuming_a_finished_run_says_that_it_is_finished(here: Path, plain: None):
    assert run("train", *SMALL, "--out", "run").exit_code == 0
    result = run("resume", "run")
    assert result.exit_code == 0
    assert "the run in run is finished: 400 samples, test accuracy 0." in result.stdout
    assert "its couplings are in run/couplings.npz" in result.stdout
    (here / "run" / "metrics.json").write_text("{")
    assert "the run in run is finished" in run("resume", "run").stdout
    for missing in ("nowhere", "."):
        result = run("resume", missing)
        assert result.exit_code == DataError.exit_code and "does not exist" in result.stderr
    assert not (here / "nowhere").exists()


HOLDING = """
import sys, time
from pathlib import Path
from relaxon.folder import Folder
with Folder(Path("run")):
    (Path("run") / ".couplings.npz.77.part").write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_runs_do_not_share_a_folder(here: Path, plain: None):
    with subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            for command in (("train", *SMALL, "--out", "run"), ("resume", "run")):
                result = run(*command)
                assert result.exit_code == DataError.exit_code
                assert f"run is being used by process {other.pid} on " in result.stderr
            assert (here / "run" / ".couplings.npz.77.part").exists(), "the owner's files stay"
        finally:
            other.kill()
    assert (here / "run" / LOCK).exists(), "a killed owner leaves its lock, which holds no more"
    assert run("train", *SMALL, "--out", "run").exit_code == 0
    assert {path.name for path in (here / "run").iterdir()} == {"couplings.npz", "metrics.json"}


def test_a_folder_that_was_made_for_nothing_goes_again(here: Path):
    with pytest.raises(ZeroDivisionError), Folder(here / "a" / "b"):
        raise ZeroDivisionError
    assert not list(here.iterdir())


# ---- links of others ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["data", "nowhere", "/dev/null"])
def test_serve_leaves_a_users_own_link_alone(here: Path, target: str):
    (here / "data").write_text("mine")
    (here / "board").symlink_to(target)
    with pytest.raises(LinkError, match=f"points to {target}; remove it, or choose another name"):
        PtyDoor(here / "board")
    assert os.readlink(here / "board") == target


def test_a_link_that_a_killed_server_left_is_replaced(here: Path):
    (here / "board").symlink_to("/dev/pts/987654")
    door = PtyDoor(here / "board")
    assert os.readlink(here / "board") == door.device
    (here / "board").unlink()
    (here / "board").symlink_to("elsewhere")
    door.close()
    assert os.readlink(here / "board") == "elsewhere", "it is no longer the server's"


SERVING = textwrap.dedent("""
    import sys
    from relaxon import Config
    from relaxon.sim.serve import serve
    from relaxon.sim.twin import Twin, TwinTransport

    config = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)
    serve(config, tcp=("127.0.0.1", 0), board=lambda: TwinTransport(Twin(config)),
          announce=lambda line: print(line, flush=True))
""")


def test_a_served_board_survives_its_reader():
    """``relaxon serve | head -1``: what the board has learned does not go with who reads its lines."""
    from relaxon import Config, Couplings

    config = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)
    with subprocess.Popen([sys.executable, "-c", SERVING], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[2]
            learned = Couplings.fresh(config, 5)
            with Board.open(url, config) as board:
                board.load(learned)
            server.stdout.close()
            with Board.open(url, config), pytest.raises(LinkError):
                Board.open(url, config, timeout=0.5)  # turned away, which nobody hears
            time.sleep(0.2)
            with Board.open(url, config) as board:
                assert not any(board.couplings().differences(learned).values())
            server.terminate()
            assert server.wait(20) == 0
        finally:
            server.kill()


def test_ctrl_c_waits_while_couplings_are_saved(
    here: Path, monkeypatch: pytest.MonkeyPatch, plain: None
):
    import signal

    original = checkpoint.save

    def struck(path: Path, *arguments: Any, **extra: Any) -> None:
        if Path(path).name == "couplings.npz":
            signal.raise_signal(signal.SIGINT)
        original(path, *arguments, **extra)

    monkeypatch.setattr("relaxon.checkpoint.save", struck)
    assert run("train", *SMALL, "--out", "run").exit_code == 130
    assert checkpoint.load(here / "run" / "couplings.npz")
    assert "is finished" in run("resume", "run").stdout


def test_a_run_ends_with_the_couplings_it_would_have_had(
    here: Path, monkeypatch: pytest.MonkeyPatch, plain: None
):
    assert run("train", *SMALL, "--out", "whole").exit_code == 0
    interrupted_run(here, monkeypatch)
    assert run("resume", "run").exit_code == 0
    one, two = (checkpoint.load(here / n / "couplings.npz").couplings for n in ("whole", "run"))
    assert not any(one.differences(two).values())
    assert np.array_equal(one.readout, two.readout)
