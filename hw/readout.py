"""The readout: class scores that follow the state, and their learning."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.hostport import HostPort
from relaxon.hw.operation import group_bits
from relaxon.hw.popcount import Popcount
from relaxon.hw.registers import REGISTERS
from relaxon.layout import Layout
from relaxon.protocol import Space


class Readout(wiring.Component):
    """C accumulators r[c] = Σ O[c, i] s[i], kept up to date by the events of the neurons.

    The store holds one word of C elements for every slot, so an event costs one read and learning
    one pass over the slots, beside the array's own.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    clear : In(1)
        All scores become 0 (the state before the free sweep).
    event : In(valid, slot, positive, from_rest)
        A neuron changed to +1 (`positive`) or −1; `from_rest`: it had no state before.
    scores : Out(C × signed(score_bits))
        Three cycles after the last event.
    up, down : In(C)
        Classes whose readout moves towards, away from the state.
    step_true, step_false : In
        Sizes of a move up, down.
    learn : In(1)
        Start a pass; `up` and `down` must hold until `learning` falls.
    learning : Out(1)
    state_read : Out(group), state_word : In(P)
        States of a group, one cycle after asking.
    cut : Out(bits_for(C))
        Elements cut at the end of their range in this cycle.
    host : In(HostPort)
        A word is C elements, each sign-extended to 16 bits.

    Timing
    ------
    One event per cycle. `learning` for γ·P + 3 cycles after `learn`.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        c = layout.config.classes
        slot = bits_for(layout.slots - 1)
        super().__init__(
            {
                "clear": In(1),
                "event": In(
                    data.StructLayout({"valid": 1, "slot": slot, "positive": 1, "from_rest": 1})
                ),
                "scores": Out(data.ArrayLayout(signed(layout.config.score_bits), c)),
                "up": In(c),
                "down": In(c),
                "step_true": In(REGISTERS["readout_step_true"].shape),
                "step_false": In(REGISTERS["readout_step_false"].shape),
                "learn": In(1),
                "learning": Out(1),
                "state_read": Out(group_bits(layout)),
                "state_word": In(layout.config.lanes),
                "cut": Out(bits_for(c)),
                "host": In(HostPort(slot, 8 * layout.word_bytes(Space.READOUT))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, c = self.layout, self.layout.config.classes
        elements = data.ArrayLayout(signed(layout.config.readout_bits), c)
        m.submodules.memory = memory = Memory(shape=elements, depth=layout.slots, init=[])
        read, write = memory.read_port(), memory.write_port()
        word, updated = Signal(elements), Signal(elements)
        m.d.sync += word.eq(read.data)

        slot, positive, writes = self._pass(m)
        self._accumulate(m, word)
        self._update(m, word, positive, writes, updated)

        host, host_word = self.host, Signal(elements)
        extended = [Signal(16, name=f"element{k}") for k in range(c)]
        for k in range(c):
            element = host.write_data.word_select(k, 16)[: layout.config.readout_bits]
            m.d.comb += [host_word[k].eq(element.as_signed()), extended[k].eq(word[k])]
        m.d.comb += [
            read.addr.eq(
                Mux(host.active, host.address, Mux(self.learning, slot[0], self.event.slot))
            ),
            write.addr.eq(Mux(host.active, host.address, slot[-1])),
            write.data.eq(Mux(host.active, host_word, updated)),
            write.en.eq(Mux(host.active, host.write, writes[-1])),
            host.read_data.eq(Cat(extended)),
        ]
        return m

    def _accumulate(self, m: Module, word: data.View) -> None:
        """r[c] ± O[c, slot] from rest, ± 2 O[c, slot] otherwise."""
        ages = [Signal.like(self.event, name=f"event{age}") for age in (1, 2)]
        m.d.sync += [b.eq(a) for a, b in zip([self.event, *ages], ages)]
        event = ages[-1]
        for score, element in zip(self.scores, word, strict=True):
            change = Mux(event.from_rest, element, element << 1)
            with m.If(self.clear):
                m.d.sync += score.eq(0)
            with m.Elif(event.valid):
                m.d.sync += score.eq(score + Mux(event.positive, change, -change))

    def _pass(self, m: Module) -> tuple[list[Signal], Signal, list[Signal]]:
        """Walk the slots. Returns the slot at each age (0: its read), the state of the slot at
        age 2 (where its word is), and whether it holds a neuron at each age."""
        layout, lanes = self.layout, self.layout.config.lanes
        body, tail = layout.padding()
        slot = [Signal(range(layout.slots), name=f"slot{age}") for age in range(4)]
        walking = [Signal(name=f"walking{age}") for age in range(4)]
        group = Signal(group_bits(layout))
        lane = Signal(range(lanes))
        phase = Signal(range(max(2, layout.tail_period)))
        m.d.sync += [b.eq(a) for pipe in (slot, walking) for a, b in zip(pipe, pipe[1:])]
        m.d.comb += self.learning.eq(Cat(walking).any())

        # The group's states arrive one cycle after its first lane; they then move down by one.
        first, states, occupied = Signal(), Signal(lanes), Signal(lanes)
        last_group = phase == layout.tail_period - 1
        m.d.comb += self.state_read.eq(group)
        m.d.sync += first.eq(lane == 0)
        occupies = Signal(lanes)
        m.d.sync += occupies.eq(Mux(last_group, tail, body))
        with m.If(first):
            m.d.sync += [states.eq(self.state_word), occupied.eq(occupies)]
        with m.Else():
            m.d.sync += [states.eq(states >> 1), occupied.eq(occupied >> 1)]

        with m.If(self.learn):
            m.d.sync += [walking[0].eq(1), slot[0].eq(0), group.eq(0), lane.eq(0), phase.eq(0)]
        with m.Elif(walking[0]):
            m.d.sync += [slot[0].eq(slot[0] + 1), lane.eq(lane + 1)]
            with m.If(lane == lanes - 1):
                m.d.sync += [lane.eq(0), group.eq(group + 1), phase.eq(phase + 1)]
                with m.If(last_group):
                    m.d.sync += phase.eq(0)
            with m.If(slot[0] == layout.slots - 1):
                m.d.sync += walking[0].eq(0)

        writes = [Signal(name=f"writes{age}") for age in (2, 3)]
        m.d.comb += writes[0].eq(walking[2] & occupied[0])
        m.d.sync += writes[1].eq(writes[0])
        return slot, states[0], writes

    def _update(
        self, m: Module, word: data.View, positive: Signal, writes: list[Signal], updated: data.View
    ) -> None:
        """O[c] ← sat(O[c] + step·s) where `up`, sat(O[c] − step·s) where `down`."""
        limit = self.layout.config.readout_max
        cuts = Signal(self.layout.config.classes)
        for c, element in enumerate(word):
            step = Mux(self.up[c], self.step_true, Mux(self.down[c], self.step_false, 0))
            moved = element + Mux(positive == self.up[c], step, -step)
            high, low = moved > limit, moved < -limit
            m.d.sync += cuts[c].eq(0)
            with m.If(writes[0]):
                m.d.sync += [
                    updated[c].eq(Mux(high, limit, Mux(low, -limit, moved))),
                    cuts[c].eq(high | low),
                ]
        m.submodules.popcount = popcount = Popcount(self.layout.config.classes)
        m.d.comb += [popcount.bits.eq(cuts), self.cut.eq(popcount.count)]
