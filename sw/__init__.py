"""Relaxon: open hardware that learns without backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relaxon.board import Board, Outcomes
from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.errors import RelaxonError
from relaxon.settings import Settings

if TYPE_CHECKING:
    from relaxon.classifier import RelaxonClassifier

__all__ = [
    "Board",
    "Config",
    "Couplings",
    "Outcomes",
    "Registers",
    "RelaxonClassifier",
    "RelaxonError",
    "Settings",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The estimator on first use: scikit-learn takes a second to import."""
    if name == "RelaxonClassifier":
        from relaxon.classifier import RelaxonClassifier

        return RelaxonClassifier
    raise AttributeError(f"module 'relaxon' has no attribute {name!r}")
