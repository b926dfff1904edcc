"""The readout: class scores that follow the state, and their learning."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.cycles import SCORES_ADDED
from relaxon.hw.arithmetic import plus, with_carry
from relaxon.hw.events import pair_layout
from relaxon.hw.hostport import WordPort
from relaxon.hw.learners import neuron_tag
from relaxon.hw.operation import group_bits
from relaxon.hw.popcount import Popcount
from relaxon.hw.registers import REGISTERS
from relaxon.hw.rotation import delayed
from relaxon.layout import Layout
from relaxon.protocol import Space


class Readout(wiring.Component):
    """The part of r[c] = Σ O[c, i] s[i] that one strip's neurons make.

    The store holds C elements for every slot, and `readout_width` slots in a word. An event costs
    one read and learning one pass over the words, beside whatever else goes on; the pass also sums
    the scores anew.

    Parameters
    ----------
    layout
        The machine's geometry.
    number
        The strip's.

    Members
    -------
    event : In(valid, pair)
        One or two neurons have changed.
    rest : In(1)
        They had no state before.
    forget : In(1)
        All scores become 0.
    learn : In(1)
        Start a pass; `up`, `down` and the states must hold until `learning` falls.
    up, down : In(C)
        Classes whose readout moves towards, away from the state.
    step_true, step_false : In
        Sizes of a move up, down.
    learning : Out(1)
    state_read : Out(group), state_word : In
        States of a group, one cycle after asking.
    score_of : In, score : Out(signed)
        The score of a class, one cycle later.
    cut : Out
        Elements cut at the end of their range.
    host : In(WordPort)
        A word is C elements, each sign-extended to 16 bits; 0 is read for those of other strips.

    Timing
    ------
    One pair per cycle. A pass takes γ·W/w + 7 cycles (W lanes, w = `readout_width`).
    """

    def __init__(self, layout: Layout, number: int):
        self.layout = layout
        self._first = number * layout.groups * layout.strip_lanes
        config = layout.config
        c, width = config.classes, layout.readout_width
        pairs = pair_layout(layout.strip_lanes, neuron_tag(layout))
        every = (1 << layout.strip_lanes) - 1
        self._padding = [
            mask >> number * layout.strip_lanes & every for mask in layout.padding()
        ]
        super().__init__(
            {
                "event": In(data.StructLayout({"valid": 1, "pair": pairs})),
                "rest": In(1),
                "forget": In(1),
                "learn": In(1),
                "up": In(c),
                "down": In(c),
                "step_true": In(REGISTERS["readout_step_true"].shape),
                "step_false": In(REGISTERS["readout_step_false"].shape),
                "learning": Out(1),
                "state_read": Out(group_bits(layout)),
                "state_word": In(layout.strip_lanes),
                "score_of": In(range(c)),
                "score": Out(signed(config.score_bits)),
                "cut": Out(bits_for(c * width)),
                "host": In(WordPort(bits_for(layout.slots - 1), 8 * layout.word_bytes(Space.READOUT))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, config, width = self.layout, self.layout.config, self.layout.readout_width
        slot = data.ArrayLayout(signed(config.readout_bits), config.classes)
        words = layout.groups * layout.strip_lanes // width
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(slot, width), depth=max(2, words), init=[]
        )
        write = memory.write_port(granularity=1)
        reads = [memory.read_port() for _ in range(layout.columns)]
        found = [Signal(data.ArrayLayout(slot, width), name=f"found{i}") for i in range(len(reads))]
        walk = self._walk(m, words)
        updated, writes = self._update(m, walk, found[-1])
        fresh = Signal()
        changes, slots, events = self._event(m, [read.data for read in reads], fresh)
        m.d.sync += fresh.eq(events | walk.valid | self.host.active)
        with m.If(fresh):
            m.d.sync += [word.eq(read.data) for word, read in zip(found, reads, strict=True)]
        host = self._host(m, found[0])
        read_slots = [Mux(self.host.active, host["slot"], slots[0]), *slots[1:]]
        addresses = [at // width for at in read_slots]
        addresses[-1] = Mux(walk.valid, walk.word, addresses[-1])
        written = Mux(self.host.active, host["slot"] // width, writes["word"])
        m.d.comb += [
            write.en.eq(Mux(self.host.active, host["write"], writes["lanes"])),
            write.data.eq(Mux(self.host.active, host["data"], updated.as_value())),
        ]
        # One address for the first one's reads and the writes, and never both: one physical port.
        addresses[0] = Mux(write.en.any(), written, addresses[0])
        m.d.comb += [
            *(read.addr.eq(at) for read, at in zip(reads, addresses, strict=True)),
            reads[0].en.eq(~write.en.any()),
            write.addr.eq(reads[0].addr),
        ]
        self._accumulate(m, changes, updated, writes)
        return m

    # ---- scores -----------------------------------------------------------------------------

    def _event(self, m: Module, words: list, fresh) -> tuple[list, list[Signal], Signal]:
        """What each slot of an event is to add to the scores, three cycles after it: its elements, its
        sign, whether it counts; the slots, and whether there is an event, when their words are
        read. The words are there a cycle before, where `fresh`."""
        layout, width, pair = self.layout, self.layout.readout_width, self.event.pair
        line = pair.tag.group * layout.strip_lanes
        slots, changes, valids = [], [], []
        counts = Cat(self.event.valid, self.event.valid & pair.two)
        for i in range(layout.columns):
            slot, valid, sign = Signal(range(layout.slots)), Signal(), Signal()
            m.d.sync += valid.eq(counts[i])
            with m.If(counts[i]):
                m.d.sync += [
                    slot.eq(line + (pair.b if i else pair.a)),
                    sign.eq(pair.positive_b if i else pair.positive_a),
                ]
            slots.append(slot)
            valids.append(valid)
            (within,) = delayed(m, 1, slot % width)
            late, late_sign = delayed(m, 2, valid, sign)
            elements = Signal.like(words[i][0], name=f"elements{i}")
            with m.If(fresh):
                m.d.sync += [
                    element.eq(_choose([slot[c] for slot in words[i]], within))
                    for c, element in enumerate(elements)
                ]
            changes.append((elements, late_sign, late))
        return changes, slots, valids[0]

    def _accumulate(self, m: Module, changes: list, updated: data.View, writes: dict) -> None:
        """Sum of what events change, twice an element; or, in a pass, of all elements anew."""
        config, width = self.layout.config, self.layout.readout_width
        bits = config.readout_bits + 2 + width.bit_length()
        scores = [Signal(signed(config.score_bits), name=f"score{c}") for c in range(config.classes)]
        events, positive = changes[0][-1], changes[0][-2]
        adds, minus, one = Signal(), Signal(), Signal()
        (rest,) = delayed(m, 3, self.rest)
        # −e is ~e + 1, and every adder has room for one such 1, the scores' own among them.
        signs, lanes = ~writes["states"] & writes["lanes"], writes["lanes"]
        m.d.sync += [
            adds.eq(events | writes["valid"]),
            minus.eq(~writes["valid"] & ~positive),
            one.eq(writes["valid"] & signs[0]),
        ]
        for c, score in enumerate(scores):
            step = Signal(signed(bits), name=f"step{c}")
            # ±a ± b is ±(a ± b), and the first sign waits until it meets the score.
            event, *others = (elements[c] for elements, *_ in changes)
            for other, (_, sign, valid) in zip(others, changes[1:], strict=True):
                event = plus(event, Mux(valid, other, 0), sign != positive)
            anew, ones = [], list(signs[1:])
            for i in range(width):
                turned = Cat(updated[i][c]) ^ signs[i].replicate(config.readout_bits)
                anew.append((turned & lanes[i].replicate(config.readout_bits)).as_signed())
            while len(anew) > 1:
                *anew, a, b = anew
                anew = [with_carry(a, b, ones.pop()), *anew]
            with m.If(writes["valid"]):
                m.d.sync += step.eq(anew[0])
            with m.Elif(events):
                m.d.sync += step.eq(Mux(rest, event, event << 1))
            with m.If(self.forget | self.learn):
                m.d.sync += score.eq(0)
            with m.Elif(adds):
                m.d.sync += score.eq(
                    with_carry(score, Cat(step) ^ minus.replicate(len(step)), minus | one)
                )
        m.d.sync += self.score.eq(Array(scores)[self.score_of])

    # ---- learning ---------------------------------------------------------------------------

    def _walk(self, m: Module, words: int) -> data.View:
        """The pass: the word read in this cycle, its group, and its place in the group."""
        layout = self.layout
        per_group = layout.strip_lanes // layout.readout_width
        walk = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "word": range(words),
                    "group": group_bits(layout),
                    "part": range(per_group),
                    "phase": range(max(2, layout.tail_period)),
                }
            )
        )
        with m.If(self.learn):
            m.d.sync += walk.eq(0)
            m.d.sync += walk.valid.eq(1)
        with m.Elif(walk.valid):
            m.d.sync += [walk.word.eq(walk.word + 1), walk.part.eq(walk.part + 1)]
            with m.If(walk.part == per_group - 1):
                m.d.sync += [
                    walk.part.eq(0),
                    walk.group.eq(walk.group + 1),
                    walk.phase.eq(walk.phase + 1),
                ]
                with m.If(walk.phase == layout.tail_period - 1):
                    m.d.sync += walk.phase.eq(0)
            with m.If(walk.word == words - 1):
                m.d.sync += walk.valid.eq(0)
        m.d.comb += self.state_read.eq(walk.group)
        return walk

    def _update(self, m: Module, walk: data.View, old: data.View) -> tuple[data.View, dict]:
        """O[c] ← sat(O[c] + step·s) where `up`, sat(O[c] − step·s) where `down`. Returns the new
        word, and whether, where and in which lanes it is written, beside the states."""
        layout, width, limit = self.layout, self.layout.readout_width, self.layout.config.readout_max
        body, tail = self._padding
        last = walk.phase == layout.tail_period - 1
        part1, last1 = delayed(m, 1, walk.part, last)
        states, lanes = Signal(width), Signal(width)
        m.d.sync += [
            states.eq(self.state_word.word_select(part1, width)),
            lanes.eq(Mux(last1, tail, body) >> (part1 * width)),
        ]
        valid = [walk.valid]
        for age in range(1, 6):
            valid.append(Signal(name=f"walks{age}"))
            m.d.sync += valid[age].eq(valid[age - 1])
        (word,) = delayed(m, 4, walk.word)
        m.d.comb += self.learning.eq(Cat(valid).any())

        updated = Signal(old.shape())
        classes = layout.config.classes
        cuts = Signal(width * classes)
        wanted = Signal(
            data.ArrayLayout(
                signed(max(layout.config.readout_bits, 1 + len(self.step_true)) + 1), len(cuts)
            )
        )
        steps = [
            Mux(self.up[c], self.step_true, Mux(self.down[c], self.step_false, 0))
            for c in range(classes)
        ]
        lanes3, states3 = delayed(m, 1, lanes, states)
        written, beside = Signal(width), Signal(width)
        with m.If(valid[2]):
            m.d.sync += [
                wanted[i * classes + c].eq(
                    plus(old[i][c], Cat(step, Const(0, 1)).as_signed(), states[i] != self.up[c])
                )
                for i in range(width)
                for c, step in enumerate(steps)
            ]
        m.d.sync += [written.eq(lanes3 & valid[3].replicate(width)), beside.eq(states3), cuts.eq(0)]
        with m.If(valid[3]):
            for at, value in enumerate(wanted):
                i, c = divmod(at, classes)
                high, low = value > limit, value < -limit
                m.d.sync += [
                    updated[i][c].eq(Mux(high, limit, Mux(low, -limit, value))),
                    cuts[at].eq((high | low) & lanes3[i]),
                ]
        m.submodules.popcount = popcount = Popcount(len(cuts))
        m.d.comb += [popcount.bits.eq(cuts), self.cut.eq(popcount.count)]
        return updated, {"valid": valid[4], "word": word, "lanes": written, "states": beside}

    # ---- host -------------------------------------------------------------------------------

    def _host(self, m: Module, found: data.View) -> dict:
        """The host's slot, its elements in every place of a word, and where they are written."""
        layout, width, host = self.layout, self.layout.readout_width, self.host
        config = layout.config
        slots = layout.groups * layout.strip_lanes
        own, slot = Signal(), Signal(range(layout.slots))
        m.d.comb += [
            own.eq((host.address >= self._first) & (host.address < self._first + slots)),
            slot.eq(host.address - self._first),
        ]
        element = found[0].shape()
        word = Signal(element)
        m.d.comb += [
            word[c].eq(host.write_data.word_select(c, 16)[: config.readout_bits].as_signed())
            for c in range(config.classes)
        ]
        extended = [Signal(signed(16), name=f"element{c}") for c in range(config.classes)]
        m.d.comb += [
            wide.eq(_choose([place[c] for place in found], slot % width))
            for c, wide in enumerate(extended)
        ]
        m.d.comb += host.read_data.eq(Mux(own, Cat(extended), 0))
        return {
            "slot": slot,
            "write": Mux(host.write & own, 1 << slot % width, 0)[:width],
            "data": word.as_value().replicate(width),
        }


def _choose(values: list, index):
    """The value at `index`, a power of two of them."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    top = half.bit_length() - 1
    return Mux(index[top], _choose(values[half:], index), _choose(values[:half], index))


def total(m: Module, values: list) -> Signal:
    """Sum of the strips' scores, `SCORES_ADDED` at a time, a cycle each."""
    while len(values) > 1:
        sums = []
        for at in range(0, len(values), SCORES_ADDED):
            partial = Signal.like(values[0], name=f"total{at}")
            m.d.sync += partial.eq(sum(values[at : at + SCORES_ADDED]))
            sums.append(partial)
        values = sums
    return values[0]


def total_latency(strips: int) -> int:
    """Cycles from naming a class to its score."""
    cycles = 1
    while strips > 1:
        strips, cycles = -(-strips // SCORES_ADDED), cycles + 1
    return cycles
