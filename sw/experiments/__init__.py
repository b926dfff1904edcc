"""The science, repeated on the chip's own arithmetic: ``relaxon experiment NAME``.

An experiment is a module of this package, one question each. It lists its *points* (what is varied,
with every seed), measures one point on any board, and makes a table, a figure and a one-line verdict
of all of them:

==================  =========================================================================
``points(form)``    the points of a `Form`, each a dict of plain values; its key is their hash.
                    What is under ``told`` only names the point in tables and figures: points that
                    differ in nothing else are measured once
``measure(point, lab)``  the figures of one point, a dict, or a list of them; whole numbers and
                    ratios of whole numbers, so that every board must come to the same ones
``table(frame)``    what the tidy frame (a row for each measured dict) comes to, small
``draw(frame, figure)``  the figure
``counts(frame)``   how many samples or networks it is of, to be written below the figure
``verdict(frame)``  what was found, in a line
==================  =========================================================================

The first line of a module's docstring is its question; the rest says how it is answered.
`relaxon.experiments.sweep` runs the points in parallel and keeps what is finished.
"""

from __future__ import annotations

import ast
import enum
import hashlib
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from relaxon.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from relaxon.experiments.lab import Lab

NAMES = (
    "size", "codes", "formats", "ablation", "chain", "modules", "fixed-points", "kicks", "entropy",
    "capacity", "stability", "continual", "few-shot", "search", "presets",
)  # fmt: skip
"""All experiments, in the order of docs/results.md."""

Point = dict[str, Any]
Figures = dict[str, Any]
TOLD = "told"
"""The value of a point that holds its names, and decides nothing."""


class Form(enum.StrEnum):
    """How much of an experiment is run."""

    SMOKE = "smoke"
    """A few points of seconds each, to see that everything works."""
    QUICK = "quick"
    """All experiments within a quarter of an hour on two cores; the shape of the results."""
    FULL = "full"
    """What docs/results.md reports."""

    def of(self, smoke: Any, quick: Any, full: Any) -> Any:
        """What this form takes of the three."""
        return {Form.SMOKE: smoke, Form.QUICK: quick, Form.FULL: full}[self]


class Script(Protocol):
    """What a module of this package offers."""

    __file__: str

    def points(self, form: Form) -> list[Point]: ...

    def measure(self, point: Point, lab: Lab) -> Figures | list[Figures]: ...

    def table(self, frame: DataFrame) -> DataFrame: ...

    def draw(self, frame: DataFrame, figure: Figure) -> None: ...

    def counts(self, frame: DataFrame) -> str: ...

    def verdict(self, frame: DataFrame) -> str: ...


def find(name: str) -> Script:
    """The experiment of that name. `ConfigError` if there is none."""
    if name not in NAMES:
        raise ConfigError(f"experiment must be one of {', '.join(NAMES)}, all or list, not {name!r}")
    module = importlib.import_module(f"relaxon.experiments.{name.replace('-', '_')}")
    return cast(Script, module)


def explained(script: Script) -> str:
    """The docstring of its module, read from the source: Python can be told to leave them out."""
    return ast.get_docstring(ast.parse(Path(script.__file__).read_text(encoding="utf-8"))) or ""


def question(script: Script) -> str:
    """What it asks: the first line of its docstring."""
    return explained(script).partition("\n")[0]


def bare(point: Point) -> Point:
    """What decides a point's figures: all of it but what is told."""
    return {name: value for name, value in point.items() if name != TOLD}


def key(point: Point) -> str:
    """The name of a point: a hash of all that decides its figures, whatever the order."""
    return hashlib.sha256(json.dumps(bare(point), sort_keys=True).encode()).hexdigest()[:12]
