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
from collections.abc import Iterable, Mapping
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
        if os.environ.get(COUNTS):
            _declared.append(self)

    def hit(self, bin_: str, *, when: bool = True) -> None:
        """That this was seen, if it was. `KeyError` for a bin that was not declared."""
        if bin_ not in self._counts:
            raise KeyError(f"coverage group {self.group} declares no bin {bin_!r}")
        self._counts[bin_] += bool(when)

    @property
    def missing(self) -> list[str]:
        """Bins that were never hit."""
        return [name for name, count in self._counts.items() if not count]

    def _taken(self) -> Counter[str]:
        """The counts, which begin anew."""
        counts, self._counts = self._counts, Counter(dict.fromkeys(self._counts, 0))
        return counts


_declared: list[Coverage] = []
"""The groups whose counts this process will write."""


@atexit.register
def write() -> None:
    """Write all that was counted and not written yet. Only where a process ends without Python's
    leave, such as a worker of a pool, must anybody call this."""
    total = _sum((group.group, group._taken()) for group in _declared)
    if total and os.environ.get(COUNTS):
        folder = Path(os.environ[COUNTS])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{uuid.uuid4().hex}.json").write_text(json.dumps(total))


def gathered(folder: Path) -> Bins:
    """The counts of all processes that wrote to this folder."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    total = _sum(group for file in files for group in file.items())
    return {group: dict(counts) for group, counts in sorted(total.items())}


def _sum(groups: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, Counter[str]]:
    """Groups of the same name in one."""
    total: dict[str, Counter[str]] = {}
    for group, counts in groups:
        into = total.setdefault(group, Counter())
        for name, count in counts.items():
            into[name] += count
    return total
