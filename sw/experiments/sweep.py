"""Points of an experiment, in parallel: each is measured once, whatever happens meanwhile.

Every finished point is a file of its own, ``points/KEY.json``: its values, its figures, and what made
them. A point whose file is there is not measured again; a sweep that was broken off goes on with the
others. (Two sweeps at once into one folder measure points twice, and write the same.)
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from dask.distributed import Client, KilledWorker, LocalCluster, as_completed
from dask.system import CPU_COUNT
from threadpoolctl import threadpool_limits

from relaxon.build_info import describe
from relaxon.errors import ConfigError, DataError, LinkError
from relaxon.experiments import TOLD, Figures, Point, bare, find, key
from relaxon.experiments.lab import Lab
from relaxon.files import write_text

PATIENCE = 30.0
"""Longest time in seconds to wait for a scheduler."""


@dataclass(frozen=True)
class Sweep:
    """The points of one experiment, and the folder that keeps what is finished.

    Parameters
    ----------
    name
        The experiment.
    points
        What is to be measured.
    folder
        Where ``points/`` is.
    """

    name: str
    points: list[Point]
    folder: Path

    def __len__(self) -> int:
        """How many there are to be measured: equal ones count once."""
        return len({key(point) for point in self.points})

    def file(self, point: Point) -> Path:
        """Where a finished point is kept."""
        return self.folder / "points" / f"{key(point)}.json"

    def missing(self) -> list[Point]:
        """The points that are not finished, each once, without what is told of them."""
        found = {key(point): bare(point) for point in self.points}
        return [point for point in found.values() if not self.file(point).exists()]

    def frame(self) -> pd.DataFrame:
        """All finished points, tidy: a row for each dict of figures, beside its point's values and
        what is told of it.

        The machine's sizes and registers stay in the points' files.
        """
        rows: list[dict[str, Any]] = []
        for point in self.points:
            if self.file(point).exists():
                named = {"key": key(point)} | bare(point) | point.get(TOLD, {})
                rows += (named | figures for figures in load(self.file(point))["figures"])
        return pd.DataFrame(rows).drop(columns="config", errors="ignore")

    def origins(self) -> set[tuple[str, str]]:
        """What the finished points were made by: boards, and git descriptions of the sources."""
        files = (self.file(point) for point in self.points)
        made = [load(file)["made_by"] for file in files if file.exists()]
        return {(m["board"], m.get("git", m.get("relaxon", "?"))) for m in made}

    def keep(
        self, point: Point, figures: list[Figures], seconds: float, made_by: dict[str, str]
    ) -> None:
        """Write a finished point."""
        record = {
            "experiment": self.name, "point": bare(point), "figures": figures,
            "seconds": round(seconds, 3), "made_by": made_by,
        }  # fmt: skip
        write_text(self.file(point), json.dumps(record, indent=1) + "\n")

    def run(
        self, lab: Lab, client: Client, progress: Callable[[int], object] | None = None
    ) -> list[str]:
        """Measure what is missing; what went wrong with which point, a line each.

        `progress` is called with the number of points finished since it was called last. Ctrl-C ends
        it; finished points are kept.
        """
        failed: list[str] = []
        waiting = {
            client.submit(measure, self.name, point, lab, pure=False): point
            for point in self.missing()
        }
        try:
            for future in as_completed(waiting):
                point = waiting[future]
                if future.status == "finished":
                    self.keep(point, *future.result())
                elif isinstance(error := future.exception(), KilledWorker):
                    failed.append(f"{point}: {error.allowed_failures + 1} workers died at it; if "
                                  "memory is short, --workers 1 takes the least")  # fmt: skip
                else:
                    failed.append(f"{point}: {error or future.status}")
                if progress is not None:
                    progress(1)
        finally:
            client.cancel(list(waiting))
        return failed


def measure(name: str, point: Point, lab: Lab) -> tuple[list[Figures], float, dict[str, str]]:
    """The figures of a point, the seconds that took, and what made them: what a worker does."""
    made_by, started = _made_by(lab.board), time.perf_counter()
    with threadpool_limits(1):  # workers share the cores; the results depend on it, too
        figures = find(name).measure(point, lab)
    figures = figures if isinstance(figures, list) else [figures]
    return figures, time.perf_counter() - started, made_by


@functools.lru_cache
def _made_by(board: str) -> dict[str, str]:
    """As it was when this process began to measure."""
    return describe(board, tools=["numpy", "numba"])


def load(path: Path) -> dict[str, Any]:
    """A finished point. `DataError` if there is none, or the file holds something else."""
    if not path.exists():
        raise DataError(f"{path.parent} has no point {path.stem}; is it one of --quick or --smoke?")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if key(kept["point"]) != path.stem or not all(
            isinstance(each, dict) for each in kept["figures"]
        ):
            raise ValueError("it holds another point")
        made_by = kept["made_by"]
        if not all(isinstance(told, str) for told in (made_by["board"], *made_by.values())):
            raise ValueError("it does not say what measured it")
        return dict(kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no finished point ({error}); remove it") from None


@contextmanager
def workers(lab: Lab, scheduler: str | None = None, count: int | None = None) -> Iterator[Client]:
    """A dask client: of `count` processes of this computer (by default, as many as it has cores), or
    of the cluster whose scheduler is at this address.

    A real board is one: points are measured on it one after another.

    Raises `LinkError` if there is no scheduler, or nobody who works for it, and `ConfigError` for a
    cluster with a real board.
    """
    real = lab.board not in ("model", "sim")
    if scheduler is not None and real:
        raise ConfigError(f"board {lab.board} is one: a cluster cannot share it; leave out --scheduler")
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise LinkError(
                f"no dask scheduler at {scheduler} ({error}): start one with `dask scheduler`, and "
                "`dask worker` on every computer that shares it"
            ) from None
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise LinkError(
                    f"the scheduler at {scheduler} has no workers: start `dask worker {scheduler}`"
                ) from None
            yield client
        return
    if real:
        count = 1
    with (
        LocalCluster(
            n_workers=count or CPU_COUNT, threads_per_worker=1, memory_limit=0,
            dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


def look(client: Client, lab: Lab, tasks: set[str]) -> None:
    """`DataError` if a worker does not find the files of any of these tasks."""
    for worker, told in client.run(_looked, lab, tasks).items():
        if told is not None:
            raise DataError(f"worker {worker}: {told}")


def _looked(lab: Lab, tasks: set[str]) -> str | None:
    try:
        lab.look(tasks)
    except DataError as error:
        return str(error)
    return None


def repeat(name: str, kept: dict[str, Any], lab: Lab) -> list[str]:
    """Measure a finished point again, on this lab's board; the figures that differ, a line each."""
    again, *_ = measure(name, kept["point"], lab)
    if len(again) != len(kept["figures"]):
        return [f"{len(again)} rows of figures, not {len(kept['figures'])}"]
    return [
        f"row {row}: {figure} is {new.get(figure)!r}, not {old.get(figure)!r}"
        for row, (old, new) in enumerate(zip(kept["figures"], again, strict=True))
        for figure in old | new
        if old.get(figure) != new.get(figure)
    ]

