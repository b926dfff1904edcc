"""Caches are optional: read-only, another user's, full, missing, noexec or damaged, everything works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import caches
import pytest
from echo import Echo, EchoModel
from recorded import GOLDEN

from relaxon.hw import verilog
from relaxon.sim import cache, verilate

ASKED = bytes([7, 7, 0, 7, 1])
BOARD = """
import sys
from pathlib import Path
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.verilate import library_of
path = library_of(Path(sys.argv[1]).read_text())
board, answer = SimulatedTransport(path=path), b""
board.write(bytes.fromhex(sys.argv[2]))
while piece := board.read(10.0):
    answer += piece
print(path, answer.hex())
"""
"""Asks a simulated board, and says where it was."""
RESULT = """
from relaxon.sim import cache
made = []
def fill(folder):
    (folder / "file").write_bytes(bytes(100_000))
    made.append(folder)
for name in ("12", "12", "13"):
    path = cache.entry("kind", name, fill)
print(path, len(made))
"""
"""Makes two results, and wants one of them twice."""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Verilog of a small board."""
    path = tmp_path_factory.mktemp("echo") / "echo.v"
    path.write_text(verilog.emit(Echo(20), reset=False))
    return path


@pytest.fixture(scope="module")
def ready(echo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds this board, and Verilator's run-time library."""
    board = verilate.library_of(echo.read_text()).parents[1]
    compiler, verilator = verilate.find_compiler(), verilate.find_verilator()
    objects = verilate.runtime(compiler, verilator, verilate.BOARD_RUNTIME, print)
    home = tmp_path_factory.mktemp("ready")
    for result in (board, objects[0].parents[1]):
        shutil.copytree(result, home / "relaxon" / result.parent.name / result.name)
    return home


@pytest.fixture
def home(ready: Path, tmp_path: Path) -> Path:
    """A copy of that cache, of this test's own."""
    return Path(shutil.copytree(ready, tmp_path / "home"))


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[Path]:
    """A folder for temporary files; none of ours is left when a process has ended."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert not list(folder.iterdir())


def board_in(home: Path) -> Path:
    (path,) = home.glob("relaxon/boards/*/files/board.so")
    return path


def ask(echo: Path, home: Path | None, **env: object) -> tuple[Path, list[str]]:
    """Where the board was that an ordinary process asked, and what the process warned of."""
    done = caches.python(BOARD, echo, ASKED.hex(), home=home, **env)
    warned = caches.warnings_of(done)
    path, answer = done.stdout.split()
    assert bytes.fromhex(answer) == EchoModel().answer(ASKED)
    return Path(path), warned


# ---- where nothing can be written ---------------------------------------------------------------


def test_a_ready_board_in_another_users_cache_is_used_as_it_is(echo: Path, home: Path, spare: Path):
    before = sorted(home.rglob("*"))
    caches.foreign(home)
    try:
        assert ask(echo, home, TMPDIR=spare) == (board_in(home), [])
        assert sorted(home.rglob("*")) == before, "not even a lock"
    finally:
        caches.ours_again(home)


def test_a_ready_board_on_a_read_only_disk_is_used_as_it_is(
    echo: Path, ready: Path, tmp_path: Path, spare: Path
):
    with caches.mounted(tmp_path / "disk") as disk:
        shutil.copytree(ready, disk, dirs_exist_ok=True)
        caches.remounted(disk, "ro")
        assert ask(echo, disk, TMPDIR=spare) == (board_in(disk), [])


def test_a_board_that_one_user_built_is_another_users_too(
    echo: Path, home: Path, spare: Path, tmp_path: Path
):
    """The first builds with the usual umask, and both may write."""
    made = board_in(home).read_bytes()
    shutil.rmtree(home / "relaxon" / "boards")
    (tmp_path / "board.so").write_bytes(made)
    done = caches.python(_stand_in(tmp_path / "board.so") + BOARD, echo, ASKED.hex(), home=home)
    assert caches.warnings_of(done) == []
    for path in home.rglob("*"):
        assert path.stat().st_mode & 0o444 == 0o444 and (
            path.is_file() or path.stat().st_mode & 0o111
        )
    shelf, lock = home / "relaxon" / "boards", next(home.glob("relaxon/boards/.lock-*"))
    if caches.ROOT:
        for path in (*shelf.glob("[!.]*"), *shelf.glob("[!.]*/**/*"), shelf, lock):
            os.chown(path, caches.OTHER, caches.OTHER)
        shelf.chmod(0o777)
    assert ask(echo, home, TMPDIR=spare) == (board_in(home), [])
    name = int(lock.name.removeprefix(".lock-"))
    program = (
        f"from relaxon.sim import cache; cache.entry('boards', '{name:x}', lambda folder: None)"
    )
    assert caches.warnings_of(caches.python(program, home=home)) == [], "another's lock is as good"
    assert (shelf / f"{name:x}").is_dir()


@pytest.mark.parametrize("place", ["foreign", "read-only", "full", "missing", "unknown user"])
def test_where_nothing_can_be_kept_it_is_made_for_the_process_and_said_once(
    place: str, tmp_path: Path, spare: Path
):
    home = tmp_path / "home"
    home.mkdir()

    def run(home: Path | None, unknown: bool = False) -> list[str]:
        done = caches.python(RESULT, home=home, unknown=unknown, TMPDIR=spare)
        warned = caches.warnings_of(done)
        path, made = done.stdout.split()
        assert made == "2" and not Path(path).exists(), "removed with the process"
        assert unknown or Path(path).is_relative_to(spare)
        return warned

    if place == "foreign":
        (warning,) = run(caches.foreign(home))
        assert f"{home}/relaxon/kind cannot be written (Permission denied)" in warning
    elif place == "missing":
        (warning,) = run(Path("/proc/nobody"))
        assert "/proc/nobody/relaxon/kind cannot be written" in warning
    elif place == "unknown user":
        if not caches.ROOT:
            pytest.skip("only root can be somebody whom the system does not know")
        (warning,) = run(None, unknown=True)
        assert "no home folder is known" in warning
    else:
        options = ("ro",) if place == "read-only" else ("size=64k",)
        with caches.mounted(home, *options):
            (warning,) = run(home)
        why = "Read-only file system" if place == "read-only" else "No space left on device"
        assert f"{home}/relaxon/kind cannot be written ({why})" in warning
    assert "set XDG_CACHE_HOME" in warning


def test_a_board_is_built_elsewhere_where_the_disk_is_full(
    echo: Path, ready: Path, tmp_path: Path, spare: Path
):
    """What fails is the compiler, or whoever else writes first."""
    with caches.mounted(tmp_path / "disk", "size=8m") as disk:
        shutil.copytree(ready / "relaxon" / "runtime", disk / "relaxon" / "runtime")
        (disk / "relaxon" / "boards").mkdir()
        caches.fill_up(disk)
        path, (warning,) = ask(echo, disk, TMPDIR=spare)
        assert path.is_relative_to(spare) and "No space left on device" in warning
        assert not list((disk / "relaxon" / "boards").glob("*/")), "nothing is left behind"


def test_where_not_even_a_temporary_folder_has_space_the_error_says_what_to_do(tmp_path: Path):
    with caches.mounted(tmp_path / "disk", "size=64k") as disk:
        done = caches.python(RESULT, home=disk, TMPDIR=disk)
    assert done.returncode and "ToolError: nothing can be built" in done.stderr
    assert "set XDG_CACHE_HOME" in done.stderr


# ---- where nothing can be run -------------------------------------------------------------------


def test_boards_are_loaded_where_nothing_may_be_run_and_it_is_said_once(
    echo: Path, ready: Path, tmp_path: Path, spare: Path
):
    """The second library is the first and a byte, which the loader must not take for the first."""
    program = """
from relaxon.sim import simulated
other = path.with_name("other.so")
other.write_bytes(path.read_bytes() + b"0")
libraries = [simulated._load(each)._handle for each in (path, other, path)]
assert libraries[0] == libraries[2] != libraries[1], libraries
"""
    with caches.mounted(tmp_path / "disk", "size=64m", "noexec") as disk:
        shutil.copytree(ready, disk, dirs_exist_ok=True)
        done = caches.python(BOARD + program, echo, ASKED.hex(), home=disk, TMPDIR=spare)
        (warning,) = caches.warnings_of(done)
        assert "mounted noexec" in warning and "from memory" in warning
        no_memory = (
            "import os\ndef none(*_): raise PermissionError(1, 'no')\nos.memfd_create = none\n"
        )
        done = caches.python(no_memory + BOARD, echo, ASKED.hex(), home=disk, TMPDIR=spare)
        (warning,) = caches.warnings_of(done)
        assert f"from {spare}" in warning
        done = caches.python(no_memory + BOARD, echo, ASKED.hex(), home=disk, TMPDIR=disk)
        assert done.returncode and "set XDG_CACHE_HOME to a folder from which" in done.stderr


# ---- what is damaged ----------------------------------------------------------------------------


def _stand_in(board: Path) -> str:
    """Says that compiling gives this board, which saves the time."""
    return f"""
import shutil
from relaxon.sim import verilate
def compile_board(verilog, folder, progress, *, coverage=False):
    shutil.copy({str(board)!r}, folder / "board.so")
verilate.compile_board = compile_board
"""


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def emptied(data: bytes) -> bytes:
    return b""


def one_bit_flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [truncated, emptied, one_bit_flipped])
def test_a_damaged_board_is_never_loaded_but_built_again(
    damage: Callable[[bytes], bytes], echo: Path, home: Path, tmp_path: Path, spare: Path
):
    path, good = board_in(home), tmp_path / "board.so"
    shutil.copy(path, good)
    path.write_bytes(damage(good.read_bytes()))

    def run() -> list[str]:
        program = _stand_in(good) + BOARD
        done = caches.python(program, echo, ASKED.hex(), home=home, TMPDIR=spare)
        warned = caches.warnings_of(done)
        assert bytes.fromhex(done.stdout.split()[1]) == EchoModel().answer(ASKED)
        return warned

    (warning,) = run()
    assert "is damaged (files/board.so has another" in warning and "built again" in warning
    assert path.read_bytes() == good.read_bytes() and run() == []
    path.write_bytes(damage(good.read_bytes()))
    caches.foreign(home)
    try:
        damaged, fallback = run()
        assert "is damaged" in damaged and "cannot be written" in fallback
    finally:
        caches.ours_again(home)


# ---- commands -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list[object]], Path]:
    """Commands, and a cache that holds all that they need: they ran once, with the user's."""
    tiny = next(path for path in GOLDEN if path.stem == "tiny-h8-n5")
    relaxon = [sys.executable, "-m", "relaxon"]
    train = ["--modules", 1, "--neurons", 4, "--samples", 20, "--epochs", 1, "--overwrite", "--out"]
    out = tmp_path_factory.mktemp("out") / "run"
    commands = [
        [*relaxon, "verify", tiny, "--board", "sim"],
        [*relaxon, "train", "--data", "digits", *train, out],
        [*relaxon, "doctor"],
    ]
    kinds, home = ("boards", "kernels"), tmp_path_factory.mktemp("commanded")
    started = {kind: _used(kind) for kind in kinds}
    for words in commands:
        subprocess.run([str(word) for word in words], check=True, timeout=600, capture_output=True)
    for kind in kinds:
        for result in _used(kind).items() - started[kind].items():
            shutil.copytree(result[0], home / "relaxon" / kind / result[0].name)
    return commands, home


def _used(kind: str) -> dict[Path, int]:
    """The user's results, and when they were used last."""
    results = (cache.folder() / kind).glob("[!.]*")
    return {path: path.stat().st_mtime_ns for path in results}


def test_every_command_works_with_another_users_cache_and_warns_of_nothing(
    commanded: tuple[list[list[object]], Path], tmp_path: Path, spare: Path
):
    commands, filled = commanded
    home = caches.foreign(Path(shutil.copytree(filled, tmp_path / "home")))
    try:
        for words in commands:
            done = caches.command(*words, home=home, TMPDIR=spare, MPLCONFIGDIR=tmp_path)
            assert caches.warnings_of(done) == []
        assert f"{home}/relaxon cannot be written" in done.stdout, "doctor says it"
    finally:
        caches.ours_again(home)


def test_doctor_says_where_the_cache_is(
    commanded: tuple[list[list[object]], Path], tmp_path: Path, spare: Path
):
    doctor = commanded[0][-1]
    done = caches.command(*doctor, home=tmp_path, TMPDIR=spare)
    assert done.returncode == 0 and f"ok   cache: {tmp_path / 'relaxon'}\n" in done.stdout
    with caches.mounted(tmp_path / "disk", "size=1m", "noexec") as disk:
        done = caches.command(*doctor, home=disk, TMPDIR=spare)
        assert f"ok   cache: {disk / 'relaxon'} (mounted noexec" in done.stdout
    if caches.ROOT:
        done = caches.command(*doctor, home=None, unknown=True, TMPDIR=spare)
        assert done.returncode == 0 and "no home folder is known" in done.stdout
