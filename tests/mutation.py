"""Plants the faults of `mutants.py` in the gateware, one at a time: do the tests notice each of them?

    python tests/mutation.py [--jobs 2] [NAME …]

Every mutant gets a package tree of its own, in which `hw` is a changed copy, and a cache of its own
for what is built of it. The tests that are to catch it run there until one of them fails. It is
caught if a test failed. A design that cannot even be built is not caught: such a mutant has to be
declared anew; nor is one whose tests do not end in time, for the machine may be slow: tests of a fault
that may hang the design have a limit of their own. Before all that, the same tests must pass without
a fault.

The file is also a plugin of the pytest that runs those tests: it tells which test failed, and how.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import amaranth
import pytest
from mutants import MUTANTS, Mutant

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PATIENCE = 300.0
"""Seconds, several times what any mutant's tests take, after which they hang."""
CONTROL_PATIENCE = 1800.0
"""The same for the tests of all mutants together."""
TREE = "RELAXON_MUTANT"
"""Environment variable: the folder with the package that the tests must use."""
REPORT = "failure.json"
"""What the plugin writes into that folder."""


@dataclass(frozen=True)
class Verdict:
    """What the tests said: `passed`, `failed` (in `test`), `hung`, or `unusable` (for `reason`)."""

    outcome: str
    seconds: float
    test: str = ""
    reason: str = ""

    @property
    def caught(self) -> bool:
        return self.outcome == "failed"


# ---- inside the pytest that runs the tests --------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test any other gateware."""
    import relaxon.hw

    wanted = Path(os.environ[TREE], "relaxon", "hw")
    if [Path(path) for path in relaxon.hw.__path__] != [wanted]:
        raise pytest.UsageError(f"relaxon.hw is {list(relaxon.hw.__path__)}, not {wanted}")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Write down the failure, and whether the design was there at all."""
    if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
        return
    frames = traceback.extract_tb(call.excinfo.tb)
    raised = Path(frames[-1].filename)
    makers = (Path(os.environ[TREE], "relaxon", "hw"), Path(amaranth.__file__).parent)
    built = (
        call.when == "call"
        and call.excinfo.typename != "ToolError"
        and not any(raised.is_relative_to(maker) for maker in makers)
    )
    report = {"test": item.nodeid, "built": built, "error": call.excinfo.exconly()[:500],
              "where": f"{raised}:{frames[-1].lineno}"}  # fmt: skip
    Path(os.environ[TREE], REPORT).write_text(json.dumps(report))


# ---- outside --------------------------------------------------------------------------------


def make_tree(folder: Path, mutant: Mutant | None) -> None:
    """The package ``relaxon`` in `folder`, its gateware changed by the mutant."""
    package = folder / "relaxon"
    package.mkdir(parents=True)
    for path in (ROOT / "sw").iterdir():
        if path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    for name in ("sim", "boards"):
        (package / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "hw", package / "hw", ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        changed = package / "hw" / mutant.file
        changed.write_text(mutant.applied(changed.read_text()))


def make_cache(folder: Path) -> dict[str, str]:
    """The environment in which builds go to `folder`; what no gateware changes is shared."""
    import platformdirs

    from relaxon.sim import cache

    own, users = folder / cache.folder().name, cache.folder()
    own.mkdir(parents=True)
    for shelf in ("runtime",):  # Verilator's, precompiled
        (users / shelf).mkdir(parents=True, exist_ok=True)
        (own / shelf).symlink_to(users / shelf)
    yosys = str(platformdirs.user_cache_path("YoWASP", appauthor=False))
    return {"XDG_CACHE_HOME": str(folder), "YOWASP_CACHE_DIR": os.environ.get("YOWASP_CACHE_DIR", yosys)}


class Runner:
    """Runs tests on mutants, several at once, and can be told to stop.

    Parameters
    ----------
    folder
        For trees and caches; every mutant's are removed when it is through.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def control(self, mutants: Sequence[Mutant]) -> Verdict:
        """All the tests of these mutants, on gateware without a fault (from the user's cache)."""
        tests = dict.fromkeys(test for mutant in mutants for test in mutant.tests)
        tree = self._folder / "control"
        make_tree(tree, None)
        return self._test(tree, list(tests), {}, CONTROL_PATIENCE)

    def run(self, mutant: Mutant) -> Verdict:
        """The mutant's own tests."""
        tree = Path(tempfile.mkdtemp(prefix="mutant-", dir=self._folder))
        try:
            make_tree(tree, mutant)
            return self._test(tree, mutant.tests, make_cache(tree / "cache"), PATIENCE)
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    def stop(self) -> None:
        """End what is running; nothing new begins."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def _test(
        self, tree: Path, tests: Sequence[str], environment: dict[str, str], patience: float
    ) -> Verdict:
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "mutation",
            "-p", "no:cacheprovider", f"--basetemp={tree / 'tmp'}", f"--rootdir={ROOT}",
            *(str(TESTS / test) for test in tests),
        ]  # fmt: skip
        path = os.pathsep.join([str(tree), str(TESTS), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, **environment, "PYTHONPATH": path, TREE: str(tree)}
        env.pop("RELAXON_COVERAGE", None)  # what faulty gateware does is no coverage
        started = time.monotonic()
        with self._lock:
            if self._stopped:
                return Verdict("unusable", 0.0, reason="stopped")
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, text=True, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            self._running.add(process)
        try:
            output, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            seconds = time.monotonic() - started
            return Verdict("hung", seconds, reason=f"no end within {patience:.0f} s")
        finally:
            with self._lock:
                self._running.discard(process)
        seconds = time.monotonic() - started
        return _verdict(process.returncode, tree / REPORT, output, seconds)


def _kill(process: subprocess.Popen[str]) -> None:
    """The process and its children, compilers among them."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _verdict(status: int, report: Path, output: str, seconds: float) -> Verdict:
    if status == pytest.ExitCode.OK:
        return Verdict("passed", seconds)
    if status == pytest.ExitCode.TESTS_FAILED and report.exists():
        failure = json.loads(report.read_text())
        reason = f"{failure['error']} ({failure['where']})"
        outcome = "failed" if failure["built"] else "unusable"
        return Verdict(outcome, seconds, Path(failure["test"]).name, reason)
    return Verdict("unusable", seconds, reason="\n".join(output.splitlines()[-15:]))


# ---- the script -----------------------------------------------------------------------------


def chosen(names: Sequence[str]) -> list[Mutant]:
    """The mutants in whose name or file one of `names` occurs; all of them if there is none."""
    found = [m for m in MUTANTS if not names or any(n in m.name or n == m.file for n in names)]
    for name in names:
        if not any(name in m.name or name == m.file for m in MUTANTS):
            raise SystemExit(f"no mutant is called {name!r}; they are in {TESTS / 'mutants.py'}")
    return found


def table(verdicts: dict[Mutant, Verdict]) -> str:
    """Mutant, file, what caught it, and how long that took."""
    rows = [("mutant", "file", "caught by", "s")]
    rows += [(m.name, m.file, v.test if v.caught else "NOT CAUGHT", f"{v.seconds:.0f}")
             for m, v in verdicts.items()]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3].rjust(4)])
        for row in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Do the tests notice faults in the gateware?")
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a mutant's name, or a file")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested side by side (1)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left behind
    mutants = chosen(arguments.names)
    started = time.monotonic()
    verdicts: dict[Mutant, Verdict] = {}
    with tempfile.TemporaryDirectory(prefix="relaxon-mutants-") as folder:
        runner = Runner(Path(folder))
        pool = ThreadPoolExecutor(max(1, arguments.jobs))
        try:
            print(f"control: the tests of {len(mutants)} mutants, without a fault …", flush=True)
            control = runner.control(mutants)
            if control.outcome != "passed":
                print(f"the control run {control.outcome}: {control.test}\n{control.reason}")
                return 1
            print(f"control: passed in {control.seconds:.0f} s", flush=True)
            pending = {pool.submit(runner.run, mutant): mutant for mutant in mutants}
            for number, future in enumerate(as_completed(pending), 1):
                mutant, verdict = pending[future], future.result()
                verdicts[mutant] = verdict
                print(
                    f"[{number}/{len(mutants)}] {verdict.outcome:8} {verdict.seconds:4.0f} s  "
                    f"{mutant.name}", flush=True,
                )  # fmt: skip
                if not verdict.caught:
                    print(f"    {verdict.reason or 'no test noticed'}", flush=True)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
        finally:
            runner.stop()
            pool.shutdown(cancel_futures=True)
    print("\n" + table({mutant: verdicts[mutant] for mutant in mutants}))
    caught = sum(verdict.caught for verdict in verdicts.values())
    minutes = (time.monotonic() - started) / 60
    print(f"\n{caught} of {len(mutants)} faults caught, in {minutes:.1f} minutes")
    return 0 if caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
