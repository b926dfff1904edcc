"""What a machine takes of an FPGA, from its elaborated gateware, before any synthesis.

Memories are counted exactly, by the rules with which Yosys maps them. Flip-flops are the bits of
the registers. LUTs are estimated: every operation of the gateware costs what it takes in LUTs of four
inputs, and a factor for each family makes up for what sharing and optimisation change; measured over
the builds in ``boards/reports`` it is right within `LUT_ERROR`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Const, Fragment, Instance
from amaranth.hdl._ast import (
    Assign,
    Concat,
    Operator,
    Part,
    SignalSet,
    Slice,
    Switch,
    SwitchValue,
)
from amaranth.hdl._mem import MemoryInstance

from relaxon.boards.parts import FamilyName
from relaxon.config import Config
from relaxon.hw.top import Top

LUT_FACTOR = {"ecp5": 1.03, "gowin": 1.0, "ice40": 0.7}
"""LUTs, or adders' cells, for each that an operation costs."""
FF_FACTOR = 1.08
"""What synthesis adds to the registers: read ports of memories in LUTs, copies, lights."""
DISTRIBUTED = {"ecp5": 6, "gowin": 4, "ice40": 0}
"""LUTs that a memory of 16 × 4 bits occupies."""
LUT_ERROR = 0.15

BLOCK_COST = {"ecp5": 128, "gowin": 128, "ice40": 64}
"""What Yosys' libraries of memories say a block RAM costs, where 16 × 4 bits in LUTs cost 4."""
SELECT_COST = 0.5
"""… what choosing between two memories takes, for a bit …"""
LOGIC_COST = 1.0
"""… and a bit in a flip-flop …"""
ROM_COST = 1 / 16
"""… or, where it is never written, in LUTs."""


@dataclass(frozen=True)
class Memory:
    """A memory of the gateware: its size, and its read ports; it has one write port or none.

    Where it has two read ports, the first shares an address with the write port.
    """

    name: str
    width: int
    depth: int
    reads: int
    enables: int = 1
    """Equal parts of a word that are written by themselves; 0 where it is never written."""
    block: bool = False
    """It says itself that it wants block RAM."""


@dataclass
class Area:
    """What a machine takes, family by family (`of`)."""

    memories: list[Memory] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    operations: float = 0.0
    registers: int = 0

    def of(self, family: FamilyName) -> dict[str, int]:
        """Resources by `relaxon.boards.parts.RESOURCES`: RAM and SPRAM exact, LUT and FF estimates.

        On an iCE40 a logic cell has one LUT and one flip-flop, which need not belong together: the
        estimate of LUTs is of cells.
        """
        rams = sum(blocks(family, memory) for memory in self.memories)
        spread = sum(
            distributed(memory)
            for memory in self.memories
            if memory.enables and not blocks(family, memory)
        )
        registers = FF_FACTOR * self.registers
        logic = LUT_FACTOR[family] * self.operations
        found = {
            "LUT": round(logic + DISTRIBUTED[family] * spread),
            "FF": round(registers),
            "RAM": rams + self.instances.count("SB_RAM40_4K"),
        }
        if family == "ice40":
            found["SPRAM"] = self.instances.count("SB_SPRAM256KA")
            del found["FF"]
        return found


@lru_cache(maxsize=64)
def of_machine(config: Config, part: str) -> Area:
    """The area of a machine with its link, as it is elaborated for a part of that name."""
    return of_component(Top(config, clock_hz=50_000_000, baud=1_000_000, self_test=0), part)


def of_component(component: Any, part: str) -> Area:
    """The area of any component."""
    area, seen = Area(), _Operations()
    platform = SimpleNamespace(device=part)
    for path, fragment in _fragments(Fragment.get(component, platform), ()):
        if isinstance(fragment, MemoryInstance):
            reads, writes = fragment._read_ports, fragment._write_ports
            area.memories.append(
                Memory(
                    name=".".join(path), width=len(reads[0]._data), depth=fragment._data.depth,
                    reads=len(reads), enables=len(writes[0]._en) if writes else 0,
                    block=fragment._attrs.get("ram_style") == "block",
                )
            )  # fmt: skip
        elif isinstance(fragment, Instance):
            area.instances.append(fragment.type)
        else:
            for domain, statements in fragment.statements.items():
                seen.count(statements, conditional=False)
                if domain != "comb":
                    driven = SignalSet()
                    for statement in statements:
                        driven.update(statement._lhs_signals())
                    area.registers += sum(len(signal) for signal in driven)
    area.operations = seen.luts
    return area


def _fragments(fragment: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, fragment
    if not isinstance(fragment, MemoryInstance | Instance):
        for inner, name, *_ in fragment.subfragments:
            yield from _fragments(inner, (*path, str(name)))


# ---- memories -----------------------------------------------------------------------------------

@dataclass(frozen=True)
class Shape:
    """A width and depth of a block RAM; `byte` bits of a word are written by themselves, if any."""

    width: int
    depth: int
    byte: int | None = None

    def rows(self, memory: Memory) -> int:
        """Of them, between which a memory chooses."""
        return ceil(memory.depth / self.depth)

    def count(self, memory: Memory) -> int:
        """Block RAMs of this shape that a memory takes, of one read port."""
        part = memory.width // max(1, memory.enables)
        if memory.enables <= 1:
            across = ceil(memory.width / self.width)
        elif self.byte is None or self.byte > self.width:  # every part has its own
            across = memory.enables * ceil(part / self.width)
        else:
            across = ceil(memory.enables * ceil(part / self.byte) * self.byte / self.width)
        return across * self.rows(memory)


NARROW = tuple(Shape(w, d, 9) for w, d in ((18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)))
SIMPLE = {
    "ecp5": (Shape(36, 512), *NARROW),
    "gowin": (Shape(36, 512, 9), *NARROW),
    "ice40": (Shape(16, 256, 1), Shape(8, 512), Shape(4, 1024), Shape(2, 2048)),
}
"""Block RAMs that are read at one port and written at another."""
TRUE_DUAL: dict[str, tuple[Shape, ...]] = {"ecp5": NARROW, "gowin": NARROW, "ice40": ()}
"""… and with two ports that both read, of which one also writes."""


def blocks(family: FamilyName, memory: Memory) -> int:
    """Block RAMs that Yosys makes of a memory; 0 where it puts it into LUTs or flip-flops."""
    choices = [(memory.reads * shape.count(memory), shape) for shape in SIMPLE[family]]
    if memory.reads == 2:
        choices += [(shape.count(memory), shape) for shape in TRUE_DUAL[family]]

    def cost(choice: tuple[int, Shape]) -> float:
        count, shape = choice
        selected = memory.reads * memory.width + memory.enables
        return BLOCK_COST[family] * count + SELECT_COST * selected * (shape.rows(memory) - 1)

    cheapest = min(choices, key=cost)
    count = cheapest[0]
    if memory.block:
        return count
    if memory.enables == 0:
        other = ROM_COST * memory.width * memory.depth
        return count if cost(cheapest) < other else 0
    other = LOGIC_COST * memory.width * memory.depth
    if family != "ice40":
        selects = memory.reads * memory.width * (ceil(memory.depth / 16) - 1)
        other = min(other, 4 * distributed(memory) + SELECT_COST * selects)
    return count if cost(cheapest) < other else 0


def distributed(memory: Memory) -> int:
    """16 × 4 memories in LUTs that a memory takes, which have one read port each."""
    return memory.reads * ceil(memory.width / 4) * ceil(memory.depth / 16)


# ---- logic --------------------------------------------------------------------------------------


class _Operations:
    """Adds up the LUTs of operations, each object once."""

    def __init__(self) -> None:
        self.luts = 0.0
        self._seen: dict[int, Any] = {}

    def count(self, statements: Any, *, conditional: bool) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                self._value(statement.rhs)
                if conditional:  # a multiplexer, of which a LUT has half the inputs
                    self.luts += len(statement.lhs) / 2
            elif isinstance(statement, Switch):
                self._value(statement.test)
                for case in statement.cases:
                    self.count(case[1], conditional=True)

    def _value(self, value: Any) -> None:
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value  # kept alive, so that no other gets its id
        for operand in _operands(value):
            self._value(operand)
        self.luts += _luts(value)


def _operands(value: Any) -> list[Any]:
    if isinstance(value, Operator):
        return list(value.operands)
    if isinstance(value, Slice):
        return [value.value]
    if isinstance(value, Part):
        return [value.value, value.offset]
    if isinstance(value, Concat):
        return list(value.parts)
    if isinstance(value, SwitchValue):
        return [value.test, *(case[1] for case in value.cases)]
    return []


def _luts(value: Any) -> float:
    """LUTs of four inputs of one operation, its operands not counted."""
    if isinstance(value, Part):
        return len(value) * (ceil(len(value.value) / value.stride) - 1) / 2
    if isinstance(value, SwitchValue):
        return len(value) * (len(value.cases) - 1) / 2
    if not isinstance(value, Operator):
        return 0.0
    operator, operands = value.operator, value.operands
    width = max(len(value), *(len(operand) for operand in operands))
    if operator in ("-", "+", "~"):
        return float(width) if len(operands) == 2 else 0.0
    if operator in ("<", "<=", ">", ">=", "m"):
        return float(width)
    if operator in ("==", "!="):
        return width / 4 if any(isinstance(operand, Const) for operand in operands) else width / 2
    if operator in ("&", "|", "^"):
        return width / 2
    if operator in ("b", "r&", "r|", "r^"):
        return width / 4
    if operator in ("<<", ">>") and not isinstance(operands[1], Const):
        return len(value) * len(operands[1]) / 2
    return 0.0  # wires and multipliers, which have hardware of their own
