"""Points are measured once, whatever happens meanwhile, and the command says what went wrong."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from dask.distributed import Client, KilledWorker, LocalCluster
from typer.testing import CliRunner

from relaxon.cli import app
from relaxon.errors import ConfigError, DataError, LinkError
from relaxon.experiments import NAMES, TOLD, find, question, sweep
from relaxon.experiments.baselines import LINEAR
from relaxon.experiments.lab import Lab

POINT = dict(seed=0, modules=1, neurons=3, self_coupling=0.5, chain_coupling=0.0, networks=1)


def test_finished_points_are_not_measured_again(client: Client, tmp_path: Path) -> None:
    first = sweep.Sweep("entropy", [POINT], tmp_path)
    assert first.run(Lab(), client) == []
    written = first.file(POINT).stat().st_mtime_ns
    both = sweep.Sweep("entropy", [POINT, POINT | {"seed": 1}], tmp_path)
    assert both.missing() == [POINT | {"seed": 1}]
    done: list[int] = []
    assert both.run(Lab(), client, done.append) == []
    assert done == [1] and first.file(POINT).stat().st_mtime_ns == written
    assert list(both.frame()["seed"]) == [0, 1]


def test_points_that_are_equal_but_for_what_is_told_are_measured_once(
    client: Client, tmp_path: Path
) -> None:
    named = [POINT | {TOLD: dict(equal=equal)} for equal in ("neurons", "memory")]
    both = sweep.Sweep("entropy", named, tmp_path)
    assert both.missing() == [POINT] and len(both) == 1
    done: list[int] = []
    assert both.run(Lab(), client, done.append) == []
    assert done == [1] and both.missing() == []
    frame = both.frame()
    assert list(frame["equal"]) == ["neurons", "memory"]
    assert frame["key"].nunique() == 1 and frame["fixed_points"].nunique() == 1
    assert sweep.load(both.file(named[0]))["point"] == POINT


def test_a_point_that_fails_does_not_stop_the_others(client: Client, tmp_path: Path) -> None:
    wrong = POINT | {"neurons": 1}
    swept = sweep.Sweep("entropy", [wrong, POINT], tmp_path)
    (line,) = swept.run(Lab(), client)
    assert line.startswith(str(wrong)) and "neurons must be 2 to 4096" in line
    assert swept.missing() == [wrong]


def test_a_damaged_point_is_named(tmp_path: Path) -> None:
    swept = sweep.Sweep("entropy", [POINT], tmp_path)
    swept.keep(POINT, [{"fixed_points": 1}], 0.1, {})
    path = swept.file(POINT)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match=f"{path.name} is no finished point"):
        swept.frame()


def test_a_point_that_kills_its_workers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed:
        status = "error"

        def exception(self) -> KilledWorker:
            return KilledWorker("measure", None, 3)  # type: ignore[arg-type]

    class Scheduler:
        def submit(self, *_: Any, **__: Any) -> Killed:
            return Killed()

        def cancel(self, _: Any) -> None:
            pass

    monkeypatch.setattr(sweep, "as_completed", list)
    swept = sweep.Sweep("entropy", [POINT], tmp_path)
    (line,) = swept.run(Lab(), Scheduler())  # type: ignore[arg-type]
    assert line.startswith(f"{POINT}: 4 workers died at it") and "--workers 1" in line


def test_a_missing_scheduler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PATIENCE", 0.5)
    with pytest.raises(LinkError, match="no dask scheduler at tcp://127.0.0.1:9"):
        with sweep.workers(Lab(), "tcp://127.0.0.1:9"):
            pass


def test_a_scheduler_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PATIENCE", 2.0)
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        with pytest.raises(LinkError, match="has no workers: start `dask worker"):
            with sweep.workers(Lab(), cluster.scheduler_address):
                pass


def test_a_real_board_is_not_shared_by_a_cluster() -> None:
    with pytest.raises(ConfigError, match="board serial:x is one"):
        with sweep.workers(Lab(board="serial:x"), "tcp://127.0.0.1:9"):
            pass


def test_what_a_killed_worker_was_doing_is_begun_again(tmp_path: Path) -> None:
    """The only worker dies when the first of three points is finished."""
    points = [POINT | {"neurons": 8, "networks": 80, "seed": n} for n in range(3)]
    swept, victims = sweep.Sweep("entropy", points, tmp_path), []

    def kill(done: int) -> None:
        if victims:
            os.kill(victims.pop(), signal.SIGKILL)

    with sweep.workers(Lab(), count=1) as client:
        (pid,) = client.run(os.getpid).values()
        victims.append(pid)
        assert swept.run(Lab(), client, kill) == []
        assert pid not in client.run(os.getpid).values()
    assert swept.missing() == []


def test_points_of_other_sources_are_told_apart(tmp_path: Path) -> None:
    points = [POINT, POINT | {"seed": 1}]
    swept = sweep.Sweep("entropy", points, tmp_path)
    for point, git in zip(points, ("a", "b"), strict=True):
        swept.keep(point, [{"fixed_points": 1, "config": {}}], 0.1, {"board": "model", "git": git})
    assert swept.origins() == {("model", "a"), ("model", "b")}
    assert list(swept.frame().columns) == ["key", *POINT, "fixed_points"]


def test_what_a_repetition_finds_is_told(tmp_path: Path) -> None:
    figures, *_ = sweep.measure("entropy", POINT, Lab())
    kept: dict[str, Any] = {"point": POINT, "figures": figures}
    assert sweep.repeat("entropy", kept, Lab()) == []
    kept["figures"][0]["fixed_points"] += 1
    (line,) = sweep.repeat("entropy", kept, Lab())
    assert line.startswith("row 0: fixed_points is ")


# ---- the command --------------------------------------------------------------------------------


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["experiment", *arguments])


def test_the_command_lists_every_experiment() -> None:
    told = command("list").output
    assert all(name in told and question(find(name)) in told for name in NAMES)


def test_the_command_runs_and_repeats_a_point(tmp_path: Path) -> None:
    ran = command("entropy", "--smoke", "--out", str(tmp_path), "--workers", "1")
    assert ran.exit_code == 0, ran.output
    folder = tmp_path / "smoke" / "entropy"
    assert (folder / "entropy-table.csv").exists()
    point = next((folder / "points").glob("*.json"))
    again = command("entropy", "--smoke", "--out", str(tmp_path), "--repeat", point.stem)
    assert again.exit_code == 0 and "IDENTICAL" in again.output
    kept = json.loads(point.read_text())
    kept["figures"][0]["fixed_points"] += 1
    point.write_text(json.dumps(kept))
    again = command("entropy", "--smoke", "--out", str(tmp_path), "--repeat", point.stem)
    assert again.exit_code == 1 and "differs" in again.output


def test_the_command_needs_no_workers_where_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("entropy", "--smoke", "--out", str(tmp_path), "--workers", "1").exit_code == 0
    monkeypatch.setattr(sweep, "workers", None)
    again = command("entropy", "--smoke", "--out", str(tmp_path))
    assert again.exit_code == 0 and "2 points, 2 finished before" in again.output


def test_points_of_one_board_do_not_pass_for_another_s(tmp_path: Path) -> None:
    assert command("entropy", "--smoke", "--out", str(tmp_path), "--workers", "1").exit_code == 0
    told = command("entropy", "--smoke", "--out", str(tmp_path), "--board", "sim")
    assert told.exit_code and "measured on model" in " ".join(told.output.split())


def test_a_repetition_that_no_board_takes_part_in_says_so(images: Path, tmp_path: Path) -> None:
    point = dict(learner=LINEAR, task="mnist", inputs=100, samples=200, tested=200, seed=0)
    swept = sweep.Sweep("few-shot", [point], tmp_path / "smoke" / "few-shot")
    swept.keep(point, *sweep.measure("few-shot", point, Lab(data=images)))
    told = command("few-shot", "--smoke", "--data", str(images), "--out", str(tmp_path),
                   "--repeat", swept.file(point).stem, "--board", "sim")  # fmt: skip
    assert told.exit_code == 0 and "no machine takes part" in told.output
    told = command("few-shot", "--smoke", "--data", str(images), "--out", str(tmp_path),
                   "--repeat", swept.file(point).stem, "--workers", "2")  # fmt: skip
    assert told.exit_code and "leave out --scheduler and --workers" in " ".join(told.output.split())


def test_workers_of_a_cluster_are_asked_for_the_data(client: Client, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="worker tcp.*mnist is missing"):
        sweep.look(client, Lab(data=tmp_path), {"mnist"})


def test_missing_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mnist is missing: --data must name a folder"):
        Lab(data=tmp_path).dataset("mnist", 0)
    told = command("chain", "--smoke", "--data", str(tmp_path), "--out", str(tmp_path))
    assert told.exit_code and "points)" not in told.output  # before anything is begun
    assert "mnist is missing" in " ".join(told.output.split())
