"""Any bytes at all in any file that is read: refused with the project's own errors, soon and in little
memory, or read; nothing in a file is executed.

The readers are those of data sets (``.npz``, IDX), machines and runs (checkpoints, recorded runs), and
points of experiments (JSON). A command is tried, too, where what a file holds is understood only there:
``predict``, ``resume`` and ``verify``. As CSV the project reads nothing but tables that it has written
itself (`relaxon.experiments.report`), so CSV is only read back here as others would do it.

With ``--long`` every bit of the small files is flipped, and everything else is tried more often.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import math
import pickle
import random
import struct
import sys
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import random_couplings, random_samples
from test_fuzz import Planted, headed, mutated, pickled_array

from relaxon import Config, checkpoint, cli, data, resume, verify
from relaxon.coding import Bits, Projection, Thermometer
from relaxon.errors import RelaxonError
from relaxon.files import write_csv
from relaxon.samples import Encoder
from relaxon.sim.modelboard import ModelBoard
from relaxon.training import Plan, Run

CONFIG = Config(modules=1, neurons=3, inputs=4, classes=2)
SECONDS = 4.0
"""Longest time that a file may take."""
MEMORY = 192 << 20
"""Most bytes that a test may take more than there were."""
SPACE = 4 << 30
"""Bytes of address space that a test may take: more would be a promise believed."""


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    """The model's fast path is compiled by now, which takes time and memory where no cache has it."""
    board, (x, y) = ModelBoard(CONFIG), random_samples(CONFIG, 4, seed=1)
    board.load(random_couplings(CONFIG, seed=1))
    board.train(x, y)
    board.infer(x)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Fails a test that takes too much memory (on Linux, which tells the most there was)."""
    if sys.platform != "linux":
        yield
        return
    import resource

    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_kilobytes("VmSize") * 1024 + SPACE, limits[1]))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmHWM")
    try:
        yield
        assert (_kilobytes("VmHWM") - before) * 1024 < MEMORY
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


# ---- what reads ---------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of the files of a test: `tried` calls a reader, `tell` fails if any other errors than
    the project's came out."""

    refused: int = 0
    read: int = 0
    slowest: float = 0.0
    strange: dict[str, str] = field(default_factory=dict)
    """The first file for each place from which another error came."""
    began: float = field(default_factory=time.monotonic)

    def tried(self, read: Callable[[], Any], about: object) -> bool:
        """Whether it could be read."""
        started = time.monotonic()
        try:
            read()
        except RelaxonError as error:
            assert str(error), about
            self.refused += 1
            return False
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in place if "site-packages" not in frame.filename][-1]
            where = f"{type(error).__name__} from {Path(own.filename).name}:{own.lineno}"
            self.strange.setdefault(where, f"{about}: {error}"[:600])
            return False
        finally:
            took = time.monotonic() - started
            self.slowest = max(self.slowest, took)
            assert took < SECONDS, about
        self.read += 1
        return True

    def tell(self, what: str) -> None:
        """Print the counts, for docs/verification.md."""
        assert not self.strange, "\n".join(f"{where}: {why}" for where, why in self.strange.items())
        print(
            f"\n{what}: {self.refused:,} refused, {self.read:,} read, only the project's errors, none "
            f"longer than {self.slowest:.2f} s; {time.monotonic() - self.began:.1f} s"
        )


def command(*arguments: str) -> str:
    """Carry out a command: what it prints. Raises the error that it ended with, as `Tally` wants it."""
    output = io.StringIO()  # takes any text, as standard output does in a program of ours
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = cli.run(arguments)
    if code in (0, cli.DIFFERENT):
        return output.getvalue()
    assert "error: " in output.getvalue()
    raise RelaxonError(output.getvalue())


def predicted(*, whole: bool = False) -> None:
    """What `relaxon predict machine.npz --out p.csv` does, without its progress bar, which takes long;
    `whole`: with ``--data data.npz``."""
    path = Path("machine.npz")
    held = checkpoint.load(path)
    encoder, x, truth = cli._samples_for(held, path, "data.npz" if whole else None)
    board = ModelBoard(held.config)
    board.load(held.couplings)
    named = encoder.named(board.infer(x).prediction).tolist()
    known = [""] * len(x) if truth is None else encoder.named(truth).tolist()
    write_csv(Path("p.csv"), ("index", "predicted", "label"), zip(range(len(x)), named, known))


def bits() -> dict[str, Any]:
    """Samples for `CONFIG` that any reader takes."""
    x, y = random_samples(CONFIG, 24, seed=1)
    return {"x": x, "y": np.array(["no", "yes"])[y], "x_test": x[:6], "y_test": np.array(["no"] * 6)}


def write_npz(**arrays: Any) -> None:
    np.savez(Path("data.npz"), **(bits() | arrays))


def machine(path: str = "machine.npz", **extra: Any) -> None:
    """A checkpoint as `relaxon train` leaves it."""
    told = {"data": "data.npz", "seed": 0, **Encoder(Bits(4), ("no", "yes")).to_dict(), **extra}
    checkpoint.save(path, CONFIG, random_couplings(CONFIG, seed=1), **told)


def run(path: str = "run/checkpoint.npz") -> None:
    """A checkpoint in the middle of a run of `relaxon train --data data.npz --epochs 2`."""
    Path(path).parent.mkdir(exist_ok=True)
    board, loaded = ModelBoard(CONFIG), data.load("data.npz")
    board.load(random_couplings(CONFIG, seed=1))
    plan = Plan(epochs=2, seed=0, test_epochs=True)
    told = {
        "preset": "paper", "data": "data.npz", "entangle": None, "seed": 0, "subset": None,
        "clock_mhz": 50.0, "baseline_accuracy": None, "board": "model",
    }  # fmt: skip
    kept = _KeptAfter(2, resume.Keeper(Path(path), board, loaded, plan, told, every=0))
    with contextlib.suppress(StopIteration):
        from relaxon.training import train

        train(board, loaded, plan, keep=kept)


class _KeptAfter:
    """Ends a run after so many slices."""

    def __init__(self, slices: int, keeper: resume.Keeper):
        self._left, self._keeper = slices, keeper

    def __call__(self, run: Run) -> None:
        self._keeper(run)
        if self._left == 0:
            raise StopIteration
        self._left -= 1


def recorded(path: str = "recorded.npz", **arrays: Any) -> None:
    """A recorded run of `CONFIG`, as golden files are."""
    before, (x, y) = random_couplings(CONFIG, seed=1), random_samples(CONFIG, 24, seed=1)
    board = ModelBoard(CONFIG)
    board.load(before)
    held = {"x": x, "y": y, "prediction": board.train(x, y).prediction}
    after = board.couplings()
    held |= {f"{name}_out": getattr(after, name) for name in ("recurrent", "input", "readout")}
    held |= {"state_out": board.read("state"), "prediction_after": board.infer(x[:8]).prediction}
    checkpoint.save(path, CONFIG, before, **(held | arrays))


def replayed() -> None:
    """What `relaxon verify other.npz` does, without its progress bar."""
    held = verify.load_run("other.npz")
    verify.replay(ModelBoard(held.config), held)


def idx(array: Any) -> bytes:
    """An IDX file."""
    values = np.asarray(array, np.uint8)
    return struct.pack(f">I{values.ndim}I", 0x800 + values.ndim, *values.shape) + values.tobytes()


def idx_folder() -> None:
    """Four files, two of them gzipped."""
    folder, rng = Path("idx"), np.random.default_rng(0)
    folder.mkdir()
    for part, many in (("train", 9), ("t10k", 4)):
        images, digits = rng.integers(0, 256, (many, 2, 2)), np.arange(many) % 2
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images), mtime=0))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(digits))


POINT = {"seed": 1, "task": "digits", "config": {"modules": 2}}


def swept() -> Any:
    from relaxon.experiments.sweep import Sweep

    return Sweep("size", [POINT], Path("sweep"))


def point() -> None:
    """A finished point of an experiment."""
    figures = [{"accuracy": 0.5, "cycles": 320}, {"accuracy": 0.25, "cycles": 321}]
    swept().keep(POINT, figures, 0.25, {"board": "model", "git": "v1-2-gabc", "numpy": "2"})


def read_point() -> None:
    """All that reads a finished point."""
    from relaxon.experiments import sweep

    sweep.load(swept().file(POINT))
    swept().frame()
    swept().origins()


@dataclass(frozen=True)
class Reader:
    """A file, made by `make` as it should be, and who reads it."""

    name: str
    make: Callable[[], None]
    path: Callable[[], Path]
    read: Callable[[], Any]
    cost: int = 1
    """How much longer it takes than others."""


def _reader(
    name: str, make: Callable[[], None], path: str, read: Callable[[], Any], cost: int = 1
) -> Reader:
    return Reader(name, make, lambda: Path(path), read, cost)


def _with_data(make: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        write_npz()
        make()

    return both


def _encoder() -> Encoder:
    return Encoder(Bits(4), ("no", "yes"))


def resumed(*arguments: str) -> None:
    """`relaxon resume`, which leaves the run's folder without results."""
    try:
        command("resume", "run", *arguments)
    finally:
        for name in ("couplings.npz", "metrics.json", "accuracy.png", "couplings.png"):
            Path("run", name).unlink(missing_ok=True)


READERS = [
    _reader("data (.npz)", write_npz, "data.npz", lambda: data.load("data.npz")),
    _reader(
        "samples to predict (.npz)", write_npz, "data.npz",
        lambda: data.load_samples("data.npz", _encoder()),
    ),
    *(
        _reader(f"IDX ({name})", idx_folder, f"idx/{name}", lambda: data.load("mnist:idx"))
        for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte",
                     "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte")
    ),
    _reader("machines, by predict", _with_data(machine), "machine.npz", predicted),
    _reader("data, by predict", _with_data(machine), "data.npz", predicted),
    _reader(
        "runs", _with_data(run), "run/checkpoint.npz",
        lambda: resume.load(Path("run/checkpoint.npz")),
    ),
    _reader("recorded runs", recorded, "recorded.npz", lambda: verify.load_run("recorded.npz")),
    Reader("points (JSON)", point, lambda: swept().file(POINT), read_point),
]  # fmt: skip
ARCHIVES = [each for each in READERS if "IDX" not in each.name and "JSON" not in each.name]
ids = {"ids": lambda reader: reader.name}


def damaged(whole: bytes, long: bool, cost: int) -> Iterator[tuple[str, bytes]]:
    """Flipped, cut, inserted: all of a file where it is run long, and otherwise a part of each."""
    rng = random.Random(1)
    many = (4000 if long else 90) // cost
    step = max(1, len(whole) // many)
    for at in range(0, len(whole), 1 if long and cost == 1 else step):
        for bit in range(8) if long and cost == 1 else (rng.randrange(8),):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            yield "bits flipped", bytes(flipped)
    for at in range(0, len(whole), 1 if long and cost == 1 else 2 * step):
        yield "cut off", whole[:at]
    for _ in range(many):
        at = rng.randrange(len(whole) + 1)
        yield "bytes inserted", whole[:at] + rng.randbytes(rng.choice((1, 2, 4, 9))) + whole[at:]
        yield "mutated", mutated(whole, rng)


@pytest.mark.parametrize("reader", READERS, **ids)
def test_whatever_bytes_are_damaged_a_file_is_refused_or_read(reader: Reader, long: bool):
    reader.make()
    tally, path = Tally(), reader.path()
    whole = path.read_bytes()
    assert tally.tried(reader.read, "the good file"), "it is not good"
    for kind, content in damaged(whole, long, reader.cost):
        path.write_bytes(content)
        tally.tried(reader.read, (reader.name, kind, content[:2000]))
    tally.tell(f"{reader.name}, {len(whole):,} bytes, damaged")


# ---- archives with right CRCs -------------------------------------------------------------------


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archived(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """An archive of these parts, its CRCs right."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return file.getvalue()


def header(kind: str, shape: object, order: bool = False, version: int = 1) -> bytes:
    """An .npy that promises more than it has; 64 bytes follow."""
    text = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}}}"
    content = text.encode().ljust(118) + b"\n"
    size = len(content).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + content + bytes(64)


HEADERS = {
    "petabytes": header("'<i8'", (10**15,)),
    "petabytes in columns": header("'<f8'", (10**8, 10**8), True),
    "petabytes, header version 2": header("'|i1'", (10**15,), version=2),
    "petabytes, header version 3": header("'|i1'", (10**15,), version=3),
    "gigabytes, header version 3": header("'|i1'", (10**11,), version=3),
    "more than there are numbers for": header("'|i1'", (2**64, 2**64)),
    "bytes that wrap around to 64": header("'|i1'", (2**58, 64 * 2**6 + 1)),
    "nothing, often": header("'|V0'", (10**18,))[:-64],
    "no letters, often": header("'<U0'", (10**18,))[:-64],
    "no numbers, in many dimensions": header("'<f8'", (0, *(10**6,) * 3))[:-64],
    "64 dimensions": header("'|i1'", (1,) * 64)[:-63],
    "65 dimensions": header("'|i1'", (1,) * 65)[:-63],
    "less than nothing": header("'|i1'", (-1, -64)),
    "no whole number": header("'|i1'", (64.0,)),
    "truth": header("'|i1'", (True, 64)),
    "long texts": header("'<U2147483647'", (1,)),
    "texts too long": header("'<U999999999999'", (1,)),
    "an unknown type": header("'<q9'", (8,)),
    "a type of types": header("[('a', '<i8'), ('b', [('c', '<f4', (2,))])]", (4,)),
    "a type in types": header("[('a', '<i8'), ('a', '<i8')]", (4,)),
    "times": header("'<M8[s]'", (8,)),
    "complex numbers": header("'<c16'", (4,)),
    "objects": header("'|O'", (8,)),
    "long numbers": headed("{'descr': '|i1', 'fortran_order': False, 'shape': (" + "9" * 80 + ",)}"),
    "many digits": headed("{'descr': '|i1', 'shape': (" + "9" * 5000 + ",)}"),
    "many brackets": headed("(" * 9000),
    "many minuses": headed("-" * 9000 + "1"),
    "code": headed("__import__('pathlib').Path('planted').touch()"),
    "another version": b"\x93NUMPY\x09\0" + npy(np.zeros(3))[8:],
    "no version": b"\x93NUMPY",
    "no array": b"what is this?",
    "nothing": b"",
    "pickle": pickle.dumps(Planted()),
    "pickled array": pickled_array(),
}
"""What an .npy in an archive may begin with."""
ARRAYS = {
    "nan": np.full((24, 4), np.nan), "infinity": np.full((24, 4), np.inf), "one number": np.array(1),
    "no samples": np.zeros((0, 4)), "no values": np.zeros((24, 0)), "one dimension": np.zeros(24),
    "halves": np.ones((24, 4), np.float16), "long doubles": np.ones((24, 4), np.longdouble),
    "large": np.full((24, 4), 2**64 - 1, np.uint64), "other bytes first": np.ones((24, 4), ">i4"),
    "in columns": np.asfortranarray(np.ones((24, 4), np.int8)), "text": np.array([["a"] * 4] * 24),
    "bytes": np.array([b"a", b"\xff"] * 12), "truth": np.ones(24, bool),
    "no letters": np.array([2**31, 0x110000] * 12, np.uint32).view("<U1"),
    "half letters": np.array([0xD800, 0x61] * 12, np.uint32).view("<U1"),
    "times": np.zeros(24, "M8[s]"), "named": np.zeros(24, [("a", "i4"), ("b", "f8")]),
    "complex": np.zeros((24, 4), complex), "many labels": np.arange(24), "void": np.zeros(24, "V3"),
    "subtle": np.array([0.0, -0.0, 1e-300, 1.5] * 6), "wide": np.ones((24, 5000), np.int8),
    "deep": np.ones((24, *(1,) * 30), np.int8), "minus": np.arange(24) % 2 - 2**62,
}  # fmt: skip
"""Arrays in the place of others."""


@pytest.mark.parametrize("reader", ARCHIVES, **ids)
def test_parts_damaged_under_a_right_crc_are_refused_or_read(reader: Reader, long: bool):
    reader.make()
    tally, path, rng = Tally(), reader.path(), random.Random(1)
    parts = parts_of(path)
    for part in rng.choices(list(parts), k=(5000 if long else 120) // reader.cost):
        content = mutated(parts[part], rng)
        path.write_bytes(archived(parts | {part: content}))
        tally.tried(reader.read, (reader.name, part, content[:500]))
    tally.tell(f"{reader.name}, a part damaged under a right CRC")


@pytest.mark.parametrize("reader", ARCHIVES, **ids)
def test_promises_and_other_arrays_are_refused_or_read(reader: Reader, long: bool):
    """The ones are not believed, and nothing in them is executed; the others are checked."""
    reader.make()
    tally, path = Tally(), reader.path()
    parts = parts_of(path)
    names = [*parts, "more.npy"]
    for part in names if long else random.Random(1).sample(names, min(5, len(names))):
        for about, content in HEADERS.items():
            path.write_bytes(archived(parts | {part: content}))
            tally.tried(reader.read, (part, about))
        for about, array in ARRAYS.items():
            path.write_bytes(archived(parts | {part: npy(array)}))
            tally.tried(reader.read, (part, about))
        path.write_bytes(archived({n: c for n, c in parts.items() if n != part}))
        tally.tried(reader.read, (part, "missing"))
    assert not list(Path().rglob("planted"))
    tally.tell(f"{reader.name}, other arrays or headers that promise what is not there")


def flags(whole: bytes, at: int, value: int, size: str = "<H") -> bytes:
    """An archive with a value changed that each part has: `at` counts from "version needed"."""
    changed = bytearray(whole)
    for mark, offset in ((b"PK\3\4", 4), (b"PK\1\2", 6)):
        start = whole.find(mark)
        while start >= 0:
            struct.pack_into(size, changed, start + offset + at, value)
            start = whole.find(mark, start + 1)
    return bytes(changed)


def crafted(parts: dict[str, bytes]) -> dict[str, bytes]:
    """Archives that no program of ours writes."""
    whole = archived(parts)
    end = whole.rindex(b"PK\5\6")
    listed = whole.index(b"PK\1\2")
    first = next(iter(parts))

    def ended(at: int, value: int, size: str = "<I") -> bytes:
        changed = bytearray(whole)
        struct.pack_into(size, changed, end + at, value)
        return bytes(changed)

    return {
        "encrypted": flags(whole, 2, 1), "strongly encrypted": flags(whole, 2, 0x41),
        "patched": flags(whole, 2, 0x20), "other text": flags(whole, 2, 0x800),
        "sizes behind": flags(whole, 2, 8), "of a later version": flags(whole, 0, 99),
        "method 99": flags(whole, 4, 99), "method 1": flags(whole, 4, 1),
        "deflated, it says": flags(whole, 4, 8), "bzip2, it says": flags(whole, 4, 12),
        "LZMA, it says": flags(whole, 4, 14),
        "sizes of 4 GB": flags(flags(whole, 14, 0xFFFFFFFE, "<I"), 18, 0xFFFFFFFE, "<I"),
        "sizes elsewhere": flags(flags(whole, 14, 0xFFFFFFFF, "<I"), 18, 0xFFFFFFFF, "<I"),
        "sizes of nothing": flags(flags(whole, 14, 0, "<I"), 18, 0, "<I"),
        "long names": flags(whole, 22, 0xFFFF), "no names": flags(whole, 22, 0),
        "list before the file": ended(16, 0xFFFFFFF0), "list at 0": ended(16, 0),
        "list of 4 GB": ended(12, 0xFFFFFFF0), "list of nothing": ended(12, 0),
        "60 000 parts": ended(10, 60_000, "<H"), "no parts": ended(10, 0, "<H"),
        "a comment promised": ended(20, 500, "<H"), "larger than there are": ended(16, 0xFFFFFFFF),
        "no list": whole[:listed], "list alone": whole[listed:], "end alone": whole[end:],
        "something before": b"#!/bin/sh\nexit\n" + whole, "twice": whole + whole,
        "an end behind": whole + b"PK\5\6" + bytes(18), "a comment with an end": archived(
            parts, comment=b"PK\5\6" + bytes(18)
        ),
        "a folder": archived({"folder/": b"", **parts}), "no array": archived({**parts, "a": b"b"}),
        "above": archived({**parts, "../above.npy": parts[first]}),
        "without a name": archived({**parts, ".npy": parts[first]}),
        "no parts at all": archived({}), "an empty file": b"", "no archive": b"\0" * 1000,
        "an .npy": parts[first], "gzipped": gzip.compress(whole), "a pickle": pickle.dumps(Planted()),
    }  # fmt: skip


def fine(parts: dict[str, bytes]) -> dict[str, bytes]:
    """Archives that others may write."""
    return {
        "a comment": archived(parts, comment=b"made by hand"),
        "a long comment": archived(parts, comment=b"a" * 65535),
        "deflated": archived(parts, zipfile.ZIP_DEFLATED), "bzip2": archived(parts, zipfile.ZIP_BZIP2),
        "LZMA": archived(parts, zipfile.ZIP_LZMA),
    }  # fmt: skip


@pytest.mark.parametrize("reader", ARCHIVES, **ids)
def test_archives_as_nobody_writes_them_are_refused_or_read(reader: Reader):
    reader.make()
    tally, path = Tally(), reader.path()
    parts = parts_of(path)
    for about, content in fine(parts).items():
        path.write_bytes(content)
        assert tally.tried(reader.read, about), about
    for about, content in crafted(parts).items():
        path.write_bytes(content)
        tally.tried(reader.read, about)
    path.unlink()
    assert not tally.tried(reader.read, "no file")
    path.mkdir()
    assert not tally.tried(reader.read, "a folder")
    assert not list(Path().rglob("planted"))
    tally.tell(f"{reader.name}, archives made by hand")


def test_a_dictionary_of_gigabytes_is_not_made():
    """LZMA says beforehand how much memory it wants."""
    write_npz()
    packed = bytearray(archived(parts_of(Path("data.npz")), zipfile.ZIP_LZMA))
    at = packed.index(b"\x05\x00\x5d")  # the size of the properties, and the first of them
    struct.pack_into("<I", packed, at + 3, 0xFFFFFFFF)
    Path("data.npz").write_bytes(packed)
    Tally().tried(lambda: data.load("data.npz"), "LZMA")


# ---- IDX ----------------------------------------------------------------------------------------

IDX = {
    "more than there are numbers for": struct.pack(">I3I", 0x803, *[2**32 - 1] * 3),
    "petabytes": struct.pack(">I3I", 0x803, 2**31, 2**10, 2**10) + bytes(50),
    "no images of any size": struct.pack(">I3I", 0x803, 0, 2**32 - 1, 2**32 - 1),
    "many images of nothing": struct.pack(">I3I", 0x803, 2**32 - 1, 0, 2),
    "as many images of nothing": struct.pack(">I3I", 0x803, 9, 0, 0),
    "doubles": struct.pack(">I3I", 0xE03, 9, 2, 2) + bytes(288),
    "255 dimensions": struct.pack(">I255I", 0x8FF, *[1] * 255) + bytes(1),
    "other bytes first": struct.pack("<I3I", 0x803, 9, 2, 2) + bytes(36),
    "a header alone": struct.pack(">I", 0x803), "nothing": b"", "text": b"<html>404</html>",
}  # fmt: skip


def packed(content: bytes) -> dict[str, bytes]:
    """A file gzipped in strange ways."""
    whole = gzip.compress(content, mtime=0)
    return {
        "gzipped": whole, "in two": gzip.compress(content[:9]) + gzip.compress(content[9:]),
        "gzipped twice": gzip.compress(whole), "zeros behind": whole + bytes(99),
        "garbage behind": whole + b"garbage", "no end": whole[:-8], "another CRC": whole[:-8] + bytes(8),
        "method 9": whole[:2] + b"\x09" + whole[3:], "all flags": whole[:3] + b"\xff" + whole[4:],
        "the mark alone": whole[:2], "zlib": zlib.compress(content),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"])
def test_idx_files_made_by_hand_are_refused_or_read(name: str):
    idx_folder()
    tally, path = Tally(), Path("idx", f"{name}.gz")
    good = gzip.decompress(path.read_bytes())
    for about, content in (IDX | {"a good one": good}).items():
        for how, file in ({"plain": content} | packed(content)).items():
            path.write_bytes(file)
            tally.tried(lambda: data.load("mnist:idx"), (about, how))
    tally.tell(f"IDX ({name}), made by hand")


def test_what_unpacks_to_more_than_it_says_takes_no_memory():
    """One MB that is a GB: no more is unpacked than the header promises."""
    idx_folder()
    path = Path("idx/train-images-idx3-ubyte.gz")
    head = gzip.decompress(path.read_bytes())
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(1024):
            file.write(bytes(1 << 20))
    assert not Tally().tried(lambda: data.load("mnist:idx"), "a bomb")


# ---- values -------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 2, 63, 2**31, 2**63, 2**64, 10**30, -(10**30), 10**4000, 1.0, 1.5, -0.0,
    1e308, math.nan, math.inf, -math.inf, "", "x", "1", "\0", "\ud800", "~nobody-of-that-name/x.npz",
    "a" * 5000, "mnist:" + "a" * 300, "digits", "a" * 300 + ".npz", [], [[]], [1, [2, [3]]], [None],
    [math.nan], ["a", "a"], [True, 1], [2**70, 0], ["\ud800", "no"], {}, {"a": {}}, {"kind": "bits"},
    nested(90), nested(400), nested(900),
]  # fmt: skip
"""Values in the place of others."""
MISSING = object()


def changed(values: Any, replacements: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """JSON values with one of them changed or missing, and which; of a list the first and the last."""
    replacements = list(replacements)
    for way in _ways(values):
        for new in replacements:
            copy = json.loads(json.dumps(values))
            if not way:
                if new is not MISSING:
                    yield f"it is {_shown(new)}", new
                continue
            inner = copy
            for step in way[:-1]:
                inner = inner[step]
            if new is MISSING:
                del inner[way[-1]]
            else:
                inner[way[-1]] = new
            yield f"{way} is {_shown(new)}", copy


def _ways(values: Any) -> Iterator[tuple[Any, ...]]:
    yield ()
    if isinstance(values, dict):
        inner: Iterable[Any] = values.items()
    elif isinstance(values, list):
        inner = {0: values[0], len(values) - 1: values[-1]}.items() if values else ()
    else:
        inner = ()
    for step, value in inner:
        yield from ((step, *way) for way in _ways(value))


def _shown(value: Any) -> str:
    if value is MISSING:
        return "missing"
    try:
        return repr(value)[:60]
    except (RecursionError, ValueError):
        return f"a {type(value).__name__} of many"


def dumped(value: Any) -> str:
    """JSON, of numbers of more digits than Python likes to print, too."""
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value)
    finally:
        sys.set_int_max_str_digits(digits)


def thinned(cases: Iterable[tuple[str, Any]], long: bool, most: int) -> list[tuple[str, Any]]:
    """So many of the cases, drawn at random, or all."""
    every = list(cases)
    return every if long or len(every) <= most else random.Random(1).sample(every, most)


CODINGS = {
    "bits": Bits(4).to_dict(),
    "thermometer": Thermometer(2, (0, 0, 1, 1), (-0.5, 0.5, 0.0, 1.0)).to_dict(),
    "projection": Projection(4, 4, 7, (0.25,), (1.0, 2.0, 1.0, 1.0), shift=0.5).to_dict(),
    "version 0.1, levels": {"levels": [0.0]},
    "version 0.1, projection": {"bits": 4, "seed": 1, "centre": 0.0},
}


@pytest.mark.parametrize("coding", CODINGS)
def test_whatever_a_machine_says_of_itself_predict_refuses_it_or_predicts(coding: str, long: bool):
    """Its configuration, its registers, its labels and its coding: other values in their place."""
    x, tally = np.ones((24, 2)) if coding == "thermometer" else bits()["x"], Tally()
    write_npz(x=x, x_test=x[:6])
    if coding == "bits":  # of which a part is to be held out: the seed matters
        np.savez("data.npz", x=bits()["x"], y=bits()["y"])
    machine(coding=CODINGS[coding])
    path, parts = Path("machine.npz"), parts_of(Path("machine.npz"))
    command("predict", "machine.npz")
    texts = {n: json.loads(str(np.load(path)[n])) for n in ("config", "registers", "extra")}
    if coding != "bits":
        texts = {"extra": texts["extra"]}
    for name, values in texts.items():
        for about, new in thinned(changed(values, [*STRANGE, MISSING]), long, 100):
            if about.startswith("('coding', 'shift') is -"):
                continue  # a test of its own, below
            text = np.array(dumped(new))
            path.write_bytes(archived(parts | {f"{name}.npy": npy(text)}))
            tally.tried(predicted, (name, about))
            tally.tried(lambda: predicted(whole=True), (name, about, "--data"))
    tally.tell(f"machines (coding: {coding}) with other values, by predict")


def test_a_machine_with_planes_less_than_nowhere_apart_is_refused():
    write_npz()
    machine(coding=CODINGS["projection"] | {"shift": -1.0})
    with pytest.raises(RelaxonError):
        predicted()


def test_whatever_a_run_says_of_itself_resume_refuses_it_or_goes_on(
    long: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("relaxon.report.draw_run", lambda *_: None)
    write_npz()
    run()
    tally, path = Tally(), Path("run/checkpoint.npz")
    whole, parts = path.read_bytes(), parts_of(path)
    extra = json.loads(str(np.load(path)["extra"]))
    resumed()
    for about, new in thinned(changed(extra, [*STRANGE, MISSING]), long, 100):
        path.write_bytes(archived(parts | {"extra.npy": npy(np.array(dumped(new)))}))
        if tally.tried(lambda: resume.load(path), about) and not _takes_long(path):
            tally.tried(resumed, about)
    path.write_bytes(whole)
    resumed()
    tally.tell("runs with other values, by resume.load and resume")


def _takes_long(path: Path) -> bool:
    """Whether a run is of very many epochs, as it may be."""
    return resume.load(path).plan.epochs > 9


@pytest.mark.parametrize("name", ["state", "prediction", "right", "slices", "test_prediction"])
def test_whatever_arrays_a_run_has_resume_refuses_it_or_goes_on(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("relaxon.report.draw_run", lambda *_: None)
    write_npz()
    run()
    tally, path = Tally(), Path("run/checkpoint.npz")
    parts = parts_of(path)
    good = np.load(path)[name]
    own = {
        kind: good.astype(kind) for kind in ("i1", "u1", "i8", "u8", "f8", "?", "U3", "S3", "M8[s]")
    }  # fmt: skip
    shapes = {"flat": good.ravel(), "one more": good[None], "none": good[:0], "half": good[::2]}
    most = {"most": np.full(good.shape, 127, np.int8), "least": np.full(good.shape, -128, np.int8)}
    for about, array in (ARRAYS | own | shapes | most).items():
        path.write_bytes(archived(parts | {f"{name}.npy": npy(array)}))
        if tally.tried(lambda: resume.load(path), about):
            tally.tried(resumed, (name, about))
    tally.tell(f"runs with another {name}, by resume.load and resume")


def test_whatever_arrays_a_recorded_run_has_verify_refuses_it_or_compares():
    tally, path = Tally(), Path("recorded.npz")
    recorded()
    parts = parts_of(path)
    for name in parts:
        good = np.load(path)[name.removesuffix(".npy")]
        if good.dtype.kind == "U" or not good.ndim:
            continue
        other = {"flat": good.ravel(), "one more": good[None], "none": good[:0], "one": good.flat[0]}
        other |= {"doubles": good + 0.0, "text": good.astype("U")}
        for about, array in (ARRAYS | other).items():
            if name == "prediction_after.npy" and not np.ndim(array):
                continue  # a test of its own, below
            Path("other.npz").write_bytes(archived(parts | {name: npy(array)}))
            tally.tried(replayed, (name, about))
    tally.tell("recorded runs with other arrays, by verify")


def test_a_recorded_run_with_one_number_for_predictions_is_refused():
    recorded(prediction_after=np.array(1))
    with pytest.raises(RelaxonError):
        command("verify", "recorded.npz")


@pytest.mark.parametrize("git", [[], {}])
def test_a_point_made_by_what_is_no_text_is_refused(git: Any):
    point()
    path = swept().file(POINT)
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"made_by": {"board": "model", "git": git}}))
    with pytest.raises(RelaxonError):
        read_point()


def test_whatever_a_point_says_it_is_refused_or_read(long: bool):
    point()
    tally, path = Tally(), swept().file(POINT)
    kept = json.loads(path.read_text())
    texts = [
        (about, dumped(new)) for about, new in changed(kept, [*STRANGE, MISSING])
        if "'git'" not in about or "[" not in about[20:] and "{" not in about  # a test of its own, above
    ]  # fmt: skip
    texts += [(f"{depth} brackets", "[" * depth) for depth in (10, 990, 100_000)]
    texts += [("many digits", path.read_text().replace("320", "9" * 5000)), ("twice", "{}{}")]
    for about, text in thinned(texts, long, 700):
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        tally.tried(read_point, about)
    path.unlink()
    path.mkdir()
    tally.tried(read_point, "a folder")
    tally.tell("points with other values")


# ---- what is written comes back -----------------------------------------------------------------

LABELS = ["[unk]", 'say "no", then go', "two\nlines", " spaces ", "", "é × ✓", "'", "=1+1", "[/b]", "\t"]


def test_predictions_in_csv_come_back_with_the_labels_that_they_had():
    config = CONFIG.replace(classes=len(LABELS))
    rng = np.random.default_rng(0)
    x = rng.choice([-1, 1], (200, 4)).astype(np.int8)
    y = np.array(LABELS)[rng.integers(0, len(LABELS), 200)]
    np.savez("data.npz", x=x, y=y)
    known = Encoder(Bits(4), tuple(sorted(LABELS)))
    checkpoint.save("machine.npz", config, random_couplings(config, seed=1), **known.to_dict())
    command("predict", "machine.npz", "--data", "data.npz", "--out", "p.csv")
    with open("p.csv", newline="", encoding="utf-8") as file:
        first, *rows = csv.reader(file)
    board = ModelBoard(config)
    board.load(random_couplings(config, seed=1))
    predicted = known.named(board.infer(x).prediction).tolist()
    assert first == ["index", "predicted", "label"]
    assert rows == [[str(n), p, t] for n, (p, t) in enumerate(zip(predicted, y.tolist()))]
    assert len(set(predicted)) > 2


def test_any_text_in_a_table_comes_back(long: bool):
    rng = random.Random(1)
    alphabet = 'ab,"\n\r;\t\'[]=\\é×\u2028\x0b\x1c\x85\ufeff\U0001f600 '
    rows = [
        ["".join(rng.choices(alphabet, k=rng.randrange(6))) for _ in range(3)]
        for _ in range(50_000 if long else 2000)
    ]
    write_csv(Path("table.csv"), ("a", "b,c", '"'), rows)
    with open("table.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["a", "b,c", '"'], *rows]
    print(f"\n{len(rows):,} lines of CSV came back")
