"""One lane: the accumulators, fields and updates of the neurons p, p+P, p+2P, …"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon.hw.operation import Kind, Mode, element_shape, operation_layout
from relaxon.layout import Layout


class Lane(wiring.Component):
    """Fields and couplings of the neurons on one lane.

    ::

        weight ─▶ shift, ± ─▶ addend ─▶ A, R ─┬▶ h ─▶ reported, sign, envelope
        state, neighbours ─────▶ J_D, λ ──────┘
        weight ─▶ ±1, saturate ─▶ updated

    Parameters
    ----------
    layout
        The machine's geometry. What differs from lane to lane is decided outside, so that all
        lanes are one and the same module.

    Members
    -------
    t2, t3, t4, t5 : In(operation)
        The operation that is 2, 3, 4, 5 cycles old.
    takes : In(1)
        At `t3`: an ADD concerns this lane's block.
    positive : In(1)
        Sign of the column of the operation at `t2`.
    weight : In(element)
        Its coupling.
    state, previous, next : In(1)
        At `t3`: the state of this lane's neuron and of its neighbours in the chain.
    has_previous, has_next : In(1)
        At `t3`: whether those neighbours exist.
    learns, learns_positive : In(1)
        At `t2` of an UPDATE: this lane's coupling is to learn; the state of its neuron.
    self_coupling, chain_coupling, margin : In(signed)
        Registers.
    updated : Out(element), saturated : Out(1)
        At `t3` of an UPDATE: the new coupling, and whether it was cut.
    reported, sign : Out(1), envelope : Out(field_bits)
        At `t6` of an EVALUATE: the neuron flips, or is unstable; its new, or unchanged, sign; h or,
        if negative, ~h.

    Timing
    ------
    One operation per cycle. ADD is seen by an EVALUATE issued in the next cycle.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        field = signed(layout.config.field_bits)
        operation = operation_layout(layout)
        super().__init__(
            {
                "t2": In(operation),
                "t3": In(operation),
                "t4": In(operation),
                "t5": In(operation),
                "takes": In(1),
                "positive": In(1),
                "weight": In(element_shape(layout)),
                "state": In(1),
                "previous": In(1),
                "next": In(1),
                "has_previous": In(1),
                "has_next": In(1),
                "learns": In(1),
                "learns_positive": In(1),
                "self_coupling": In(field),
                "chain_coupling": In(field),
                "margin": In(field),
                "updated": Out(element_shape(layout)),
                "saturated": Out(1),
                "reported": Out(1),
                "sign": Out(1),
                "envelope": Out(layout.config.field_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        old = Signal()  # the state beside the field, through t4 and t5
        drive, recur = self._accumulate(m)
        field = self._field(m, drive, recur, old)
        self._compare(m, field, old)
        self._update(m)
        return m

    def _accumulate(self, m: Module) -> tuple[Signal, Signal]:
        """A and R of every group: read at t2, added to and written at t3."""
        shape = signed(self.layout.config.field_bits)
        addend = Signal(shape)
        scaled = self.weight << self.t2.shift
        with m.If(self.t2.kind == Kind.ADD):
            m.d.sync += addend.eq(Mux(self.positive, scaled, -scaled))

        total = Signal(shape)
        adds = (self.t3.kind == Kind.ADD) & self.takes
        ports = {}
        for name in ("drive", "recur"):
            m.submodules[name] = memory = Memory(
                shape=shape, depth=max(2, self.layout.groups), init=[]
            )
            write = memory.write_port()
            # Back-to-back columns hit the same group: the sum just written must be seen.
            read = memory.read_port(transparent_for=(write,))
            m.d.comb += [read.addr.eq(self.t2.group), write.addr.eq(self.t3.group)]
            ports[name] = read, write
        (drive, drive_write), (recur, recur_write) = ports["drive"], ports["recur"]
        base = Mux(self.t3.first, 0, Mux(self.t3.drive, drive.data, recur.data))
        m.d.comb += [
            total.eq(base + addend),
            drive_write.data.eq(total),
            drive_write.en.eq(adds & self.t3.drive),
            recur_write.data.eq(Mux(self.t3.drive, 0, total)),
            recur_write.en.eq(adds & (~self.t3.drive | self.t3.first)),
        ]
        return drive.data, recur.data

    def _field(self, m: Module, drive: Signal, recur: Signal, old: Signal) -> Signal:
        """h = A (free), else R + A + J_D s + λ (s_previous + s_next); valid at t5."""
        config = self.layout.config
        partial, term = Signal.like(self.self_coupling), Signal.like(self.self_coupling)
        field = Signal.like(self.self_coupling, name="h")
        own = Mux(self.state, self.self_coupling, -self.self_coupling)
        chain = self._chain(m) if config.modules > 1 else 0
        free = self.t3.mode == Mode.FREE
        state = Signal()
        with m.If(self.t3.kind == Kind.EVALUATE):
            m.d.sync += [
                partial.eq(drive + Mux(free, 0, recur)),
                term.eq(Mux(free, 0, own + chain)),
                state.eq(self.state),
            ]
        with m.If(self.t4.kind == Kind.EVALUATE):
            m.d.sync += [field.eq(partial + term), old.eq(state)]
        return field

    def _chain(self, m: Module) -> Signal:
        """λ (s_previous + s_next), a missing neighbour counting 0: 0, ±λ or ±2λ."""
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
        return Mux(positive, size, -size)

    def _compare(self, m: Module, field: Signal, old: Signal) -> None:
        """What the field at t5 means: a new sign, or stability at the old one; its envelope."""
        negative, aligned = Signal(), Signal(signed(len(field) + 1))
        m.d.comb += [negative.eq(field < 0), aligned.eq(Mux(old, field, -field))]
        with m.If(self.t5.kind == Kind.EVALUATE):
            m.d.sync += self.envelope.eq(field ^ negative.replicate(len(field)))
            with m.If(self.t5.mode == Mode.STABILITY):
                m.d.sync += [self.reported.eq(aligned <= self.margin), self.sign.eq(old)]
            with m.Else():
                free = self.t5.mode == Mode.FREE
                m.d.sync += [self.reported.eq(free | (negative == old)), self.sign.eq(~negative)]

    def _update(self, m: Module) -> None:
        """w ← sat(w + u·column), u being ±1 where the coupling learns."""
        limit = self.layout.config.weight_max
        up, cut = Signal(), Signal()
        m.d.comb += [
            up.eq(self.learns_positive == self.positive),
            cut.eq(Mux(up, self.weight >= limit, self.weight <= -limit)),
        ]
        with m.If(self.t2.kind == Kind.UPDATE):
            m.d.sync += [
                self.saturated.eq(self.learns & cut),
                self.updated.eq(self.weight + Mux(self.learns & ~cut, Mux(up, 1, -1), 0)),
            ]
