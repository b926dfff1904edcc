"""Each system call that writes fails in turn, or all from one on: no finished result is lost.

A library that is loaded before the C library (`faulty_writes.c`) lets them fail, in children of one
process that has everything imported (`faulty_writes.py`). Whatever fails, and for whatever reason, a
command ends with a documented exit code and no traceback. Where it is 0 the results are there and are
those of an undisturbed run. Otherwise nothing has been trained, or the same couplings are where the
error says, or `relaxon resume` comes to them. No part of a file is left that could be removed.

With ``--long`` every call fails for each reason, once and ever after; without, each fails in one way.
"""

from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from recorded import random_couplings, random_samples

from relaxon import Config, Couplings, checkpoint
from relaxon.board import Board
from relaxon.errors import DataError, LinkError, ToolError
from relaxon.sim.compiler import find_compiler
from relaxon.sim.modelboard import ModelBoard

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"),
    reason="the library that lets system calls fail is for Linux with glibc",
)
HERE = Path(__file__).parent
ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPIPE)
CODES = {0, 2, 3, 4, 5, 6, 7, 130}
TRAIN = (
    "train", "--modules", "2", "--neurons", "8", "--samples", "200", "--epochs", "2",
    "--checkpoint-every", "0", "--out", "run",
)  # fmt: skip
PREDICT = ("predict", "run/couplings.npz", "--out", "p.csv", "--json", "p.json")
OLD = "index,predicted,label\nold\n"
TWIN = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)
SAFE = re.compile(r"the couplings are safe in (.*couplings\.npz)")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or a traceback; how many calls it made; what it printed."""

    code: int | str
    calls: int
    out: str
    err: str


class Driver:
    """The process that forks."""

    def __init__(self, folder: Path, library: Path):
        self.folder, self.count = folder, 0
        (folder / "tmp").mkdir()
        warm = [[*TRAIN[:-1], str(folder / "warm")], ["resume", str(folder / "warm")],
                ["predict", str(folder / "warm" / "couplings.npz"), "--out", str(folder / "w.csv")],
                [*TRAIN[:-1], str(folder / "warm"), "--overwrite"]]  # fmt: skip
        env = os.environ | {"LD_PRELOAD": str(library), "TMPDIR": str(folder / "tmp")}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "faulty_writes.py"), json.dumps(warm)], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._expect("ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=20)

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def start(self, folder: Path, *arguments: str, which: int = -1, error: int = 0,
              persistent: bool = False, **more: Any) -> tuple[int, Path]:  # fmt: skip
        """Begin a command in a folder; its process, and the file that will tell how it ended."""
        self.count += 1
        ended = self.folder / f"{self.count}.json"
        job = {
            "folder": str(folder), "arguments": arguments, "which": which, "error": error,
            "persistent": persistent, "ended": str(ended),
            "out": str(ended.with_suffix(".out")), "err": str(ended.with_suffix(".err")), **more,
        }  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(job), file=self.process.stdin, flush=True)
        child = int(self.process.stdout.readline())
        self._expect("ended")
        return child, ended

    def run(self, folder: Path, *arguments: str, **fault: Any) -> Ended:
        """Carry out a command in a folder, a call failing, or none."""
        return self.ended(self.start(folder, *arguments, **fault)[1])

    def ended(self, file: Path) -> Ended:
        """How a command ended."""
        told = json.loads(file.read_text())
        texts = [file.with_suffix(end) for end in (".out", ".err")]
        shown = (t.read_text(errors="replace") if t.exists() else "" for t in texts)
        return Ended(told["code"], told["calls"], *shown)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("faulty")
    try:
        command = [*find_compiler().command, "-x", "c"]
    except ToolError:
        command = ["cc"]
    if shutil.which(command[0]) is None:
        pytest.skip("no C compiler, and so no system calls that fail")
    library = folder / "faulty_writes.so"
    source = str(HERE / "faulty_writes.c")
    subprocess.run([*command, "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
    with Driver(folder, library) as driver:
        yield driver


def faults(calls: int, long: bool) -> Iterator[dict[str, Any]]:
    """Which call fails, why, and whether all after it do."""
    assert 5 < calls < 2000
    if long:
        for which, error, persistent in itertools.product(range(calls), ERRORS, (False, True)):
            yield {"which": which, "error": error, "persistent": persistent}
    else:
        for which in range(calls):
            rest = which // len(ERRORS)
            yield {"which": which, "error": ERRORS[which % 4], "persistent": (which + rest) % 2 == 1}


def couplings(file: Path) -> Couplings:
    return checkpoint.load(file).couplings


def same(one: Couplings, other: Couplings) -> bool:
    return not any(one.differences(other).values())


def fresh(driver: Driver, template: Path | None = None) -> Path:
    """A folder for a command."""
    folder = driver.folder / f"in{driver.count}"
    if template is None:
        folder.mkdir()
    else:
        shutil.copytree(template, folder)
    return folder


def check_ending(ended: Ended, about: object) -> None:
    """A documented exit code, and no traceback."""
    assert ended.code in CODES, (about, ended)
    assert "Traceback" not in ended.err and "Traceback" not in ended.out, (about, ended)


def check_files(folder: Path, about: object) -> None:
    """All files that programs look for are whole."""
    for file in folder.rglob("*"):
        if file.suffix == ".json":
            json.loads(file.read_text())
        elif file.suffix == ".npz":
            checkpoint.load(file)
        elif file.suffix == ".png":
            assert file.read_bytes() == b"a plot", (about, file)


def kept(driver: Driver, folder: Path, ended: Ended, wanted: Couplings, about: object) -> str:
    """Where the couplings are after a command that trains; fails if they are lost."""
    run = folder / "run"
    told = SAFE.search(ended.err)
    if ended.code == 0:
        assert same(couplings(run / "couplings.npz"), wanted), (about, ended)
        return "where they should be"
    if told is not None:
        assert same(couplings(folder / told[1]), wanted), (about, ended)
        return "in another folder, which the error names"
    if (run / "checkpoint.npz").exists():
        again = driver.run(folder, "resume", "run")
        assert again.code == 0, (about, ended, again)
        assert same(couplings(run / "couplings.npz"), wanted), (about, ended, again)
        return "resumed"
    assert not (run / "couplings.npz").exists(), (about, ended)
    return "nothing was trained"


def leftovers(folder: Path) -> list[str]:
    """Parts of files."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*.part")]


@pytest.mark.parametrize("command", ["train", "resume"])
def test_whatever_write_fails_what_is_learned_is_not_lost(driver: Driver, command: str, long: bool):
    """A part that could not be removed, because just that failed, goes with the next run there."""
    began, template = time.monotonic(), None
    plain = fresh(driver)
    assert driver.run(plain, *TRAIN).code == 0
    wanted = couplings(plain / "run" / "couplings.npz")
    arguments = TRAIN
    if command == "resume":
        template, arguments = broken_off(driver, wanted), ("resume", "run", "--checkpoint-every", "0")
    calls = driver.run(fresh(driver, template), *arguments).calls
    found: Counter[str] = Counter()
    codes: Counter[Any] = Counter()
    unremoved = 0
    for fault in faults(calls, long):
        folder = fresh(driver, template)
        ended, about = driver.run(folder, *arguments, **fault), (command, fault)
        check_ending(ended, about)
        check_files(folder, about)
        left = leftovers(folder)
        unremoved += bool(left)
        assert not left or fault["persistent"] or len(left) == 1, (about, left)
        where = kept(driver, folder, ended, wanted, about)
        assert command == "train" or where != "nothing was trained", (about, ended)
        found[where] += 1
        codes[ended.code] += 1
        if left and where == "resumed":
            assert not leftovers(folder), about
        shutil.rmtree(folder)
        shutil.rmtree(driver.folder / "tmp")
        (driver.folder / "tmp").mkdir()
    shown = ", ".join(f"{where}: {many}" for where, many in found.items())
    print(
        f"\n{command}: {calls} calls that write, {sum(found.values())} faults; couplings {shown}; exit "
        f"codes {dict(codes)}; {unremoved} with a part that could not be removed, 0 lost; "
        f"{time.monotonic() - began:.0f} s"
    )
    assert found["where they should be"] > 5 and len(found) >= 2


def broken_off(driver: Driver, wanted: Couplings) -> Path:
    """A folder with a run that did not end, since a full disk kept it from saving anything."""
    calls = driver.run(fresh(driver), *TRAIN).calls
    for which in range(calls - 1, 0, -1):
        folder = fresh(driver)
        ended = driver.run(folder, *TRAIN, which=which, error=errno.ENOSPC, persistent=True)
        run = folder / "run"
        if ended.code and (run / "checkpoint.npz").exists() and not (run / "couplings.npz").exists():
            for part in (*run.glob(".*"),):
                part.unlink()
            return folder
    pytest.fail("no run could be broken off")


def test_whatever_write_fails_predictions_are_the_old_or_the_new_ones(driver: Driver, long: bool):
    began, template = time.monotonic(), fresh(driver)
    assert driver.run(template, *TRAIN).code == 0
    (template / "p.csv").write_text(OLD)
    plain = fresh(driver, template)
    calls = (done := driver.run(plain, *PREDICT)).calls
    assert done.code == 0
    new = (plain / "p.csv").read_text()
    assert len(list(csv.reader(new.splitlines()))) > 100
    codes: Counter[Any] = Counter()
    older = 0
    for fault in faults(calls, long):
        folder = fresh(driver, template)
        ended = driver.run(folder, *PREDICT, **fault)
        check_ending(ended, fault)
        check_files(folder, fault)
        held = (folder / "p.csv").read_text()
        assert held in (OLD, new) and (ended.code or held == new), (fault, ended)
        older += held == OLD
        codes[ended.code] += 1
        shutil.rmtree(folder)
    print(
        f"\npredict: {calls} calls that write, {sum(codes.values())} faults, {older} times the older "
        f"file was kept; exit codes {dict(codes)}; {time.monotonic() - began:.0f} s"
    )


# ---- a served board -----------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def reached(url: str, ended: Path, seconds: float = 20) -> Board | None:
    """The board, when it is there; None if its program has ended."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Board.open(url, TWIN, timeout=1)
        except LinkError:
            if ended.exists():
                return None
            assert time.monotonic() < deadline
            time.sleep(0.02)


def tried(url: str, ended: Path, what: Any) -> Any:
    """What a host comes to that connects anew where its link was lost."""
    for _ in range(5):
        board = reached(url, ended)
        if board is None:
            return None
        try:
            with board:
                return what(board)
        except LinkError:
            continue
    return pytest.fail("the link was lost five times for one fault")


def test_a_served_board_keeps_what_it_learned_whatever_write_fails(driver: Driver, long: bool):
    began = time.monotonic()
    model, (x, y) = ModelBoard(TWIN), random_samples(TWIN, 60, seed=2)
    model.load(random_couplings(TWIN, seed=1))
    model.train(x, y)

    def learn(board: Board) -> bool:
        board.load(random_couplings(TWIN, seed=1))
        board.train(x, y)
        return True

    def served(**fault: Any) -> Ended:
        """A session with two hosts; the exit code is checked, and what the second one reads."""
        port, folder = free_port(), fresh(driver)
        child, ended = driver.start(folder, serve=port, **fault)
        url = f"tcp:127.0.0.1:{port}"
        try:
            if tried(url, ended, learn):
                learned = tried(url, ended, lambda board: board.couplings())
                assert learned is not None and same(learned, model.couplings()), fault
                os.kill(child, signal.SIGTERM)
            deadline = time.monotonic() + 20
            while not (ended.exists() and ended.read_text()) and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            if not ended.exists():
                os.kill(child, signal.SIGKILL)
        how = driver.ended(ended)
        check_ending(how, fault)
        assert how.code in (0, LinkError.exit_code, DataError.exit_code), (fault, how)
        return how

    calls = served().calls
    codes = Counter(
        served(which=which, error=error).code
        for which in range(min(calls, 400 if long else 30))
        for error in (ERRORS if long else (ERRORS[which % 4],))
    )
    read, write = os.pipe()
    os.close(read)
    gone = served(out=f"/proc/{os.getpid()}/fd/{write}")
    os.close(write)
    assert gone.code == 0
    print(
        f"\nserve: {calls} calls that write, {sum(codes.values())} faults, and a reader that had gone: "
        f"the next host read the couplings learned; exit codes {dict(codes)}; "
        f"{time.monotonic() - began:.0f} s"
    )
    assert codes[0] > 5
    assert np.any(model.couplings().readout)
