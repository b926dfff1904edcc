"""The readout of a column store, whose elements lie in the weight memory: one element at a time.

Nothing is kept but the elements: scores are summed when a decision is due, class after class, and
compared at once.
"""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.arithmetic import plus
from relaxon.hw.hostport import host_port
from relaxon.hw.operation import group_bits, side_layout
from relaxon.hw.readout import total, total_latency
from relaxon.hw.registers import REGISTERS
from relaxon.hw.rotation import delayed
from relaxon.layout import Layout
from relaxon.protocol import Space


class SerialReadout(wiring.Component):
    """Sums and compares the class scores, and lets the readout learn.

    ::

        REST ▶ SUM ▶ SETTLE ▶ JUDGE ─┬▶ LEARN ─┬▶ NEXT ▶ SUM …
                                     └─────────┘     └▶ REST

    In training the label's class comes first, so that every other one is compared with r[y] − gate
    as it comes.

    Parameters
    ----------
    layout
        The machine's geometry.

    Members
    -------
    decide, conclude, ask : In(1)
        Begin: prediction and gate; prediction, and learning of each class that is below its margin;
        nothing but the score of class `score_of`.
    training : In(1), label : In
        y, in training.
    registers : In
    busy : Out(1)
    prediction : Out, passes : Out(1)
        argmax r, the lowest class on a tie; r[y] − max r[c≠y] > gate. They hold until the next start.
    score_of : In, score : Out(signed), known : Out(1)
        `known` for one cycle when the score asked for is there.
    cut : Out
        Elements cut at the end of their range. To count.
    side : Out, words : In, state_read : Out, state_words : In
        To every strip's store and states.
    weights, readout : In(HostPort)

    Timing
    ------
    4 cycles a class and one for each slot of a strip (more where the scores of strips are added:
    `relaxon.hw.readout.total`), 4 for each slot in a class that learns.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        config, strips = layout.config, layout.strips
        super().__init__(
            {
                **{name: In(1) for name in ("decide", "conclude", "ask", "training")},
                "label": In(range(config.classes)),
                "registers": In(REGISTERS),
                "busy": Out(1),
                "prediction": Out(range(config.classes)),
                "passes": Out(1),
                "score_of": In(range(config.classes)),
                "score": Out(signed(config.score_bits)),
                "known": Out(1),
                "cut": Out(bits_for(strips)),
                "side": Out(data.ArrayLayout(side_layout(layout), strips)),
                "words": In(data.ArrayLayout(8 * layout.strip_bytes, strips)),
                "state_read": Out(group_bits(layout)),
                "state_words": In(data.ArrayLayout(layout.strip_lanes, strips)),
                "weights": In(host_port(layout, Space.WEIGHTS)),
                "readout": In(host_port(layout, Space.READOUT)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        self.class_ = Signal(range(layout.config.classes + 1))
        self.own = Signal()  # it is the label's
        self.walks, self.learns, self.clears = Signal(), Signal(), Signal()
        self.turn = Signal(2)  # of a slot that learns: read, found, changed, written
        self.writes = self.turn == 3
        for port in (self.weights, self.readout):  # asked, then found
            m.d.sync += port.done.eq(port.active & ~port.done)
        self._walk(m)
        self._address(m)
        strips = [self._strip(m, number) for number in range(layout.strips)]
        m.d.comb += [
            self.score.eq(total(m, [score for score, _, _ in strips])),
            self.cut.eq(sum(cut for _, cut, _ in strips)),
        ]
        self._host(m, [byte for _, _, byte in strips])
        self._course(m, self._judge(m))
        return m

    # ---- where ------------------------------------------------------------------------------

    def _walk(self, m: Module) -> None:
        """The slot at hand: its lane, its group and its number, the same in every strip."""
        layout = self.layout
        lanes, groups, period = layout.strip_lanes, layout.groups, layout.tail_period
        self.lane, self.group = Signal(range(max(2, lanes))), Signal(range(max(2, groups)))
        phase, last_lane = Signal(range(max(2, period))), self.lane == lanes - 1
        self.last, self.tail = Signal(), Signal()
        m.d.comb += [
            self.last.eq(last_lane & (self.group == groups - 1)),
            self.tail.eq(phase == period - 1),
            self.state_read.eq(self.group),
        ]
        if lanes & (lanes - 1):
            self.slot = Signal(range(lanes * groups))
        else:
            self.slot = Cat(self.lane[: (lanes - 1).bit_length()], self.group)
        with m.If(self.walks & (~self.learns | self.writes)):
            m.d.sync += self.lane.eq(self.lane + 1)
            if lanes & (lanes - 1):
                m.d.sync += self.slot.eq(Mux(self.last, 0, self.slot + 1))
            with m.If(last_lane):
                m.d.sync += [
                    self.lane.eq(0),
                    self.group.eq(Mux(self.last, 0, self.group + 1)),
                    phase.eq(Mux(self.tail, 0, phase + 1)),
                ]
        m.d.sync += self.turn.eq(Mux(self.learns, self.turn + 1, 0))

    def _address(self, m: Module) -> None:
        """The word at hand, the host's or the walk's, and the element's place in it."""
        layout, weights, readout = self.layout, self.weights, self.readout
        slots, stride = layout.strip_lanes * layout.groups, layout.readout_stride
        slot = readout.address
        for strip in range(1, layout.strips):
            first = strip * slots
            slot = Mux(readout.address >= first, readout.address - first, slot)
        slot = Mux(self.readout.active, slot, self.slot)
        class_ = Mux(self.readout.active, readout.byte[1:], self.class_)
        within = (slot // layout.readout_pack)[: (stride - 1).bit_length()]
        line = class_ + layout.readout_base // stride
        self.address = Signal(range(layout.store_words))
        self.element = Signal(range(max(2, layout.readout_pack)))
        m.d.comb += [
            self.address.eq(Mux(self.weights.active, weights.address, Cat(within, line))),
            self.element.eq(slot % layout.readout_pack),
        ]

    # ---- one strip --------------------------------------------------------------------------

    def _strip(self, m: Module, number: int) -> tuple[Signal, Signal, Value]:
        """Sum, change, or have the host access the element at hand. Returns the strip's part of the
        score, whether an element was cut, and the byte that the host reads."""
        layout, config, side = self.layout, self.layout.config, self.side[number]
        lanes, size, registers = layout.strip_lanes, layout.strip_bytes, self.registers
        body, tail = (mask >> number * lanes & (1 << lanes) - 1 for mask in layout.padding())
        valid = Signal(name=f"valid{number}")
        place = Signal(range(max(2, size)), name=f"place{number}")  # of the byte, or of the first
        m.d.comb += [
            valid.eq(self.walks & (Mux(self.tail, tail, body) >> self.lane)[0]),
            place.eq(
                Mux(
                    self.weights.active,
                    self.weights.byte - number * size,
                    Cat(self.readout.active & self.readout.byte[0], self.element),
                )
            ),
        ]
        (sums,) = delayed(m, 2, valid & ~self.learns)
        unit, lane = delayed(m, 1, place[1:], self.lane)
        word = Cat(self.words[number], Const(0, 8))
        found = Array(word.word_select(at, 16) for at in range(-(-size // 2)))[unit]
        raw = Signal(16, name=f"raw{number}")
        element = Signal(signed(config.readout_bits), name=f"element{number}")
        state, cuts = Signal(name=f"state{number}"), Signal(name=f"cuts{number}")
        m.d.comb += raw.eq(found)
        m.d.sync += [
            element.eq(raw),
            state.eq(self.state_words[number].bit_select(lane, 1)),
        ]

        score = Signal(signed(config.score_bits), name=f"score{number}")
        with m.If(sums):
            m.d.sync += score.eq(plus(score, element, ~state))
        with m.If(self.clears):
            m.d.sync += score.eq(0)

        limit = config.readout_max
        step = Mux(self.own, registers.readout_step_true, registers.readout_step_false)
        value = plus(element, Cat(step, Const(0, 1)).as_signed(), state != self.own)
        high, low = value > limit, value < -limit
        new, cut = Signal(signed(16), name=f"new{number}"), Signal(name=f"cut{number}")
        m.d.sync += [
            new.eq(Mux(high, limit, Mux(low, -limit, value))),
            cuts.eq(high | low),
            cut.eq(valid & self.writes & cuts),
        ]
        m.d.comb += [
            side.active.eq(self.walks | self.weights.active | self.readout.active),
            side.address.eq(self.address),
            side.data.eq(new),
        ]
        changes = valid & self.writes
        m.d.comb += side.mask.eq(Mux(changes, 0b11, 1) << place)
        for host, span in (
            (self.weights.byte, size),
            (self.readout.address, lanes * layout.groups),
        ):
            name = "weights" if host is self.weights.byte else "readout"
            port = getattr(self, name)
            mine = (host >= number * span) & (host < (number + 1) * span)
            with m.If(port.active):
                m.d.comb += side.data.eq(port.write_data.replicate(2))
            changes |= port.active & port.write & mine
        m.d.comb += side.write.eq(changes)
        byte = Signal(8, name=f"byte{number}")
        views = []
        for bits in (layout.element_bits, config.readout_bits):
            views.append(Signal(signed(16), name=f"view{len(views)}_{number}"))
            m.d.comb += views[-1].eq(raw[:bits].as_signed() if bits > 8 else raw)
        view = Mux(self.weights.active, *views)
        m.d.comb += byte.eq(view.as_unsigned().word_select(place[0], 8))
        return score, cut, byte

    # ---- the host ---------------------------------------------------------------------------

    def _host(self, m: Module, bytes_: list[Signal]) -> None:
        layout = self.layout
        for port, at, span in (
            (self.weights, self.weights.byte, layout.strip_bytes),
            (self.readout, self.readout.address, layout.strip_lanes * layout.groups),
        ):
            chosen = bytes_[0]
            for number, byte in enumerate(bytes_[1:], 1):
                chosen = Mux(at >= number * span, byte, chosen)
            m.d.comb += port.read_data.eq(chosen)

    # ---- the course of a decision -----------------------------------------------------------

    def _judge(self, m: Module) -> tuple[Signal, Signal]:
        """Compare the score at hand, in the cycle of the first signal; the second tells whether the
        class is to learn."""
        registers, score = self.registers, self.score
        best, any_best = Signal.like(score, name="best"), Signal()
        limit = Signal(signed(len(score) + 1))  # r[y] − gate
        judges, low, wins = Signal(), Signal(), Signal()
        ahead = self.class_ < self.prediction  # only where y came first
        rival = Cat(ahead, score).as_signed()
        margin = Mux(self.own, registers.readout_margin_true, registers.readout_margin_false)
        m.d.comb += [
            wins.eq(plus(Cat(Const(0, 1), best).as_signed(), rival, Const(1))[-1]),
            low.eq(~plus(margin, score, self.own)[-1]),
        ]
        with m.If(~self.busy):
            m.d.sync += [any_best.eq(0), self.passes.eq(1)]
        with m.If(judges):
            m.d.sync += any_best.eq(1)
            with m.If(~any_best | wins):
                m.d.sync += [best.eq(score), self.prediction.eq(self.class_)]
            with m.If(self.own):
                m.d.sync += limit.eq(score - registers.gate)
            with m.Elif(score >= limit):
                m.d.sync += self.passes.eq(0)
        return judges, low

    def _course(self, m: Module, judged: tuple[Signal, Signal]) -> None:
        judges, low = judged
        classes, asks, concludes = self.layout.config.classes, Signal(), Signal()
        settled = Signal(range(total_latency(self.layout.strips) + 1))
        following, skipping = Signal.like(self.class_), Signal.like(self.class_)
        m.d.comb += [
            following.eq(Mux(self.own, 0, self.class_ + 1)),
            skipping.eq(following + (self.training & (following == self.label))),
        ]
        with m.FSM() as fsm:
            with m.State("REST"):
                m.d.comb += self.clears.eq(1)
                m.d.sync += [
                    asks.eq(self.ask),
                    concludes.eq(self.conclude),
                    self.own.eq(self.training & ~self.ask),
                    self.class_.eq(
                        Mux(self.ask, self.score_of, Mux(self.training, self.label, 0))
                    ),
                ]
                with m.If(self.decide | self.conclude | self.ask):
                    m.next = "SUM"
            with m.State("SUM"):  # r[c], a slot per cycle
                m.d.comb += self.walks.eq(1)
                m.d.sync += settled.eq(0)
                with m.If(self.last):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settled.eq(settled + 1)
                with m.If(settled == total_latency(self.layout.strips)):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.comb += [judges.eq(~asks), self.known.eq(asks)]
                m.next = "NEXT"
                with m.If(asks):
                    m.next = "REST"
                with m.Elif(concludes & low & self.registers.learn_readout):
                    m.next = "LEARN"
            with m.State("LEARN"):  # O[c] ← sat(O[c] ± step·s): four cycles a slot
                m.d.comb += [self.walks.eq(1), self.learns.eq(1)]
                with m.If(self.writes & self.last):
                    m.next = "NEXT"
            with m.State("NEXT"):  # the next class but the label's, which was the first
                m.d.comb += self.clears.eq(1)
                m.d.sync += [self.class_.eq(skipping), self.own.eq(0)]
                m.next = "SUM"
                with m.If(skipping == classes):
                    m.next = "REST"
        m.d.comb += self.busy.eq(~fsm.ongoing("REST"))
