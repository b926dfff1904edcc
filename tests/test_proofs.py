"""What is proved of the gateware: the table of properties, and that planted faults are found.

``make proofs`` proves all of them and prints the table; `make test` those that take a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import properties_contracts as contracts
import properties_reads as reads
import pytest
from amaranth.lib.wiring import Component
from properties_contracts import UartIntoDecoder, WishboneIntoCore
from properties_events import EveryBitOnce
from properties_framing import NeverStuck, ParserRestarts, SameAfterDelimiter
from properties_memory import LaneSums, LearningColumns, LearningRows, Rubbish, StoreInMachine
from properties_streams import StreamRules
from properties_updates import CouplingUpdate, ReadoutUpdate, SerialReadoutUpdate

from relaxon.config import Config
from relaxon.errors import ToolError
from relaxon.hw.checksum import Checksum
from relaxon.hw.cluster import Cluster
from relaxon.hw.core import Core
from relaxon.hw.events import Scanner
from relaxon.hw.framing import CobsDecoder
from relaxon.hw.parallelreadout import ParallelReadout
from relaxon.hw.store import Updater
from relaxon.hw.streams import Stage
from relaxon.layout import Layout
from relaxon.sim.testbench import formal
from relaxon.sim.testbench.formal import Mode, NotProved, anyhow, local, print_table, prove

COLUMNS = ("property", "block", "parameters", "method", "result", "s")


def layout(**sizes: Any) -> Layout:
    return Layout(Config(**{"modules": 1, "neurons": 2, "inputs": 2, "classes": 2, "lanes": 2} | sizes))


SMALLEST, COLUMN = layout(), layout(store="column")


@dataclass(frozen=True)
class Proof:
    """A row of the table."""

    property: str
    block: str
    parameters: str
    component: Callable[[], Component]
    mode: Mode = "prove"
    depth: int = 6
    cover: int = 40
    """Cycles within which everything that the property speaks of must be seen to happen."""
    short: bool = False
    """Whether it is part of `make test`."""
    options: tuple[tuple[str, Any], ...] = ()
    anyhow: tuple[tuple[str, type], ...] = ()
    """Where a part is replaced by one that gives anything at any time, and which."""

    def __str__(self) -> str:
        return f"{self.property}: {self.block} {self.parameters}"


IN_RANGE = "update in range, ±1, only where it learns"
STAYS = "what a stream offers stays until taken"
ONCE = "every marked bit once, none else, in order"
STUCK = "never stuck, from any state"
RECOVERS = "its parser is as new after a delimiter, from any state"
KEEPS = "after a delimiter keeps what a new one keeps"
THERE = "what is read and used is what is there, whatever RAM gives"
STEPS = "update in range, ±step, only of classes that learn"
APART = "no word is read while written; only couplings of who learns change, by one"

RUBBISH = (("platform", Rubbish()), ("arrays", False))
FIELDS = (
    ("relaxon.hw.strip.Cluster", Cluster), ("relaxon.hw.machine.ParallelReadout", ParallelReadout)
)  # fmt: skip
PROOFS = [
    *(
        Proof(IN_RANGE, "Updater", f"W {bits} bits, J {own}",
              lambda bits=bits, own=own: CouplingUpdate(layout(weight_bits=bits, recurrent_bits=own)),
              depth=2, cover=2, short=bits == 8)
        for bits, own in ((3, 3), (8, 8), (16, 16), (8, 5), (4, 9))
    ),
    Proof(STAYS, "Stage", "", contracts.stage, short=True),
    Proof(STAYS, "EntryList", "3 entries; unless clear", contracts.entry_list, depth=2),
    Proof(STAYS, "Scanner", "4 bits, one by one", lambda: contracts.scanner(4, 1)),
    Proof(STAYS, "Scanner", "4 bits, in pairs", lambda: contracts.scanner(4, 2), short=True),
    Proof(STAYS, "Scanner", "32 bits, one by one", lambda: contracts.scanner(32, 1)),
    Proof(STAYS, "Inputs", "N=9", lambda: contracts.inputs(layout(inputs=9))),
    Proof(STAYS, "Receiver", "unless next", contracts.receiver, short=True),
    Proof(STAYS, "AnswerWriter", "", contracts.answer_writer),
    Proof(STAYS, "ReplyCache", "", lambda: contracts.reply_cache(SMALLEST)),
    Proof(STAYS, "Identity", "while active", lambda: contracts.identity(SMALLEST)),
    Proof(STAYS, "AccessPort", "", lambda: contracts.access(SMALLEST)),
    Proof(STAYS, "SamplePort", "", lambda: contracts.samples(SMALLEST), depth=4),
    Proof(STAYS, "CommandPort", "", lambda: contracts.command(SMALLEST), "bmc", 30),
    Proof(STAYS, "SelfTest", "while a frame is offered", lambda: contracts.self_test(SMALLEST)),
    Proof(STAYS, "WishbonePeripheral", "any core", lambda: WishboneIntoCore(SMALLEST.config),
          depth=3, cover=9, anyhow=(("relaxon.hw.wishbone.Core", Core),)),
    *(
        Proof("an offer of one cycle is taken", "UartReceiver, CobsDecoder", f"{cycles} cycles a bit",
              lambda cycles=cycles: UartIntoDecoder(cycles), depth=4, cover=12 * cycles)
        for cycles in (2, 4)
    ),
    *(
        Proof(ONCE, "Scanner", f"{width} bits, {'in pairs' if columns == 2 else 'one by one'}",
              lambda width=width, columns=columns: EveryBitOnce(width, columns), depth=4,
              short=width == 4)
        for width, columns in ((4, 1), (4, 2), (8, 2), (32, 1))
    ),
    Proof(STUCK, "Receiver", "16 bytes", NeverStuck, depth=9, short=True,
          options=(("unknown", NeverStuck.UNKNOWN),)),
    Proof(RECOVERS, "Receiver", "16 bytes; any frames wait", ParserRestarts, depth=3, cover=20,
          short=True, options=(("unknown", ParserRestarts.UNKNOWN),)),
    Proof(KEEPS, "Receiver", "16 bytes; none waits", SameAfterDelimiter, depth=4, cover=50, short=True,
          options=(("unknown", SameAfterDelimiter.UNKNOWN),)),
    Proof(STEPS, "Readout", "H=2 N=2 C=2", lambda: ReadoutUpdate(SMALLEST), depth=9, cover=10,
          options=RUBBISH),
    Proof(STEPS, "SerialReadout, ColumnStore", "H=2 N=2 C=2", lambda: SerialReadoutUpdate(COLUMN),
          "bmc", 30, cover=24, options=RUBBISH),
    Proof(APART, "RowLearner, SkewedStore", "M=1 H=2 N=2 P=2",
          lambda: LearningRows(SMALLEST), depth=14, cover=12, options=RUBBISH),
    Proof(APART, "RowLearner, SkewedStore", "M=2 H=2 N=2 P=2",
          lambda: LearningRows(layout(modules=2)), depth=16, cover=16, short=True, options=RUBBISH),
    Proof(APART, "RowLearner, SkewedStore", "M=1 H=4 N=17 P=2",
          lambda: LearningRows(layout(neurons=4, inputs=17)), "bmc", 18, cover=16, options=RUBBISH),
    Proof(APART, "ColumnLearner, ColumnStore", "M=1 H=2 N=2 P=2",
          lambda: LearningColumns(COLUMN), depth=14, cover=12, options=RUBBISH),
    Proof(APART, "ColumnLearner, ColumnStore", "M=1 H=4 N=3 P=2",
          lambda: LearningColumns(layout(store="column", neurons=4, inputs=3)), "bmc", 24, cover=12,
          options=RUBBISH),
    Proof("a sum is what is there and what is added", "Cluster, Lane", "2 groups",
          lambda: LaneSums(layout(modules=2)), cover=12, options=RUBBISH),
    Proof("no column is read while couplings are written", "Machine", "H=2 N=2 C=2; any fields",
          lambda: StoreInMachine(SMALLEST), "bmc", 64, cover=64, options=RUBBISH,
          anyhow=FIELDS),
    Proof("no column is read while the host reads", "Machine", "H=2 N=2 C=2; any fields",
          lambda: StoreInMachine(SMALLEST, host=True), "bmc", 56, cover=56,
          options=RUBBISH, anyhow=FIELDS),
    Proof(THERE, "Inputs", "N=20", lambda: reads.inputs(layout(inputs=20)), depth=4, cover=12,
          options=RUBBISH),
    Proof(THERE, "Receiver", "16 bytes; any checksum", reads.receiver, "bmc", 40, cover=30,
          options=RUBBISH, anyhow=(("relaxon.hw.framing.Checksum", Checksum),)),
    Proof(THERE, "ReplyCache", "slots of 16 bytes; any checksum", reads.reply_cache, "bmc", 16,
          cover=30, options=RUBBISH[:1], anyhow=(("relaxon.hw.replies.Checksum", Checksum),)),
    Proof(THERE, "Registers", "", lambda: reads.registers(SMALLEST.config), cover=8,
          options=RUBBISH[:1]),
    Proof(THERE, "Counters", "", lambda: reads.counters(SMALLEST), "bmc", 24, cover=24,
          options=RUBBISH[:1]),
]  # fmt: skip


@pytest.fixture(scope="module")
def table(long: bool) -> Iterator[list[tuple[str, ...]]]:
    """Rows, which are printed when all proofs are done."""
    rows: list[tuple[str, ...]] = []
    yield rows
    if long:
        print()
        print_table(rows, title="Proofs of the gateware", columns=COLUMNS)
        proved = [row for row in rows if row[4].startswith("proved")]
        always = sum("induction" in row[3] for row in proved)
        print(f"{len(proved)} of {len(rows)} properties proved, {always} of them for all times")


@pytest.mark.parametrize("proof", PROOFS, ids=str)
def test_proof(proof: Proof, long, table, tmp_path):
    if not (long or proof.short):
        pytest.skip("part of `make proofs` only")
    options = dict(proof.options)
    row = (proof.property, proof.block, proof.parameters)
    try:
        with ExitStack() as stack:
            for place, kind in proof.anyhow:
                stack.enter_context(patch(place, anyhow(kind)))
            result = prove(
                proof.component(), tmp_path / "proof", mode=proof.mode, depth=proof.depth, **options
            )
            seen = prove(
                proof.component(), tmp_path / "cover", mode="cover", depth=proof.cover, **options
            )
    except NotProved as error:
        table.append((*row, f"{proof.mode} {proof.depth}", f"NOT PROVED: {error}", ""))
        raise
    seconds = f"{result.seconds + seen.seconds:.0f}"
    table.append((*row, result.method, f"proved; {seen.method}", seconds))


# ---- planted faults -------------------------------------------------------------------------------


class Unsaturated(Updater):
    """The end of the range is a bit further out."""

    def __init__(self, layout: Layout, size: int):
        super().__init__(layout, size)
        self._widths = {name: bits + 1 for name, bits in self._widths.items()}


class Restless(Stage):
    """Passes on what comes, even while it offers something."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.source.valid & ~self.sink.ready):
            m.d.sync += self.sink.payload.eq(self.source.payload)
        return m


class Repeating(Scanner):
    """Keeps the bits it takes where there are three."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(local(m, "left") == 3):
            m.d.sync += local(m, "width").eq(local(m, "width"))
        return m


class Unforgiving(CobsDecoder):
    """A delimiter within a block does not end it."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.end & self.broken):
            m.d.sync += local(m, "left").eq(1)
        return m


class Refusing(CobsDecoder):
    """Takes no byte while 200 are missing from a block."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(local(m, "left") == 200):
            m.d.comb += self.bytes.ready.eq(0)
        return m


class Hasty(LearningRows):
    """A neuron may learn again while its couplings are still being written."""

    TWICE = True


FAULTS = {
    "saturation removed": (
        lambda: CouplingUpdate(layout(weight_bits=7), updater=Unsaturated), "in_range", 2, {}, None,
    ),
    "a payload changes": (
        lambda: StreamRules(Restless(4)), "sink_stays", 4, {}, None,
    ),
    "a bit comes twice": (
        lambda: EveryBitOnce(4, 1, Repeating), "only_once|invariant", 8, {}, None,
    ),
    "a block outlasts its delimiter": (
        SameAfterDelimiter, "kept|bad|left", 6, {"unknown": SameAfterDelimiter.UNKNOWN}, Unforgiving,
    ),
    "a delimiter within a block does not end it": (
        ParserRestarts, "left_as_after_power", 3, {"unknown": ParserRestarts.UNKNOWN}, Unforgiving,
    ),
    "a byte is never taken": (
        NeverStuck, "a_byte_is_taken", 6, {"unknown": NeverStuck.UNKNOWN}, Refusing,
    ),
    "a coupling is read before it is written": (
        lambda: Hasty(SMALLEST), "no_word_is_read", 14, dict(RUBBISH), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, tmp_path):
    component, what, depth, options, decoder = FAULTS[fault]
    with patch("relaxon.hw.framing.CobsDecoder", decoder or CobsDecoder):
        with pytest.raises(NotProved, match=f"violated: .*({what}).* .trace: .*vcd"):
            prove(component(), tmp_path, mode="bmc", depth=depth, **options)


# ---- the runner -----------------------------------------------------------------------------------


def test_what_cannot_happen_is_not_reached(tmp_path):
    with pytest.raises(NotProved, match="not reached within 3 cycles: .*waits_and_is_taken"):
        prove(contracts.receiver(), tmp_path, mode="cover", depth=3)


def test_a_proof_ends_in_time(tmp_path):
    with pytest.raises(NotProved, match="not decided within 1 s"):
        prove(LearningRows(SMALLEST), tmp_path, depth=60, timeout=1, platform=Rubbish())


@pytest.mark.parametrize("program", ["yowasp-sby", formal.SOLVER_PROGRAM])
def test_a_missing_tool_is_named(program, tmp_path, monkeypatch):
    which = formal.shutil.which
    monkeypatch.setattr(
        formal.shutil, "which", lambda name, path: None if name == program else which(name, path=path)
    )
    component = contracts.stage()
    with pytest.raises(ToolError, match=f"{program}.*pip install"):
        prove(component, tmp_path)
