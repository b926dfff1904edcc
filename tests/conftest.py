"""Fixtures that every test may use."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest
from recorded import GOLDEN, Recorded

if TYPE_CHECKING:
    from dask.distributed import Client

ROOT = Path(__file__).parent.parent
DATASETS = ROOT.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="run soak, fuzz, fault and proof tests in full size"
    )


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether tests that come in two sizes run in their large one (`make soak` and its like)."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def lacking(long: bool) -> Callable[[str], NoReturn]:
    """To be called with what this computer lacks for a test: skips it; fails it if it is to run long."""
    return pytest.fail if long else pytest.skip


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Recorded:
    """Every recorded run of `tests/golden` in turn."""
    return Recorded.load(request.param)


@pytest.fixture
def tiny() -> Recorded:
    """The smallest recorded run: one module of 8 neurons, 5 inputs, 3 classes, 300 samples."""
    return Recorded.load(GOLDEN[0].with_name("tiny-h8-n5.npz"))


@pytest.fixture(scope="session")
def data_folder(lacking: Callable[[str], NoReturn]) -> Path:
    """A folder with ``mnist`` and ``fashion-mnist`` in IDX files, beside the repository."""
    if not DATASETS.is_dir():
        lacking("no dataset folder ../shared/data beside the repository")
    return DATASETS


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The datasets where they lie; elsewhere scikit-learn's digits of 8 × 8 in their place, each
    pixel four times as wide and high, over and over, in the same files: a smoke form asks no more."""
    if DATASETS.is_dir():
        return DATASETS
    from sklearn.datasets import load_digits

    from relaxon.experiments.lab import VALIDATION

    digits = load_digits()
    x = np.kron(digits.images.astype(np.uint8), np.ones((1, 4, 4), np.uint8))[:, 2:30, 2:30] * 15
    y = digits.target.astype(np.uint8)
    for name in ("mnist", "fashion-mnist"):
        folder = tmp_path_factory.getbasetemp() / "data" / name
        folder.mkdir(parents=True)
        for part, many in (("train", VALIDATION + 1000), ("t10k", 500)):
            rows = np.arange(many) % len(x)
            for kind, array in (("images-idx3", x[rows]), ("labels-idx1", y[rows])):
                header = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
                (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return folder.parent


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of dask, with one worker."""
    from relaxon.experiments import sweep
    from relaxon.experiments.lab import Lab

    with sweep.workers(Lab(), count=1) as client:
        yield client
