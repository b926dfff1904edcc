"""The compiled model is kept, shared and verified; where that is impossible it is compiled all the same.

Compiling it takes half a minute, so most of the tests have a shorter kernel in its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import caches
import numba
import numpy as np
import pytest
from recorded import Recorded

from relaxon.sim import cache, kernel, manifest
from relaxon.sim.fast import FastModel

SHORT = """
def samples(mem, par, tim, log, x, y, train):
    for t in range(x.shape[0]):
        log.sweeps[t] = x[t].sum() + y[t] + train
"""
RUN = """
import sys
import numpy as np
from relaxon import Config, Couplings
from relaxon.sim import kernel
from relaxon.sim.fast import FastModel
import short
kernel._samples = short.samples
config = Config(modules=1, neurons=4, inputs=3, classes=2, lanes=4)
model = FastModel(config, Couplings.fresh(config, seed=0))
x = np.array([[1, 1, -1], [1, 1, 1]], np.int8)
assert model.infer(x)[1].sweeps.tolist() == [1, 3]
assert model.train(x, np.array([0, 1], np.uint8))[1].sweeps.tolist() == [2, 5]
x.flags.writeable = False
assert model.infer(x[:1])[1].sweeps.tolist() == [1]
(signature,) = kernel._kernel.signatures
print(sum(kernel._kernel.stats.cache_hits.values()))
"""
"""Runs the short kernel; says how often it came from the cache."""


Run = Callable[..., tuple[int, list[str]]]
"""Runs it in a process of its own: how often it came from the cache, and what was warned of."""


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the short kernel's module."""
    folder = tmp_path_factory.mktemp("module")
    (folder / "short.py").write_text(SHORT)
    return folder


@pytest.fixture(scope="module")
def run(short: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the short kernel."""

    def run(home: Path, before: str = "", **options: Any) -> tuple[int, list[str]]:
        spare = tmp_path_factory.mktemp("temporary")
        find = f"import sys; sys.path.insert(0, {str(short)!r})\n"
        done = caches.python(find + before + RUN, home=home, TMPDIR=spare, **options)
        warned = caches.warnings_of(done)
        assert not list(spare.iterdir())
        return int(done.stdout), warned

    return run


@pytest.fixture(scope="module")
def compiled(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has it."""
    home = tmp_path_factory.mktemp("compiled")
    assert run(home) == (0, [])
    return home


@pytest.fixture
def home(compiled: Path, tmp_path: Path) -> Path:
    """A copy of that, of this test's own."""
    return Path(shutil.copytree(compiled, tmp_path / "home"))


def test_what_one_process_compiles_the_next_one_has(run: Run, home: Path):
    assert run(home) == (1, [])
    before = sorted(home.rglob("*"))
    caches.foreign(home)
    try:
        assert run(home) == (1, []), "another user's are read, and numba writes nothing there"
        assert sorted(home.rglob("*")) == before
    finally:
        caches.ours_again(home)


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def emptied(data: bytes) -> bytes:
    return b""


def one_bit_flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "suffix, damage",
    [("nbc", truncated), ("nbc", emptied), ("nbc", one_bit_flipped), ("nbi", one_bit_flipped)],
)
def test_a_damaged_kernel_is_never_loaded_but_compiled_again(
    suffix: str, damage: Callable[[bytes], bytes], run: Run, home: Path
):
    (path,) = home.rglob(f"*.{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    hits, (warning,) = run(home)
    assert hits == 0 and "is damaged" in warning and path.name in warning
    assert cache_is_whole(home)


def cache_is_whole(home: Path) -> bool:
    (result,) = home.glob("relaxon/kernels/[!.]*")
    return manifest.damage(result) is None


def test_where_it_cannot_be_kept_it_is_compiled_for_the_process_and_said_once(
    run: Run, short: Path, tmp_path: Path
):
    home = tmp_path / "home"
    home.mkdir()
    hits, (warning,) = run(caches.foreign(home))
    assert hits == 0 and "cannot be written (Permission denied)" in warning
    if caches.ROOT:
        program = "import sys; sys.path.insert(0, sys.argv[1])\n" + RUN
        done = caches.python(program, short, home=None, unknown=True)
        (warning,) = caches.warnings_of(done)
        assert "no home folder is known" in warning
    with caches.mounted(tmp_path / "disk", "size=64k") as disk:
        caches.fill_up(disk)
        hits, (warning,) = run(disk)
        assert hits == 0 and "No space left on device" in warning


@pytest.mark.parametrize("error", ["RuntimeError('no locator available')", "OSError(28, 'full')"])
def test_what_numba_cannot_keep_is_compiled_for_the_process(error: str, run: Run, tmp_path: Path):
    broken = f"""
from relaxon.sim import kernel
decorated = kernel._decorated
def fails(folder):
    if folder is not None:
        raise {error}
    return decorated(folder)
kernel._decorated = fails
"""
    hits, warned = run(tmp_path / "home", broken)
    assert hits == 0 and "compiled for this process alone" in warned[-1]


def test_importing_it_compiles_nothing_and_needs_no_home(tmp_path: Path):
    program = "from relaxon.sim import kernel; assert kernel._kernel is None"
    assert caches.warnings_of(caches.python(program, home=Path("/proc/nobody"))) == []
    if caches.ROOT:
        assert caches.warnings_of(caches.python(program, home=None, unknown=True)) == []
    assert caches.warnings_of(caches.python(program, home=tmp_path)) == []
    assert not list(tmp_path.iterdir())


def test_the_users_own_functions_are_kept_where_the_user_says(run: Run, home: Path, tmp_path: Path):
    own = f"""
import numba, other
kept = numba.njit(cache=True)(other.other)
from relaxon.sim import kernel
load = kernel.load
def loaded(*arguments):
    try:
        return load(*arguments)
    finally:
        assert kept.stats.cache_path.startswith({str(tmp_path / "own")!r})
        assert numba.njit(cache=True)(other.other).stats.cache_path == kept.stats.cache_path
kernel.load = loaded
"""
    (tmp_path / "other.py").write_text("def other(x):\n    return x\n")
    own = f"sys.path.insert(0, {str(tmp_path)!r})\n" + own
    assert run(home, own, NUMBA_CACHE_DIR=tmp_path / "own") == (1, [])
    assert not list((tmp_path / "own").rglob("*.nb?")), "nothing of ours is there"


def test_without_a_compiler_it_is_python(short: Path, tmp_path: Path):
    program = RUN.replace("(signature,) = kernel._kernel.signatures\n", "").replace(
        "sum(kernel._kernel.stats.cache_hits.values())", "kernel._kernel is short.samples"
    )
    done = caches.python(program, home=tmp_path / "home", NUMBA_DISABLE_JIT=1, PYTHONPATH=short)
    assert caches.warnings_of(done) == [] and done.stdout.strip() == "True"
    assert not (tmp_path / "home").exists()


def test_its_name_holds_all_that_it_was_compiled_from_and_for(monkeypatch: pytest.MonkeyPatch):
    types = (numba.types.int64,)
    names = {kernel._name(types), kernel._name((numba.types.int32,))}
    for module in (numba, np, kernel.llvmlite):
        with monkeypatch.context() as patched:
            patched.setattr(module, "__version__", "0")
            names.add(kernel._name(types))
    binding = kernel.llvmlite.binding
    features = binding.get_host_cpu_features()
    features["flying"] = True
    for function, value in (
        ("get_host_cpu_name", lambda: "z80"),
        ("get_host_cpu_features", lambda: features),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(binding, function, value)
            names.add(kernel._name(types))
    with monkeypatch.context() as patched:
        patched.setenv("NUMBA_OPT", "0")
        names.add(kernel._name(types))
    assert len(names) == 8
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert kernel._name(types) in names


def test_the_name_changes_with_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = {kernel._name(())}
    for module in (kernel.cycles, kernel.protocol):
        with monkeypatch.context() as patched:
            copy = Path(shutil.copy(str(module.__file__), tmp_path))
            patched.setattr(module, "__file__", str(copy))
            assert kernel._name(()) in names, "where these are does not matter"
            copy.write_text(copy.read_text() + "#\n")
            names.add(kernel._name(()))
    with monkeypatch.context() as patched:
        copy = Path(shutil.copy(kernel.__file__, tmp_path))
        patched.setattr(kernel, "__file__", str(copy))
        names.add(kernel._name(()))
        copy.touch()
        names.add(kernel._name(()))
    assert len(names) == 5


def test_there_is_one_compiled_version_for_every_machine(
    tiny: Recorded, golden: Recorded, recwarn: pytest.WarningsRecorder
):
    """Arrays of samples that may be written, that may not, and that are not in order."""
    for recorded in (tiny, golden):
        model = FastModel(recorded.config, recorded.before)
        x, y = recorded.x[:8].copy(), recorded.y[:8].copy()
        model.train(x, y)
        x.flags.writeable = y.flags.writeable = False
        model.train(x, y)
        model.infer(np.asfortranarray(x)[::2])
    assert len(kernel._kernel.signatures) == 1  # type: ignore[union-attr]
    assert not [w for w in recwarn if issubclass(w.category, cache.CacheWarning)]
