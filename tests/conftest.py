"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from recorded import GOLDEN, Recorded

ROOT = Path(__file__).parent.parent


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
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        lacking("no dataset folder ../shared/data beside the repository")
    return folder
