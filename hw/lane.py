"""One lane: the accumulators and fields of one neuron in every group."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.arithmetic import plus
from relaxon.hw.operation import (
    Mode,
    element_shape,
    evaluation_layout,
    group_bits,
    turns,
)
from relaxon.layout import Layout


def addend_layout(layout: Layout) -> data.StructLayout:
    """What is added, before its factor: if `learned`, how many couplings did so; else a, with b if
    `two`, whose sign may `differ`."""
    return data.StructLayout({"valid": 1, "learned": 1, "two": 1, "differ": 1})


FACTOR_BITS = 3 + max(r.high for r in protocol.REGISTERS[:2])
"""Width of ±2^(shift + 1), where the shift is a register's."""


def factor_of(positive, shift, twice) -> Value:
    """±2^shift, doubled if `twice`: what turns a coupling into what is added to a field."""
    size = Mux(twice, 2, 1) << shift
    return Mux(positive, size, -size)[:FACTOR_BITS].as_signed()


def target_layout(layout: Layout) -> data.StructLayout:
    """Where it is added: to A (`drive`) or R of `group`; or `clear`: both become 0."""
    return data.StructLayout(
        {"valid": 1, "drive": 1, "clear": 1, "group": unsigned(group_bits(layout))}
    )


def count_bits(layout: Layout) -> int:
    """Width of a number of couplings of one neuron that learn at once."""
    return bits_for(layout.banks) if layout.columns == 2 else 1


class Lane(wiring.Component):
    """Accumulators A and R, and the field, of the neurons on one lane.

    ::

        a, b ─▶ ± ─┬▶ × factor ─▶ addend ─▶ A, R ─┬▶ h ─▶ reported, sign, envelope
        count ─────┘                              │
        state, neighbours ─▶ own ─────────────────┘

    The factor is ±2^shift: FPGAs have multipliers to spare, and a shifter is made of LUTs. Whether a
    neuron is stable needs no comparison: s·h ≤ κ where s would turn if J_D were κ less (and 1 less
    again for s = +1), so evaluations for stability come with another `plus` and `minus`.

    Parameters
    ----------
    layout
        The machine's geometry. All lanes are one and the same module.

    Members
    -------
    addend : In, a, b : In(element)
        At stage 0: couplings, and what becomes of them.
    hit, up : In(1), count : In
        At stage 0: the couplings of which neurons learned, how many of them each (skewed store: of
        one neuron only), and in which direction (column store: one of each neuron).
    factor : In(signed)
        At stage 1: ±2^shift.
    drive_read, recur_read : In(group)
        At stage 1: whose A and R are used at stage 2.
    target : In, again : In(1)
        At stage 2: where the addend goes; it went to the same place a cycle ago.
    evaluation1 … evaluation4 : In
        The evaluation at stages 1 … 4.
    plus, minus, chain_coupling : In(signed)
        At stage 1: the field's own part for the two states; λ.
    state, previous, next, has_previous, has_next : In(1)
        At stage 1: the state of the neuron and of its neighbours in the chain, if they exist.
    reported, sign : Out(1), envelope : Out(field_bits)
        At stage 4: the neuron flips, or is unstable; its new, or unchanged, sign; h or, if
        negative, ~h.

    Timing
    ------
    One addend and one evaluation per cycle; both at once where they use different accumulators. An
    addend is seen by the next one, and by an evaluation two cycles later.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        field, own = (signed(layout.config.field_bits + extra) for extra in (0, 1))
        evaluation, group = evaluation_layout(layout), group_bits(layout)
        super().__init__(
            {
                "addend": In(addend_layout(layout)),
                "a": In(element_shape(layout)),
                "b": In(element_shape(layout)),
                "hit": In(1),
                "up": In(1),
                "count": In(count_bits(layout)),
                "factor": In(signed(FACTOR_BITS)),
                "drive_read": In(group),
                "recur_read": In(group),
                "target": In(target_layout(layout)),
                "again": In(1),
                **{f"evaluation{stage}": In(evaluation) for stage in range(1, 5)},
                "plus": In(own),
                "minus": In(own),
                "chain_coupling": In(field),
                "state": In(1),
                "previous": In(1),
                "next": In(1),
                "has_previous": In(1),
                "has_next": In(1),
                "reported": Out(1),
                "sign": Out(1),
                "envelope": Out(layout.config.field_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        addend = self._addend(m)
        drive, recur = self._accumulate(m, addend)
        self._field(m, drive, recur, addend)
        return m

    def _addend(self, m: Module) -> Signal:
        """What is added at stage 2; ±a ± b is ±(a ± b)."""
        how, total, learned = self.addend, self.a, Mux(self.up, 1, -1)
        if self.layout.columns == 2:
            total, learned = plus(self.a, Mux(how.two, self.b, 0), how.differ), self.count
        operand = Signal(Mux(how.learned, learned, total).shape())
        addend = Signal(signed(self.layout.config.field_bits))
        with m.If(how.valid):
            m.d.sync += operand.eq(Mux(how.learned, Mux(self.hit, learned, 0), total))
        m.d.sync += addend.eq(operand * self.factor)
        return addend

    def _accumulate(self, m: Module, addend: Signal) -> tuple[Signal, Signal]:
        """A and R: read at stage 1, added to and written at stage 2; `clear` makes both 0."""
        depth, target = max(2, self.layout.groups), self.target
        total, latest = Signal.like(addend), Signal.like(addend)
        ports = {}
        for name in ("drive", "recur"):
            m.submodules[name] = memory = Memory(shape=addend.shape(), depth=depth, init=[])
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                read.addr.eq(getattr(self, f"{name}_read")),
                write.addr.eq(target.group),
                write.data.eq(total),
            ]
            ports[name] = read.data, write.en
        (drive, drive_write), (recur, recur_write) = ports["drive"], ports["recur"]
        # What was written a cycle ago was not there to be read.
        found = Mux(self.again, latest, Mux(target.drive, drive, recur))
        m.d.comb += [
            total.eq(Mux(target.clear, 0, found) + addend),  # which is 0 then, too
            drive_write.eq(target.valid & (target.drive | target.clear)),
            recur_write.eq(target.valid & (~target.drive | target.clear)),
        ]
        with m.If(target.valid):
            m.d.sync += latest.eq(total)
        return drive, recur

    def _field(self, m: Module, drive: Signal, recur: Signal, addend: Signal) -> None:
        """h = A (free), else R + A + J_D s + λ (s_previous + s_next) [+ F << f]; what it means."""
        chosen = Mux(self.state, self.plus, self.minus)
        if self.layout.config.modules > 1:
            chosen = self._with_chain(m, chosen)
        # A bit more than a field has, for the margin.
        own, partial, side, field = (
            Signal(signed(len(addend) + 1), name=n) for n in ("own", "partial", "side", "h")
        )
        states = [Signal(name=f"state{stage}") for stage in (2, 3, 4)]
        first, second, third = self.evaluation1, self.evaluation2, self.evaluation3
        with m.If(first.valid):
            m.d.sync += [own.eq(chosen), states[0].eq(self.state)]
        with m.If(second.valid):
            m.d.sync += [
                partial.eq(drive + Mux(second.mode == Mode.FREE, 0, recur)),
                side.eq(own + Mux(second.clamped, addend, 0)),
                states[1].eq(states[0]),
            ]
        with m.If(third.valid):
            m.d.sync += [field.eq(partial + side), states[2].eq(states[1])]
        negative, old = field[-1], states[2]
        mode = self.evaluation4.mode
        m.d.comb += [
            self.reported.eq((negative == old) & (mode != Mode.KEEP)),
            self.sign.eq(Mux(turns(mode), ~negative, old)),
            self.envelope.eq(field[:-1] ^ negative.replicate(len(addend))),
        ]

    def _with_chain(self, m: Module, own) -> Value:
        """`own` + λ (s_previous + s_next), a missing neighbour counting 0: 0, ±λ or ±2λ."""
        size = Signal(signed(len(self.chain_coupling) + 1))
        both, one = self.has_previous & self.has_next, self.has_previous ^ self.has_next
        positive = Mux(self.has_previous, self.previous, self.next)
        m.d.comb += size.eq(
            Mux(
                both & (self.previous == self.next),
                self.chain_coupling << 1,
                Mux(one, self.chain_coupling, 0),
            )
        )
        return plus(own, size, ~positive)
