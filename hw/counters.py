"""The activity and link counters, made from their description in `relaxon.protocol`.

What a counter takes in a cycle goes into a small sum of its own; one adder goes round and moves the
sums into the counters proper, which are words of a memory.
"""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.hostport import COUNTERS_PORT
from relaxon.layout import Layout

ENVELOPE = "field_envelope"
"""The one figure that is not summed but or-ed."""
PART_BITS = 16
"""Bits of a counter that are added to in one cycle: a word of the memory."""
PARTS = 4
"""Words of a counter; a power of two."""
ROUND = 126
"""No sum waits longer for its visit while the host keeps away: Σ (2 + words) cycles are a round, and
one more visit may be the host's."""
HOST = 184
"""Cycles more while the host accesses counters: a word is in its hands for 8 bytes, up to 21 cycles
each; a round takes 3 more for each byte, at most one of which goes between two visits."""
RECEPTION = ("frames", "bad_frames", "overflows")
"""What counts even while the host accesses a counter; all else is at rest then."""


def largest_amounts(layout: Layout) -> dict[str, tuple[int, int]]:
    """For each counter, the most it takes at once, and the cycles from one time to the next."""
    often = {
        # a sample, or a frame that is answered, takes more than 8 cycles; a sweep, two
        **dict.fromkeys(("samples", "learned", "duplicates", "out_of_sequence", "refused"), (1, 8)),
        "sweeps": (1, 2),
        # a frame has two bytes at least
        **dict.fromkeys(RECEPTION, (1, 2)),
        "flips": (layout.strips * layout.columns, 1),
        "moves": (layout.strips * layout.columns, 1),
        "input_changes": (layout.columns, 1),
        "updates": (layout.lanes, 1),
        "saturations": (layout.strips * layout.banks, 1),
        "readout_saturations": (
            layout.strips * layout.readout_width * (1 if layout.serial else layout.config.classes),
            1,
        ),
        "weight_accesses": (layout.strips, 1),
    }
    return {c.name: often.get(c.name, (1, 1)) for c in protocol.COUNTERS if c.name != ENVELOPE}


def amounts_layout(layout: Layout) -> data.StructLayout:
    """What each counter takes in one cycle, by name."""
    shapes = {name: unsigned(bits_for(most)) for name, (most, _) in largest_amounts(layout).items()}
    shapes[ENVELOPE] = unsigned(layout.config.field_bits)
    return data.StructLayout({c.name: shapes[c.name] for c in protocol.COUNTERS})


def sum_bits(layout: Layout) -> dict[str, int]:
    """Width of each sum: room for all that comes between two visits."""
    return {
        name: bits_for(most * -(-(ROUND + HOST * (name in RECEPTION)) // cycles))
        for name, (most, cycles) in largest_amounts(layout).items()
    }


class Counters(wiring.Component):
    """Adds up the amounts; each counter wraps at its width.

    A round visits one counter after another: two cycles to take its sum, then one for each word of it.
    The host's access to a counter begins with a visit to this one, and no other comes to it until
    its last byte; so whoever reads finds the exact figure, of one moment. `sum_bits` is what can
    come in between (of `largest_amounts`): no sum overflows.

    Members
    -------
    amounts : In(amounts_layout)
    host : In(HostPort)
        One 64-bit word a counter; writing sets it.

    Timing
    ------
    A byte takes up to 9 cycles, a word's first up to 14. An amount counts for whoever asks two
    cycles later.
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__({"amounts": In(amounts_layout(layout)), "host": In(COUNTERS_PORT)})

    def elaborate(self, platform):
        m = Module()
        host, counters = self.host, protocol.COUNTERS
        m.submodules.memory = memory = Memory(
            shape=PART_BITS, depth=len(counters) * PARTS, init=[]
        )
        read, write = memory.read_port(), memory.write_port(granularity=8)
        at, who = (Signal(range(len(counters)), name=n) for n in ("at", "who"))
        part, taken = Signal(range(PARTS)), Signal(len(counters))
        waiting, just_now = self._sums(m, who, taken)
        latest, carry = Signal.like(waiting), Signal()
        found = Signal(PART_BITS)  # memory is slow, and its words go through an adder back to it
        word = (part - 2)[: len(part)]
        bytes_ = Signal(range(protocol.COUNTER_BYTES + 1))  # of a counter, a cycle after `who`
        addend, total = Signal(PART_BITS), Signal(PART_BITS + 1)
        own = counters.index(next(c for c in counters if c.name == ENVELOPE))
        m.d.comb += [
            addend.eq(latest & ~Mux(who == own, found, 0)),
            total.eq(found + addend + carry),
            read.addr.eq(Cat(part, who)),
            write.addr.eq(Cat(word, who)),
            write.data.eq(total),
        ]
        asked = Signal()  # the host's word, a cycle ago
        hosts, held = Signal(), Signal()  # this visit is the host's; it is in the midst of a word
        following = Mux(at == len(counters) - 1, 0, at + 1)
        m.d.sync += [
            bytes_.eq(Array(c.bits // 8 for c in counters)[who]),
            found.eq(read.data),
            carry.eq(0),
            taken.eq(0),
        ]
        with m.FSM():
            with m.State("CHOOSE"):
                m.d.sync += [taken.eq(1 << who), part.eq(part + 1)]
                m.next = "TAKE"
                with m.If(held & ~hosts & (who == host.address)):
                    m.d.sync += [at.eq(following), who.eq(following), part.eq(0), taken.eq(0)]
                    m.next = "CHOOSE"
            with m.State("TAKE"):
                m.d.sync += [latest.eq(waiting), carry.eq(just_now), part.eq(part + 1)]
                m.next = "ADD"
            with m.State("ADD"):
                last = word == (bytes_ - 1)[1:]
                m.d.comb += write.en.eq(Cat(1, ~last | ~bytes_[0]))
                m.d.sync += [latest.eq(latest >> PART_BITS), carry.eq(total[-1]), part.eq(part + 1)]
                with m.If(last):
                    m.d.sync += [part.eq(0), carry.eq(0), hosts.eq(0)]
                    m.next = "CHOOSE"
                    with m.If(hosts):
                        m.d.sync += held.eq(1)
                        m.next = "HOST"
                    with m.Else():
                        m.d.sync += [at.eq(following), who.eq(following)]
                        with m.If(host.active):
                            m.d.sync += [who.eq(host.address), hosts.eq(~held)]
                            with m.If(held):
                                m.next = "HOST"
            with m.State("HOST"):
                m.d.comb += [
                    read.addr.eq(Cat(host.byte[1:], who)),
                    write.addr.eq(Cat(host.byte[1:], who)),
                    write.data.eq(host.write_data.replicate(PART_BITS // 8)),
                ]
                with m.If(host.done & host.write & (host.byte < bytes_)):
                    m.d.comb += write.en.eq(1 << host.byte[0])
                m.d.sync += [asked.eq(~asked & ~host.done), host.done.eq(asked)]
                with m.If(host.done):
                    m.d.sync += who.eq(at)
                    m.next = "CHOOSE"
                    with m.If(host.byte == protocol.COUNTER_BYTES - 1):
                        m.d.sync += held.eq(0)
        m.d.comb += host.read_data.eq(found.word_select(host.byte[0], 8))
        return m

    def _sums(self, m: Module, who: Signal, taken: Signal) -> tuple[Signal, Signal]:
        """The sums grow; the one whose bit is set in `taken` starts again. Returns that of `who`, and an
        amount of 1 that comes just now: it goes along, so that starting again is a mere reset."""
        amounts = Signal(amounts_layout(self._layout))  # registered: the sources are far apart
        m.d.sync += amounts.eq(self.amounts)
        bits, sums, late = sum_bits(self._layout), [], []
        for address, counter in enumerate(protocol.COUNTERS):
            amount = amounts[counter.name]
            value = Signal(bits.get(counter.name, len(amount)), name=counter.name)
            alone = Const(0)
            if counter.name == ENVELOPE:
                m.d.sync += value.eq(Mux(taken[address], 0, value) | amount)
            elif len(amount) > 1:
                m.d.sync += value.eq(Mux(taken[address], 0, value) + amount)
            else:
                alone = amount
                m.d.sync += value.eq(value + amount)
                with m.If(taken[address]):
                    m.d.sync += value.eq(0)
            sums.append(value)
            late.append(alone)
        waiting, just_now = Signal(max(map(len, sums))), Signal()
        m.d.comb += [waiting.eq(Array(sums)[who]), just_now.eq(Array(late)[who])]
        return waiting, just_now
