"""Functional coverage: what a testbench must have seen, declared beforehand, and how often it has.

Inside a simulator::

    seen = Coverage("scanner", "no bit", "one bit", "all bits")
    ...
    seen.hit("one bit", when=mask.bit_count() == 1)

Every process writes its counts when it ends, where `COUNTS` names a folder; `gathered` adds up what all
of them wrote.
"""

from __future__ import annotations

import atexit
import json
import os
import uuid
from collections import Counter
from pathlib import Path

COUNTS = "RELAXON_COVERAGE"
"""The environment variable that names the folder for counts; without it, none are written."""

Bins = dict[str, dict[str, int]]
"""Group, bin, how often it was hit."""


class Coverage:
    """A group of bins.

    Parameters
    ----------
    group
        Its name; groups of the same name, in this or another testbench, are one.
    bins
        What must be seen.
    """

    def __init__(self, group: str, *bins: str):
        self.group = group
        self._counts = Counter(dict.fromkeys(bins, 0))
        folder = os.environ.get(COUNTS)
        if folder:
            atexit.register(self._write, Path(folder))

    def hit(self, bin_: str, *, when: bool = True) -> None:
        """That this was seen, if it was. `KeyError` for a bin that was not declared."""
        if bin_ not in self._counts:
            raise KeyError(f"coverage group {self.group} declares no bin {bin_!r}")
        self._counts[bin_] += bool(when)

    @property
    def missing(self) -> list[str]:
        """Bins that were never hit."""
        return [name for name, count in self._counts.items() if not count]

    def _write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}.json"
        path.write_text(json.dumps({self.group: self._counts}))


def gathered(folder: Path) -> Bins:
    """The counts of all processes that wrote to this folder."""
    total: dict[str, Counter[str]] = {}
    for path in sorted(folder.glob("*.json")):
        for group, counts in json.loads(path.read_text()).items():
            into = total.setdefault(group, Counter())
            for name, count in counts.items():
                into[name] += count
    return {group: dict(counts) for group, counts in sorted(total.items())}
