"""Coverage of the generated RTL: lines, branches and toggles, and the state machines' transitions.

    component ─▶ Verilog with cover points ─▶ Verilator --coverage ─▶ board ─▶ workload ─▶ counts

Verilator counts how often each block of statements was executed, each branch was taken, each bit of
each signal rose and fell. Instances of one module are counted as one.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from relaxon.hw.verilog import emit
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.testbench.fsm import StateMachine, Transition, Watched, covered, transition
from relaxon.sim.verilate import Progress, library_of

TOP = "top.component"
"""What the names of all modules but the top begin with."""
KINDS = {"line": "line", "branch": "line", "toggle": "toggle"}
"""Verilator's kinds of points, and what they count for here."""

_ENCODED = re.compile(r"__0([0-9A-F]{2})", re.IGNORECASE)
_BIT = re.compile(r"(?P<name>.*?)(?P<bit>(?:\[\d+\])*)(?P<edge>:[01]->[01])?$")


@dataclass(frozen=True)
class Point:
    """Something that should happen.

    Attributes
    ----------
    kind
        "line", "toggle" or "user".
    module
        The path of its module, of the first instance if there are several; "" for the top.
    signal
        The name of the signal; of a line: what it is of, such as "if" or "else".
    place
        Line and column in the Verilog; of a toggle: bit and edge.
    """

    kind: str
    module: str
    signal: str
    place: str


def read(path: Path) -> Counter[Point]:
    """The points of a file that Verilator wrote, and how often each happened."""
    counts: Counter[Point] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("C '"):
            continue
        keys, _, count = line[3:].rpartition("' ")
        values = dict(pair.split("\2", 1) for pair in keys.split("\1") if pair)
        kind = values["t"]
        module = _decoded(values["page"].partition("/")[2])
        module = module.removeprefix(TOP).removeprefix(".") if module != "top" else ""
        name, place = _decoded(values["o"]), f"{values['l']}:{values['n']}"
        if kind == "toggle":
            match = _BIT.match(name)
            assert match is not None
            name, place = match["name"], f"{match['bit']}{match['edge'] or ''}"
        counts[Point(KINDS.get(kind, kind), module, name, place)] += int(count)
    return counts


def _decoded(name: str) -> str:
    """A name as the Verilog has it."""
    return _ENCODED.sub(lambda code: chr(int(code[1], 16)), name)


class CoveredCore:
    """A core (any component with `relaxon.hw.core.MEMBERS`), compiled so that it counts.

    Attributes
    ----------
    machines
        Its state machines, as declared.
    verilog
        What the line numbers of points are of.
    counts
        Of all boards of it that are closed.
    """

    def __init__(self, component, *, progress: Progress | None = None):
        watched = Watched(component)
        self.verilog = covered(emit(watched, reset=False, spoil=True), watched.machines)
        self.machines: list[StateMachine] = watched.machines
        self.counts: Counter[Point] = Counter()
        self._path = library_of(self.verilog, progress=progress, coverage=True)

    def board(self, *, interval: int = 1, wire: Callable[[bytes], bytes] = bytes) -> CoveredBoard:
        """A board at power-up; `wire` turns what is written into what it gets."""
        return CoveredBoard(self, self._path, interval, wire)

    def transitions(self) -> dict[str, Counter[Transition]]:
        """For each machine's path, how often the clock saw it in one state and then another."""
        seen: dict[str, Counter[Transition]] = {m.path: Counter() for m in self.machines}
        for point, count in self.counts.items():
            found = transition(point.signal, self.machines) if point.kind == "user" else None
            if found is not None:
                machine, step = found
                seen[machine.path][step] += count
        return seen


class CoveredBoard(SimulatedTransport):
    """A board that gives its counts to its core when it is closed."""

    def __init__(
        self, core: CoveredCore, path: Path, interval: int, wire: Callable[[bytes], bytes]
    ):
        super().__init__(path=path, interval=interval)
        self._wire = wire
        self._core, self._counts = core, path.with_name(f"coverage-{id(self)}.dat")
        write = self._library.relaxon_write_coverage
        write.argtypes, write.restype = [ctypes.c_void_p, ctypes.c_char_p], None
        self._write_coverage = write

    def write(self, data: bytes) -> None:
        super().write(self._wire(data))

    def close(self) -> None:
        if self._free.alive:
            self._write_coverage(self._board, str(self._counts).encode())
            self._core.counts.update(read(self._counts))
            self._counts.unlink()
        super().close()


@dataclass(frozen=True)
class Exclusion:
    """Points that need not happen.

    Parameters
    ----------
    why
        The reason.
    module, signal
        Regular expressions for the whole of a point's path and signal.
    place
        Likewise for bits and edges.
    kind
        "line" or "toggle".
    """

    why: str
    module: str = ".*"
    signal: str = ".*"
    place: str = ".*"
    kind: str = "toggle"

    def covers(self, point: Point) -> bool:
        """Whether the point is one of them."""
        return (
            point.kind == self.kind
            and re.fullmatch(self.module, point.module) is not None
            and re.fullmatch(self.signal, point.signal) is not None
            and re.fullmatch(self.place, point.place) is not None
        )


@dataclass
class Tally:
    """Points of one kind: how many there are, happened, and need not; the others by signal."""

    points: int = 0
    happened: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def wanted(self) -> int:
        """Points that must happen."""
        return self.points - self.excluded.total()

    @property
    def share(self) -> float:
        """How much of what must happen did, in percent."""
        return 100 * self.happened / max(1, self.wanted)


def tally(
    counts: Counter[Point], kind: str, exclusions: Iterable[Exclusion]
) -> Tally:
    """Count the points of a kind; one that happens although it need not is not excluded."""
    result, exclusions = Tally(), list(exclusions)
    for point, count in _of_kind(counts, kind):
        result.points += 1
        if count:
            result.happened += 1
            continue
        reason = next((e.why for e in exclusions if e.covers(point)), None)
        if reason is None:
            result.missing[point.module, point.signal] += 1
        else:
            result.excluded[reason] += 1
    return result


def _of_kind(counts: Counter[Point], kind: str) -> Iterator[tuple[Point, int]]:
    return ((point, count) for point, count in counts.items() if point.kind == kind)
