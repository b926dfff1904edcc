"""What the command line prints and how it ends: data as they are, documented exit codes, one line for
every expected error, and nothing that a reader, a disk or Ctrl-C could break."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from commands import command, program
from recorded import GOLDEN

from relaxon import checkpoint, errors
from relaxon.cli_options import DIFFERENT, INTERRUPTED

ROOT = Path(__file__).parent.parent
SMALL = ("--modules", 2, "--neurons", 8, "--samples", 200, "--epochs", 2)
TINY = GOLDEN[0].with_name("tiny-h8-n5.npz")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_exit_codes_are_those_of_the_table():
    table = dict(
        re.findall(r"^\| (\d+) \| (.*) \|$", (ROOT / "docs" / "command-line.md").read_text(), re.M)
    )
    layers = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RelaxonError)
    }
    assert {int(code) for code in table} == layers | {0, DIFFERENT, INTERRUPTED}
    assert 1 in layers, "the base class alone, which nothing raises"
    raised = [p for p in (ROOT / "sw").rglob("*.py") if "raise RelaxonError" in p.read_text()]
    assert not raised


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("train", "--neurons", 1), 2), (("train", "--bord", "sim"), 2), (("trin",), 2),
        (("train", "[/b]"), 2), (("train", "--out", "taken"), 3), (("predict", "[a]"), 3),
        (("verify", "none.npz"), 3), (("resume", "nowhere"), 3), (("info", "--board", "[x"), 2),
        (("info", "--board", "tcp:127.0.0.1:1"), 4), (("train", "--data", "npz[/b].npz"), 3),
        (("experiment", "[b]"), 2),
    ],
)  # fmt: skip
def test_every_expected_error_is_one_line_with_its_code(
    here: Path, arguments: tuple[object, ...], code: int
):
    (here / "taken").write_text("")
    done = program(*arguments)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("opening board")]
    assert done.returncode == code, done.stderr
    assert len(lines) == 1 and lines[0].startswith("error: ") and not done.stdout
    for named in arguments:
        if "[" in str(named):
            assert str(named).removesuffix(".npz") in lines[0]


def test_what_the_user_named_is_printed_as_it_is(here: Path):
    name = "run[a=1]" + "[/b]" + "x" * 100
    done = program("train", *SMALL, "--out", name)
    assert done.returncode == 0, done.stderr
    assert f"{name}/ (couplings.npz" in done.stdout, "neither markup nor wrapped"
    done = program("info", f"{name}/couplings.npz")
    assert f"{name}/couplings.npz" in done.stdout.splitlines()[0]


def test_figures_are_not_wrapped_in_a_pipe(here: Path):
    bits = np.random.default_rng(0).integers(0, 2, (60, 6))
    name = "n" * 150
    np.savez(here / f"{name}.npz", x=bits, y=bits[:, 0])
    done = program("train", "--data", f"{name}.npz", "--modules", 1, "--neurons", 4, "--epochs", 1)
    assert done.returncode == 0 and any(name in line for line in done.stdout.splitlines())


def test_a_terminal_without_unicode_gets_ascii(here: Path):
    env = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = program("train", *SMALL, "--out", "r", env=env)
    assert done.returncode == 0, done.stderr
    assert "2 x 8 neurons" in done.stdout and "... of which" in done.stdout
    assert done.stdout.isascii() and done.stderr.isascii()
    for arguments in (("--help",), ("boards",)):
        assert program(*arguments, env=env).returncode == 0


def test_a_reader_that_goes_away_ends_no_training(here: Path):
    process = subprocess.Popen(
        command("train", *SMALL, "--out", "r"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(120) == 0
    assert checkpoint.load(here / "r" / "couplings.npz")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output(here: Path):
    with open("/dev/full", "w") as full:
        done = program("train", *SMALL, "--out", "r", stdout=full)
        assert done.returncode == 0
        assert "No space left on device; the couplings are safe in r/couplings.npz" in done.stderr
        for arguments in (("info", "r/couplings.npz"), ("predict", "r/couplings.npz")):
            done = program(*arguments, stdout=full)
            assert done.returncode == 3
            assert "error: standard output cannot be written: No space left" in done.stderr
        done = program("predict", "r/couplings.npz", "--out", "p.csv", stdout=full)
        assert done.returncode == 0 and "the predictions are in p.csv" in done.stderr
        assert program("train", *SMALL, "--out", "s", stdout=full, stderr=full).returncode == 0


def test_closed_streams_are_no_reason_to_fail(here: Path):
    line = " ".join(command("train", *SMALL, "--out", "r")) + " >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], timeout=120, check=False).returncode == 0
    assert checkpoint.load(here / "r" / "couplings.npz")


@pytest.mark.parametrize(
    "arguments",
    [
        ("experiment", "list"), ("verify", TINY), ("--help",),
    ],
)  # fmt: skip
def test_python_may_leave_out_docstrings_and_assertions(arguments: tuple[object, ...]):
    env = os.environ | {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"}
    done = program(*arguments, env=env)
    assert done.returncode == 0, done.stderr


def test_mnists_other_file_names_are_found(here: Path):
    import gzip
    import struct

    for part in ("train", "t10k"):
        for kind, shape in (("images.idx3", (40, 2, 2)), ("labels.idx1", (40,))):
            array = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8) % 3
            header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
            name = f"{part}-{kind}-ubyte.gz"
            (here / name).write_bytes(gzip.compress(header + array.tobytes()))
    done = program("train", "--data", "mnist:.", "--modules", 1, "--neurons", 4, "--epochs", 1)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_at_any_moment_is_quiet(here: Path, long: bool):
    """From the first line of the program's own code on; Python's start is not ours."""
    moments = [0.1 + 0.04 * n for n in range(100)] if long else [0.12, 0.3, 0.6, 1.0, 1.6, 2.3, 3.0]
    codes = []
    for moment in moments:
        process = subprocess.Popen(
            command("train", *SMALL[:4], "--epochs", 200, "--out", f"r{moment}"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        codes.append(process.returncode)
        starting = "site.py" in said or "<frozen" in said  # Python itself
        if not starting:
            assert process.returncode in (130, -signal.SIGINT), (moment, said)
            assert not re.search("Traceback|Exception ignored|Aborted", said), (moment, said)
    assert 130 in codes
    print(f"\nCtrl-C at {len(moments)} moments: {codes.count(130)} times exit code 130")
