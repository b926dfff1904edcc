"""One lane: the accumulators, fields and updates of the neurons p, p+P, p+2P, …"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon.hw.operation import Kind, Mode, element_shape, group_bits, operation_layout
from relaxon.layout import Layout


class Lane(wiring.Component):
    """Fields and couplings of the neurons on one lane.

    ::

        weight ─▶ shift, ± ─▶ addend ─┐                          ┌▶ flip
                                      ├▶ A, R ─▶ field ─▶ h ─────┼▶ unstable
        state, neighbours ─▶ J_D, λ ──┴───────▶ term ──┘         └▶ envelope
        weight ─▶ ±1, saturate ─▶ updated

    Parameters
    ----------
    layout
        The machine's geometry.
    index
        This lane's number p.

    Members
    -------
    t2, t3, t4, t5 : In(operation)
        The operation that is 2, 3, 4, 5 cycles old.
    positive : In(1)
        Sign of the column of the operation at `t2`.
    weight : In(element)
        Its coupling.
    state, previous, next : In(1)
        At `t3`: the state of this lane's neuron and of its neighbours in the chain.
    learns, learns_positive : In(1)
        The neuron whose row is being updated is unstable; its state.
    self_coupling, chain_coupling, margin : In(signed)
        Registers.
    updated : Out(element), saturated : Out(1)
        At `t3` of an UPDATE: the new coupling, and whether it was cut.
    new_state, flip, unstable : Out(1), envelope : Out(field_bits)
        Six cycles after an EVALUATE; `envelope` is h or, if negative, ~h.

    Timing
    ------
    One operation per cycle. ADD is seen by an EVALUATE issued in the next cycle.
    """

    def __init__(self, layout: Layout, index: int):
        self.layout, self.index = layout, index
        field = signed(layout.config.field_bits)
        operation = operation_layout(layout)
        super().__init__(
            {
                "t2": In(operation),
                "t3": In(operation),
                "t4": In(operation),
                "t5": In(operation),
                "positive": In(1),
                "weight": In(element_shape(layout)),
                "state": In(1),
                "previous": In(1),
                "next": In(1),
                "learns": In(1),
                "learns_positive": In(1),
                "self_coupling": In(field),
                "chain_coupling": In(field),
                "margin": In(field),
                "updated": Out(element_shape(layout)),
                "saturated": Out(1),
                "new_state": Out(1),
                "flip": Out(1),
                "unstable": Out(1),
                "envelope": Out(layout.config.field_bits),
            }
        )

    @property
    def block(self) -> int:
        """The module of the group that this lane belongs to (padding: the last)."""
        if self.layout.modules_per_group == 1:
            return 0
        return min(self.index // self.layout.config.neurons, self.layout.modules_per_group - 1)

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
        m.d.sync += addend.eq(Mux(self.positive, scaled, -scaled))

        total = Signal(shape)
        adds = (self.t3.kind == Kind.ADD) & self.t3.blocks.bit_select(self.block, 1)
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
        terms = Mux(self.state, self.self_coupling, -self.self_coupling)
        if config.modules > 1:
            for neighbour, exists in self._neighbours():
                signed_coupling = Mux(neighbour, self.chain_coupling, -self.chain_coupling)
                terms = terms + Mux(exists, signed_coupling, 0)
        free = self.t3.mode == Mode.FREE
        state = Signal()
        m.d.sync += [
            partial.eq(drive + Mux(free, 0, recur)),
            term.eq(Mux(free, 0, terms)),
            field.eq(partial + term),
            state.eq(self.state),
            old.eq(state),
        ]
        return field

    def _neighbours(self):
        """(state, exists) of the corresponding neurons of the modules before and after."""
        layout = self.layout
        blocks_in_foot = layout.config.modules - (layout.rows - 1) * layout.modules_per_group
        yield self.previous, Const(1) if self.block else ~self.t3.head
        yield self.next, Const(1) if self.block < blocks_in_foot - 1 else ~self.t3.foot

    def _compare(self, m: Module, field: Signal, old: Signal) -> None:
        """New state, flip, stability and envelope of the field at t5."""
        negative, aligned = Signal(), Signal(signed(len(field) + 1))
        m.d.comb += [negative.eq(field < 0), aligned.eq(Mux(old, field, -field))]
        m.d.sync += [
            self.new_state.eq(~negative),
            self.flip.eq((self.t5.mode == Mode.FREE) | (negative == old)),
            self.unstable.eq(aligned <= self.margin),
            self.envelope.eq(field ^ negative.replicate(len(field))),
        ]

    def _update(self, m: Module) -> None:
        """w ← sat(w + u·column): u = ±1 where the row's neuron is unstable, 0 on the diagonal."""
        limit = self.layout.config.weight_max
        place = self.index - self.block * self.layout.config.neurons
        moves, up, cut = Signal(), Signal(), Signal()
        m.d.comb += [
            moves.eq(self.learns & ~(self.t2.diagonal & (self.t2.column == place))),
            up.eq(self.learns_positive == self.positive),
            cut.eq(Mux(up, self.weight >= limit, self.weight <= -limit)),
        ]
        m.d.sync += [
            self.saturated.eq(moves & cut),
            self.updated.eq(self.weight + Mux(moves & ~cut, Mux(up, 1, -1), 0)),
        ]
