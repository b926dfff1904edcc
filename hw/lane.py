"""One lane: the accumulators and fields of one neuron in every group."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.operation import (
    SHIFT_BITS,
    Mode,
    element_shape,
    evaluation_layout,
    group_bits,
)
from relaxon.layout import Layout


def addend_layout(layout: Layout) -> data.StructLayout:
    """How the words of an access become what is added: (±a ± b) << shift, b only if `two`,
    doubled if `twice`."""
    return data.StructLayout(
        {
            "valid": 1,
            "two": 1,
            "positive_a": 1,
            "positive_b": 1,
            "shift": unsigned(SHIFT_BITS),
            "twice": 1,
        }
    )


def target_layout(layout: Layout) -> data.StructLayout:
    """Where it is added: to A (`drive`) or R of `group`; `first` starts A from 0 and clears R."""
    return data.StructLayout(
        {"valid": 1, "drive": 1, "first": 1, "group": unsigned(group_bits(layout))}
    )


def change_bits(layout: Layout) -> int:
    """Width of a field's correction: as many LSB as couplings learn at once, shifted."""
    return layout.banks.bit_length() + protocol.REGISTERS[0].high + 1


class Lane(wiring.Component):
    """Accumulators A and R, and the field, of the neurons on one lane.

    ::

        a, b ─▶ ±, shift ─▶ addend ─▶ A, R ─┬▶ h ─▶ reported, sign, envelope
        change ─────────────▶┘              │
        state, neighbours ─────▶ J_D, λ ────┘

    Parameters
    ----------
    layout
        The machine's geometry. All lanes are one and the same module.

    Members
    -------
    addend : In, a, b : In(element)
        At stage 0: couplings, and how they make the addend.
    change : In(valid, hit, up), amount : In
        At stage 0, instead: learning changes fields by ±amount, where it hits.
    drive_read, recur_read : In(group)
        At stage 0: whose A and R are used at stage 1.
    target : In, again : In(1)
        At stage 1: where the addend goes; it went to the same place a cycle ago.
    evaluation1 … evaluation3 : In
        The evaluation at stages 1 … 3.
    state, previous, next, has_previous, has_next : In(1)
        At stage 1: the state of the neuron and of its neighbours in the chain, if they exist.
    self_plus, self_minus, chain_coupling, margin : In(signed)
        J_D, −J_D, λ and κ.
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
        field = signed(layout.config.field_bits)
        evaluation, group = evaluation_layout(layout), group_bits(layout)
        super().__init__(
            {
                "addend": In(addend_layout(layout)),
                "a": In(element_shape(layout)),
                "b": In(element_shape(layout)),
                "change": In(data.StructLayout({"valid": 1, "hit": 1, "up": 1})),
                "amount": In(signed(change_bits(layout))),
                "drive_read": In(group),
                "recur_read": In(group),
                "target": In(target_layout(layout)),
                "again": In(1),
                **{f"evaluation{stage}": In(evaluation) for stage in range(1, 4)},
                "state": In(1),
                "previous": In(1),
                "next": In(1),
                "has_previous": In(1),
                "has_next": In(1),
                "self_plus": In(field),
                "self_minus": In(field),
                "chain_coupling": In(field),
                "margin": In(field),
                "reported": Out(1),
                "sign": Out(1),
                "envelope": Out(layout.config.field_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        addend, negative = Signal(signed(self.layout.config.field_bits)), Signal()
        self._add(m, addend, negative)
        drive, recur = self._accumulate(m, addend, negative)
        field, old = self._field(m, drive, recur, addend)
        self._compare(m, field, old)
        return m

    def _add(self, m: Module, addend: Signal, negative: Signal) -> None:
        """The addend and its sign; ±a ± b is ±(a ± b)."""
        how, total = self.addend, self.a
        if self.layout.columns == 2:
            differ = how.positive_a ^ how.positive_b
            total = _plus(self.a, Mux(how.two, self.b, 0), differ & how.two)
        with m.If(how.valid):
            total = Mux(how.twice, total << 1, total)
            m.d.sync += [addend.eq(total << how.shift), negative.eq(~how.positive_a)]
        with m.Elif(self.change.valid):
            m.d.sync += addend.eq(Mux(self.change.hit, self.amount, 0))
            m.d.sync += negative.eq(~self.change.up)

    def _accumulate(
        self, m: Module, addend: Signal, negative: Signal
    ) -> tuple[Signal, Signal]:
        """A and R: read at stage 0, added to and written at stage 1."""
        depth, target = max(2, self.layout.groups), self.target
        total, latest = Signal.like(addend), Signal.like(addend)
        ports = {}
        for name in ("drive", "recur"):
            m.submodules[name] = memory = Memory(shape=addend.shape(), depth=depth, init=[])
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                read.addr.eq(getattr(self, f"{name}_read")),
                write.addr.eq(target.group),
            ]
            ports[name] = read, write
        (drive, drive_write), (recur, recur_write) = ports["drive"], ports["recur"]
        # What was written a cycle ago was not there to be read.
        found = Mux(self.again, latest, Mux(target.drive, drive.data, recur.data))
        m.d.comb += [
            total.eq(_plus(Mux(target.first, 0, found), addend, negative)),
            drive_write.data.eq(total),
            drive_write.en.eq(target.valid & target.drive),
            recur_write.data.eq(Mux(target.drive, 0, total)),
            recur_write.en.eq(target.valid & (~target.drive | target.first)),
        ]
        with m.If(target.valid):
            m.d.sync += latest.eq(total)
        return drive.data, recur.data

    def _field(
        self, m: Module, drive: Signal, recur: Signal, addend: Signal
    ) -> tuple[Signal, Signal]:
        """h = A (free), else R + A + J_D s + λ (s_previous + s_next) [+ F << f]; at stage 3, with
        the state beside it."""
        config = self.layout.config
        partial, term, kick = (Signal.like(addend, name=n) for n in ("partial", "term", "kick"))
        field = Signal.like(addend, name="h")
        own = Mux(self.state, self.self_plus, self.self_minus)
        if config.modules > 1:
            own = self._with_chain(m, own)
        free = self.evaluation1.mode == Mode.FREE
        state, old = Signal(), Signal()
        with m.If(self.evaluation1.valid):
            m.d.sync += [
                partial.eq(drive + Mux(free, 0, recur)),
                term.eq(Mux(free, 0, own)),
                kick.eq(Mux(self.evaluation1.clamped, addend, 0)),
                state.eq(self.state),
            ]
        with m.If(self.evaluation2.valid):
            m.d.sync += [field.eq(partial + term + kick), old.eq(state)]
        return field, old

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
        return _plus(own, size, ~positive)

    def _compare(self, m: Module, field: Signal, old: Signal) -> None:
        """What the field at stage 3 means: a new sign, or stability at the old one; its envelope."""
        negative = field[-1]
        stable = _plus(self.margin, field, old)[-1]  # κ − s·h is negative
        with m.If(self.evaluation3.valid):
            m.d.sync += self.envelope.eq(field ^ negative.replicate(len(field)))
            with m.If(self.evaluation3.mode == Mode.STABILITY):
                m.d.sync += [self.reported.eq(~stable), self.sign.eq(old)]
            with m.Else():
                m.d.sync += [self.reported.eq(negative == old), self.sign.eq(~negative)]


def _plus(value, other, negative) -> Value:
    """value + other or, where `negative`, value − other, with one carry chain; one bit wider."""
    width = max(len(value), len(other)) + 1
    first, second = (Cat(v, v[-1].replicate(width - len(v))) for v in (value, other))
    total = Cat(negative, first) + Cat(negative, second ^ negative.replicate(width))
    return total[1 : 1 + width].as_signed()
