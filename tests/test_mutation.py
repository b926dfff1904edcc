"""Every mutant is a change of today's gateware, and the script tells what becomes of one."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from mutants import MUTANTS, Mutant
from mutation import ROOT, TESTS, Runner, chosen

QUICK = tuple(m for m in MUTANTS if m.tests in (("test_checksum.py",),
              ("test_uart.py::test_a_byte_without_stop_bit_is_dropped",)))  # fmt: skip
"""Mutants whose tests take a second."""
FEWEST = 50


def test_every_fault_can_be_planted() -> None:
    assert len(MUTANTS) >= FEWEST
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    planted = Counter()
    for mutant in MUTANTS:
        path = ROOT / "hw" / mutant.file
        changed = mutant.applied(path.read_text())
        assert changed != path.read_text(), mutant.name
        compile(changed, str(path), "exec")
        planted[path.name, changed] += 1
    assert max(planted.values()) == 1, "the same fault twice"


def test_the_tests_that_are_to_catch_them_exist() -> None:
    tests = {str(TESTS / test) for mutant in MUTANTS for test in mutant.tests}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_source_that_has_moved_on_is_named() -> None:
    mutant = Mutant("sum", "some.py", "a + b", "a - b", ())
    assert mutant.applied("c = a + b\n") == "c = a - b\n"
    for source, times in (("c = a * b\n", 0), ("c = a + b\nd = a + b\n", 2)):
        with pytest.raises(ValueError, match=rf"'sum': hw/some.py has {times} times, not once"):
            mutant.applied(source)
    with pytest.raises(SystemExit, match="no mutant is called 'nonsense'"):
        chosen(["nonsense"])


def test_two_faults_are_caught_and_what_is_none_is_not(tmp_path: Path) -> None:
    runner, one = Runner(tmp_path), QUICK[0]
    assert len(QUICK) == 2
    assert runner.control(QUICK).outcome == "passed"
    for mutant in QUICK:
        verdict = runner.run(mutant)
        assert verdict.outcome == "failed" and verdict.caught, verdict.reason
        assert mutant.tests[0].split("::")[0] in verdict.test
    none = replace(one, new=one.old.replace("0xFFFFFFFF", "0xFFFF_FFFF"))
    assert runner.run(none).outcome == "passed"
    for new in ("with m.If(self.start) nonsense:", "with m.If(self.nonsense):"):
        verdict = runner.run(replace(one, new=new, old="with m.If(self.start):"))
        assert verdict.outcome == "unusable" and not verdict.caught
    assert "nonsense" in verdict.reason
    assert [path.name for path in tmp_path.iterdir()] == ["control"]
