"""The cache of build results: made once, complete or not at all, bounded."""

import os
import threading
import time

import pytest

from relaxon.errors import ToolError
from relaxon.sim import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "relaxon")


def test_a_result_is_made_once():
    made = []

    def fill(folder):
        made.append(folder)
        (folder / "result").write_text("done")

    name = cache.key("a", b"b")
    first, second = cache.entry("kind", name, fill), cache.entry("kind", name, fill)
    assert first == second and (first / "result").read_text() == "done"
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
        os.utime(paths[name], (1000 + age, 1000 + age))
    cache.entry("kind", "bb", lambda folder: None)  # used again: newest
    paths["dd"] = cache.entry("kind", "dd", lambda folder: None)
    assert sorted(name for name, path in paths.items() if path.exists()) == ["bb", "dd"]


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "relaxon").write_text("a file, not a folder")
    with pytest.raises(ToolError, match="XDG_CACHE_HOME"):
        cache.entry("kind", "12", lambda folder: None)


def test_clear_forgets_everything():
    path = cache.entry("kind", "12", lambda folder: None)
    cache.clear()
    assert not path.exists()
