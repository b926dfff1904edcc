"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

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


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Recorded:
    """Every recorded run of `tests/golden` in turn."""
    return Recorded.load(request.param)


@pytest.fixture
def tiny() -> Recorded:
    """The smallest recorded run: one module of 8 neurons, 5 inputs, 3 classes, 300 samples."""
    return Recorded.load(GOLDEN[0].with_name("tiny-h8-n5.npz"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """A folder with ``mnist`` and ``fashion-mnist`` in IDX files, beside the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no dataset folder ../shared/data beside the repository")
    return folder
