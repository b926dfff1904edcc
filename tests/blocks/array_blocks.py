"""The blocks of the array side under test, by bundle and name: for the runner, which builds them, and
for the testbenches, which ask for their sizes."""

from __future__ import annotations

from collections.abc import Callable

from amaranth import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import bits_for

from relaxon import Config
from relaxon.hw.arithmetic import plus, times, with_carry
from relaxon.hw.array import NeuronArray
from relaxon.hw.cluster import Cluster
from relaxon.hw.compact import CompactLanes
from relaxon.hw.decision import Decision
from relaxon.hw.events import EntryList, Scanner, few, lowest_bit, place_of
from relaxon.hw.groups import GroupWalker
from relaxon.hw.inputs import Inputs
from relaxon.hw.lane import Lane
from relaxon.hw.learners import ColumnLearner, RowLearner
from relaxon.hw.machine import Machine
from relaxon.hw.parallelreadout import ParallelReadout
from relaxon.hw.popcount import Popcount
from relaxon.hw.readout import Readout
from relaxon.hw.rotation import delayed, rotate
from relaxon.hw.serialreadout import SerialReadout
from relaxon.hw.singleport import PART_BYTES, PART_WORDS, SinglePortMemory
from relaxon.hw.states import States
from relaxon.hw.store import ColumnStore, SkewedStore, Updater
from relaxon.hw.strip import Strip
from relaxon.layout import Layout


class Sums(Component):
    """The functions of `relaxon.hw.arithmetic`."""

    BITS = 5, 4
    CONSTANTS = (0, 1, 5, 12, 100)

    def __init__(self) -> None:
        a, b = self.BITS
        super().__init__(
            {
                "value": In(signed(a)),
                "other": In(signed(b)),
                "negative": In(1),
                "plus": Out(signed(a + 1)),
                "carried": Out(signed(a + 1)),
                "swapped": Out(signed(a + 1)),
                **{f"times{c}": Out(max(1, bits_for(c << b))) for c in self.CONSTANTS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        results = {
            "plus": plus(self.value, self.other, self.negative),
            "carried": with_carry(self.value, self.other, self.negative),
            "swapped": plus(self.other, self.value, self.negative),
            **{f"times{c}": times(self.other.as_unsigned(), c) for c in self.CONSTANTS},
        }
        for name, value in results.items():
            out = getattr(self, name)
            if not name.startswith("times"):
                assert value.shape() == out.shape()
            m.d.comb += out.eq(value)
        return m


class Rotation(Component):
    """`rotate` and `delayed`, both in so many cycles."""

    def __init__(self, distance_bits: int, element: int, cycles: int):
        self.element, self.cycles = element, cycles
        width = element << distance_bits
        super().__init__(
            {
                "value": In(width),
                "distance": In(distance_bits),
                "rotated": Out(width),
                "beside": Out(distance_bits),
                "late": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rotated, beside = rotate(
            m, self.value, self.distance, element=self.element, cycles=self.cycles
        )
        (late,) = delayed(m, self.cycles, self.value)
        m.d.comb += [self.rotated.eq(rotated), self.beside.eq(beside), self.late.eq(late)]
        return m


class Bits(Component):
    """What the scanner finds out about the bits of a word."""

    def __init__(self, width: int):
        super().__init__(
            {
                "word": In(width),
                "lowest": Out(width),
                "place": Out(bits_for(max(1, width - 1))),
                "few": Out(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.lowest.eq(lowest_bit(m, self.word)),
            self.place.eq(place_of(self.lowest)),
            self.few.eq(few(m, self.word)),
        ]
        return m


class LoneStrip(Component):
    """A strip that is its own neighbour in the chain, as the only one of an array is."""

    def __init__(self, layout: Layout):
        self.layout, self._strip = layout, Strip(layout, 0)
        self._coupling = {"center", "previous", "next", "before", "after"}
        members = self._strip.signature.members.items()
        super().__init__({name: m for name, m in members if name not in self._coupling})

    def elaborate(self, platform):
        m = Module()
        m.submodules.strip = strip = self._strip
        m.d.comb += [strip.previous.eq(strip.before), strip.next.eq(strip.after)]
        for name, member in self.signature.members.items():
            own, inner = getattr(self, name), getattr(strip, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(own), inner)
            elif member.flow is In:
                m.d.comb += inner.eq(own)
            else:
                m.d.comb += own.eq(inner)
        return m


TAG = data.StructLayout({"number": 6})


def machine(modules: int, neurons: int, lanes: int, inputs: int, **more: int | str) -> Layout:
    """A geometry; 3 classes unless told."""
    sizes = dict(modules=modules, neurons=neurons, lanes=lanes, inputs=inputs)
    return Layout(Config(**{"classes": 3, **sizes, **more}))  # type: ignore[arg-type]


FIELDS = {"field_bits": 16}


BUNDLES: dict[str, dict[str, Callable[[], Component]]] = {
    "words": {
        "sums": Sums,
        **{f"popcount{w}": lambda w=w: Popcount(w) for w in (1, 8, 13, 32)},
        "rotation0": lambda: Rotation(3, 2, 0),
        "rotation1": lambda: Rotation(3, 3, 1),
        "rotation2": lambda: Rotation(4, 1, 2),
        "rotation3": lambda: Rotation(3, 2, 3),
        **{f"bits{w}": lambda w=w: Bits(w) for w in (1, 4, 9)},
    },
    "walks": {
        "list1": lambda: EntryList(TAG, 1),
        "list7": lambda: EntryList(TAG, 7),
        "list8": lambda: EntryList(TAG, 8),
        # one at a time, few and many; two at a time
        "scan1of4": lambda: Scanner(4, TAG, 1),
        "scan1of33": lambda: Scanner(33, TAG, 1),
        "scan2of8": lambda: Scanner(8, TAG, 2),
        "scan2of35": lambda: Scanner(35, TAG, 2),
        # rows alone, padded groups, bins of several rows, powers of two and others
        "walk_one": lambda: GroupWalker(machine(1, 8, 8, 5)),
        "walk_pad": lambda: GroupWalker(machine(3, 10, 4, 5)),
        "walk_many": lambda: GroupWalker(machine(70, 3, 2, 5)),
        "walk_twos": lambda: GroupWalker(machine(4, 8, 4, 5)),
        "walk_col": lambda: GroupWalker(machine(18, 12, 4, 5, store="column")),
        "walk_strip": lambda: GroupWalker(machine(7, 4, 9, 5)),
        "decision3": lambda: Decision(machine(1, 4, 4, 5, readout_bits=4), 1),
        "decision10": lambda: Decision(machine(2, 4, 4, 5, classes=10), 2),
    },
    "memories": {
        # one port: words, bytes of a word, latency; large ones are made of parts
        "port2": lambda: SinglePortMemory(2, 1),
        "port20": lambda: SinglePortMemory(20, 3),
        "port20late": lambda: SinglePortMemory(20, 3, 5),
        "port_parts": lambda: SinglePortMemory(2 * PART_WORDS + 9, PART_BYTES + 1, 5),
        "states_one": lambda: States(machine(1, 8, 8, 5)),
        "states_row": lambda: States(machine(3, 10, 4, 5)),
        "states_col": lambda: States(machine(3, 8, 4, 5, store="column")),
        # words of inputs: one, several, the last one whole or not, of two bytes
        "inputs5": lambda: Inputs(machine(1, 4, 4, 5)),
        "inputs21": lambda: Inputs(machine(1, 4, 4, 21)),
        "inputs_col": lambda: Inputs(machine(1, 4, 4, 16, store="column")),
        "inputs40": lambda: Inputs(machine(1, 16, 16, 40)),
    },
    "stores": {
        "updater4": lambda: Updater(machine(1, 4, 4, 5, weight_bits=4), 2),
        "updater8": lambda: Updater(machine(1, 4, 4, 5, weight_bits=8), 2),
        "updater10": lambda: Updater(machine(1, 4, 4, 5, weight_bits=10), 2),
        "updater5of8": lambda: Updater(machine(1, 4, 4, 5, weight_bits=8, recurrent_bits=5), 2),
        # lanes below, at and above 8 banks; narrow, usual and wide elements; padded groups
        "skew4": lambda: SkewedStore(machine(2, 6, 4, 11, weight_bits=4)),
        "skew8": lambda: SkewedStore(machine(1, 8, 8, 9)),
        "skew12": lambda: SkewedStore(machine(1, 12, 12, 7, weight_bits=10)),
        "column3": lambda: ColumnStore(machine(2, 5, 3, 7, weight_bits=4, store="column")),
        "column4": lambda: ColumnStore(machine(1, 8, 4, 9, weight_bits=10, store="column")),
        "column32": lambda: ColumnStore(machine(1, 32, 32, 3, store="column")),
    },
    "lanes": {
        # in a chain, several groups; alone, one group, which all additions go to
        "lane_chain": lambda: Lane(machine(3, 10, 4, 5)),
        "lane_alone": lambda: Lane(machine(1, 8, 8, 5)),
        "cluster4": lambda: Cluster(machine(3, 10, 4, 5), 4),
        "cluster3": lambda: Cluster(machine(1, 8, 8, 5), 3),
        "compact1": lambda: CompactLanes(machine(1, 4, 4, 5, store="column"), 2),
        "rows2": lambda: RowLearner(machine(1, 2, 4, 1)),
        "rows4": lambda: RowLearner(machine(2, 6, 4, 11)),
        "rows8": lambda: RowLearner(machine(3, 8, 8, 16)),
        "rows_strip": lambda: RowLearner(machine(5, 4, 9, 5)),
        "cols3": lambda: ColumnLearner(machine(2, 5, 3, 7, store="column")),
        "cols4": lambda: ColumnLearner(machine(1, 8, 4, 9, store="column")),
        "cols32": lambda: ColumnLearner(machine(1, 32, 32, 3, store="column")),
    },
    "readouts": {
        # slots by fours, by twos in the second of two strips, one by one
        "readout4": lambda: Readout(machine(1, 8, 8, 5, readout_bits=5), 0),
        "readout2": lambda: Readout(machine(5, 4, 9, 10, readout_bits=8), 1),
        "readout1": lambda: Readout(machine(2, 5, 3, 7), 0),
        "parallel1": lambda: ParallelReadout(machine(2, 5, 3, 7, readout_bits=6)),
        "parallel2": lambda: ParallelReadout(machine(5, 4, 9, 10, readout_bits=5)),
        # one strip, two; units of several elements; late words
        "serial1": lambda: SerialReadout(machine(2, 5, 4, 7, readout_bits=6, store="column")),
        "serial2": lambda: SerialReadout(machine(5, 3, 7, 4, readout_bits=8, store="column")),
        "serial16": lambda: SerialReadout(machine(2, 16, 16, 4, readout_bits=5, store="column")),
        "serial32": lambda: SerialReadout(machine(1, 33, 32, 3, readout_bits=5, store="column")),
    },
    "arrays": {
        # a chain of padded groups; modules side by side, the last group partly empty
        "array_one": lambda: NeuronArray(machine(3, 5, 3, 7, readout_bits=5, **FIELDS)),
        "array_two": lambda: NeuronArray(machine(5, 4, 9, 10, weight_bits=5, **FIELDS)),
        "strip_one": lambda: LoneStrip(machine(3, 5, 3, 7, weight_bits=5, **FIELDS)),
    },
    "machines": {
        # a chain of padded groups; modules side by side, the last group partly empty
        "machine_a": lambda: Machine(machine(3, 5, 3, 7, **FIELDS)),
        "machine_b": lambda: Machine(machine(5, 4, 9, 10, readout_bits=6, weight_bits=5, **FIELDS)),
    },
    "compact": {
        # several groups, one of several modules; many lanes
        "compact2": lambda: CompactLanes(machine(3, 8, 4, 5, store="column"), 2),
        "compact3": lambda: CompactLanes(machine(3, 4, 4, 5, store="column"), 3),
        "compact_32": lambda: CompactLanes(machine(3, 40, 32, 5, store="column"), 2),
        "machine_c": lambda: Machine(machine(3, 6, 4, 9, store="column", **FIELDS)),
    },
}
