"""The cache of build results: made once, complete or not at all, verified, bounded, optional."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from relaxon.errors import ToolError
from relaxon.sim import cache, manifest
from relaxon.sim.cache import CacheWarning


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of this test's own, and nothing said so far."""
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "relaxon")
    monkeypatch.setattr(cache, "_said", set())
    cache.temporary.cache_clear()
    yield
    if cache.temporary.cache_info().currsize:
        shutil.rmtree(cache.temporary())
        cache.temporary.cache_clear()


def test_a_result_is_made_once():
    made = []

    def fill(folder):
        made.append(folder)
        (folder / "result").write_text("done")

    name = cache.key("a", b"b")
    first, second = cache.entry("kind", name, fill), cache.entry("kind", name, fill)
    assert first == second and [path.name for path in first.iterdir()] == ["result"]
    assert (first / "result").read_text() == "done"
    assert len(made) == 1


def test_keys_tell_every_split_of_the_parts_apart():
    assert len({cache.key("ab", "c"), cache.key("a", "bc"), cache.key("abc"), cache.key()}) == 4


def test_a_failed_build_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "half").write_text("")
        raise ToolError("no compiler")

    with pytest.raises(ToolError, match="no compiler"):
        cache.entry("kind", cache.key("x"), fail)
    assert [p for p in (tmp_path / "relaxon" / "kind").iterdir() if p.is_dir()] == []


def test_builders_of_the_same_result_wait_for_one_another():
    made = []

    def fill(folder):
        time.sleep(0.2)
        made.append(folder)

    threads = [threading.Thread(target=cache.entry, args=("kind", "12", fill)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(made) == 1


def test_waiting_for_another_builder_ends(monkeypatch):
    started = threading.Event()
    done = threading.Event()

    def slow(folder):
        started.set()
        assert done.wait(timeout=20)

    other = threading.Thread(target=cache.entry, args=("kind", "12", slow))
    other.start()
    try:
        assert started.wait(timeout=20)
        monkeypatch.setattr(cache, "WAIT", 0.2)
        with pytest.raises(ToolError, match="another process has been building"):
            cache.entry("kind", "12", lambda folder: None)
    finally:
        done.set()
        other.join(timeout=20)


def test_the_most_recently_used_results_are_kept(monkeypatch):
    monkeypatch.setattr(cache, "KEEP", 2)
    paths = {}
    for age, name in enumerate(("aa", "bb", "cc")):
        paths[name] = cache.entry("kind", name, lambda folder: None)
        os.utime(paths[name].parent, (1000 + age, 1000 + age))
    cache.entry("kind", "bb", lambda folder: None)  # used again: newest
    paths["dd"] = cache.entry("kind", "dd", lambda folder: None)
    assert sorted(name for name, path in paths.items() if path.exists()) == ["bb", "dd"]


def hello(folder):
    """Fills a result with two files, one of them in a folder."""
    (folder / "hello").write_bytes(b"hello, world")
    (folder / "in").mkdir()
    (folder / "in" / "more").write_text("more")


def truncated(data):
    return data[: len(data) // 2]


def emptied(data):
    return b""


def one_bit_flipped(data):
    return data[:-1] + bytes([data[-1] ^ 4])


@pytest.mark.parametrize("damage", [truncated, emptied, one_bit_flipped])
@pytest.mark.parametrize("file", ["files/hello", "files/in/more", manifest.NAME])
def test_a_damaged_result_is_made_again_and_said(file, damage):
    result = cache.entry("kind", "12", hello)
    damaged = result.parent / file
    data = damaged.read_bytes()
    damaged.write_bytes(damage(data))
    with pytest.warns(CacheWarning, match="damaged .*built again"):
        assert cache.entry("kind", "12", hello) == result
    assert damaged.read_bytes() == data
    assert [p.name for p in result.parents[1].iterdir() if p.is_dir()] == ["12"]


def test_a_result_of_which_a_file_is_gone_is_made_again():
    result = cache.entry("kind", "12", hello)
    (result / "in" / "more").unlink()
    with pytest.warns(CacheWarning, match="in/more: No such file"):
        cache.entry("kind", "12", hello)
    assert (result / "in" / "more").read_text() == "more"


def test_a_folder_without_a_manifest_is_no_result():
    result = cache.folder() / "kind" / "12" / "files"
    result.mkdir(parents=True)
    (result / "hello").write_text("of an older version")
    assert cache.find("kind", "12") is None
    cache.entry("kind", "12", hello)
    assert (result / "hello").read_text() == "hello, world"


def test_what_is_looked_up_has_been_verified():
    assert cache.find("kind", "12") is None
    result = cache.entry("kind", "12", hello)
    assert cache.find("kind", "12") == result == cache.place("kind", "12")
    (result / "hello").write_text("hello, worle")
    with pytest.warns(CacheWarning, match="hello has another content"):
        assert cache.find("kind", "12") is None
    assert not cache.place("kind", "12").exists(), "what is damaged must not be taken from there"


def test_a_result_is_on_the_disk_before_it_has_its_name(monkeypatch):
    synced, real = [], os.fsync

    def fsync(opened):
        path = Path(os.readlink(f"/proc/self/fd/{opened}")) if Path("/proc/self/fd").exists() else None
        synced.append((path, (cache.folder() / "kind" / "12").exists()))
        real(opened)

    monkeypatch.setattr(os, "fsync", fsync)
    cache.entry("kind", "12", hello)
    before = [path.name for path, named in synced if path is not None and not named]
    assert {"hello", "more", manifest.NAME, "in", "files"} <= set(before)
    assert before[-1].startswith(".unfinished"), "the folder itself"
    assert synced[-1][1], "and the shelf, when the folder has its name"


def test_results_have_the_permissions_that_the_umask_gives():
    before = os.umask(0o002)
    try:
        result = cache.entry("kind", "12", hello)
    finally:
        os.umask(before)
    for path in (result, *result.parents[:2], result / "in"):
        assert path.stat().st_mode & 0o777 == 0o775
    for path in (result / "hello", result.with_name(manifest.NAME)):
        assert path.stat().st_mode & 0o777 == 0o664


def test_a_cache_that_cannot_be_written_is_done_without_and_said_once(tmp_path):
    (tmp_path / "relaxon").write_text("a file, not a folder")
    with pytest.warns(CacheWarning, match="Not a directory.*set XDG_CACHE_HOME") as told:
        first = cache.entry("kind", "12", hello)
        assert cache.entry("kind", "12", hello) == first, "found again, and not made again"
        cache.entry("kind", "13", hello)
    assert len(told) == 1 and str(tmp_path / "relaxon") in str(told[0].message)
    assert (first / "hello").read_text() == "hello, world" and first.is_relative_to(cache.temporary())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_fails_while_a_result_is_made_is_done_without(number, tmp_path):
    def fill(folder):
        if folder.is_relative_to(tmp_path):
            raise OSError(number, os.strerror(number))
        hello(folder)

    with pytest.warns(CacheWarning, match=os.strerror(number)):
        result = cache.entry("kind", "12", fill)
    assert (result / "hello").read_text() == "hello, world"
    assert not [p for p in (tmp_path / "relaxon" / "kind").iterdir() if p.is_dir()]


def test_a_tool_that_fails_on_a_full_disk_is_run_again_elsewhere(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    def fill(folder):
        if folder.is_relative_to(tmp_path):
            raise ToolError("compiling failed")
        hello(folder)

    with pytest.warns(CacheWarning, match="only 1 MB"):
        cache.entry("kind", "12", fill)


def test_a_tool_that_says_that_the_disk_is_full_is_believed(tmp_path):
    def fill(folder):
        if folder.is_relative_to(tmp_path):
            raise ToolError("as: cannot write a.o: No space left on device")
        hello(folder)

    with pytest.warns(CacheWarning, match="No space left"):
        cache.entry("kind", "12", fill)


@pytest.mark.parametrize("error", [BrokenPipeError(), FileNotFoundError(2, "no", "/source"), KeyError()])
def test_what_else_goes_wrong_is_no_fault_of_the_cache(error):
    made = []

    def fill(folder):
        made.append(folder)
        raise error

    with pytest.raises(type(error)):
        cache.entry("kind", "12", fill)
    assert len(made) == 1


def test_where_no_folder_can_be_written_the_error_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "relaxon").write_text("a file, not a folder")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ToolError, match="TMPDIR"):
        cache.entry("kind", "12", hello)

    def full(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.warns(CacheWarning), pytest.raises(ToolError, match="No space.*set XDG_CACHE_HOME"):
        cache.entry("kind", "12", full)


def unknown_home():
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("folder", [unknown_home, lambda: Path("~/.cache/relaxon")])
def test_without_a_home_there_is_a_temporary_cache(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", folder)
    monkeypatch.chdir(tmp_path)
    assert cache.find("kind", "12") is None and cache.trouble() is not None
    with pytest.warns(CacheWarning, match="no home folder"):
        result = cache.entry("kind", "12", hello)
    assert cache.find("kind", "12") == result
    assert not list(tmp_path.iterdir()), "no folder of the name ~"
    cache.clear()
    assert not result.exists()


def test_the_first_to_finish_wins_where_there_are_no_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)

    def slow(folder):
        if cache.find("kind", "12") is None:
            cache.entry("kind", "12", hello)  # what another process does meanwhile
        hello(folder)

    made = cache.entry("kind", "12", slow)
    assert cache.find("kind", "12") == made
    assert [p.name for p in made.parents[1].iterdir() if p.is_dir()] == ["12"]


def test_the_temporary_folder_goes_with_its_process_but_not_with_a_fork():
    program = """if 1:
        import os, sys
        from relaxon.sim import cache
        print(cache.temporary(), flush=True)
        if os.fork() == 0:
            sys.exit()
        os.wait()
        assert cache.temporary().is_dir()
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() and not Path(done.stdout.strip()).exists()


def test_it_is_told_whether_the_cache_can_be_used(tmp_path):
    assert cache.trouble() is None
    assert not list((tmp_path / "relaxon").iterdir())
    (tmp_path / "relaxon").rmdir()
    (tmp_path / "relaxon").write_text("a file, not a folder")
    assert "Not a directory" in cache.trouble() or "File exists" in cache.trouble()


def test_clear_forgets_everything():
    path = cache.entry("kind", "12", lambda folder: None)
    cache.clear()
    assert not path.exists()
