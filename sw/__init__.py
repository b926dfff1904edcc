"""Relaxon: open hardware that learns without backpropagation."""

from __future__ import annotations

# Nothing is imported here, so that a program that begins with this package answers Ctrl-C at once.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from relaxon.board import Board, Outcomes
    from relaxon.classifier import RelaxonClassifier
    from relaxon.config import Config, Registers
    from relaxon.couplings import Couplings
    from relaxon.errors import RelaxonError
    from relaxon.settings import Settings

_PLACES = {
    "Board": "board", "Config": "config", "Couplings": "couplings", "Outcomes": "board",
    "Registers": "config", "RelaxonClassifier": "classifier", "RelaxonError": "errors",
    "Settings": "settings",
}  # fmt: skip
"""Public names, and the modules that have them."""

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
    """A public name, on first use: the package itself is there at once."""
    import importlib

    if name in _PLACES:
        found = getattr(importlib.import_module(f"relaxon.{_PLACES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'relaxon' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
