"""The benchmarks run: each prints its tables and the command that made them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TITLES = {
    "cycles": ("cycles per training sample", "cycles per inference", "against the foundation"),
    "speed": ("training samples per second", "simulated board / foundation's"),
    "roofline": ("per training sample", "/lane/cycle"),
    "growth": ("cycles per training sample on 8 lanes", "exponent in modules"),
    "codings": ("accuracy of the estimator", "logistic regression"),
}


def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("name", TITLES)
def test_prints_its_tables_and_the_command(name: str, tmp_path: Path):
    options = ["--quick", "--data", "digits"]
    if name == "growth":
        options += ["--plot", str(tmp_path / "growth.svg")]
    done = run(name, *options)
    if "lacks the revision" in done.stderr:
        pytest.skip("a shallow copy of the repository has no foundation to compare with")
    assert done.returncode == 0, done.stderr
    for title in TITLES[name]:
        assert title in " ".join(done.stdout.split())
    said = "".join(done.stdout.partition("made by: ")[1:]).replace("\n", "")
    assert said.startswith(f"made by: python benchmarks/{name}.py --quick --data digits")
    if name == "growth":
        assert "</svg>" in (tmp_path / "growth.svg").read_text()


def test_missing_samples_are_one_message(tmp_path: Path):
    done = run("cycles", "--data", f"mnist:{tmp_path}")
    assert done.returncode == 1
    assert "no samples" in done.stderr and "--data mnist:DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_bench_runs_all_of_them():
    makefile = (ROOT / "Makefile").read_text()
    assert f"BENCHMARKS := {' '.join(TITLES)}\n" in makefile
