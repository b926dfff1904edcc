"""The readout of a column store, whose elements lie in the weight memory: one class at a time.

Nothing is kept but the elements: scores are summed when a decision is due, class after class, and
compared at once. What is summed, or learns, at once is a *unit*: `readout_width` neighbouring
elements of one word.
"""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.cycles import timing
from relaxon.hw.arithmetic import plus, with_carry
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
    L + 4 cycles a class, L being `Timing.side`, and one for each unit of a strip (more where the
    elements of a unit are added, two at a time, and the scores of strips: `relaxon.hw.readout.total`);
    L + 1, and two for each unit, in a class that learns. A byte of the host's takes L + 2, or L + 6
    where L is more than 1.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        self._latency = timing(layout.config).side
        assert self._latency % 2, "while units learn, they are read and written in turn"
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
                "cut": Out(bits_for(strips * layout.readout_width)),
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
        registers = self.registers
        self.step = Signal.like(registers.readout_step_true)  # of the class, and its margin
        self.margin = Signal.like(registers.readout_margin_true)
        m.d.sync += [
            self.step.eq(Mux(self.own, registers.readout_step_true, registers.readout_step_false)),
            self.margin.eq(
                Mux(self.own, registers.readout_margin_true, registers.readout_margin_false)
            ),
        ]
        # Of units that learn: one is read, then one that was read before is written.
        self.writes = Signal()
        self._host_ports = [self._near(m, port) for port in (self.weights, self.readout)]
        answer = self._latency if self._latency == 1 else self._latency + 2
        for port in self._host_ports:  # asked, found, chosen
            waits = Signal(range(answer + 1))
            goes_on = port.active & ~port.done
            m.d.sync += [
                waits.eq(Mux(goes_on, waits + 1, 0)),
                port.done.eq(goes_on & (waits == answer)),
            ]
        self._walk(m)
        self._address(m)
        strips = [self._strip(m, number) for number in range(layout.strips)]
        m.d.comb += self.score.eq(total(m, [score for score, _, _ in strips]))
        m.d.sync += self.cut.eq(sum(cut for _, cuts, _ in strips for cut in cuts))
        self._host(m, [byte for _, _, byte in strips])
        self._course(m, self._judge(m))
        return m

    # ---- where ------------------------------------------------------------------------------

    def _walk(self, m: Module) -> None:
        """The unit at hand: its place in its group, the group and its number, the same in every
        strip."""
        layout = self.layout
        parts, groups = layout.strip_lanes // layout.readout_width, layout.groups
        period = layout.tail_period
        self.part, self.group = Signal(range(max(2, parts))), Signal(range(max(2, groups)))
        phase, last_part = Signal(range(max(2, period))), self.part == parts - 1
        self.last, self.tail = Signal(), Signal()
        m.d.comb += [
            self.last.eq(last_part & (self.group == groups - 1)),
            self.tail.eq(phase == period - 1),
        ]
        m.d.comb += self.state_read.eq(delayed(m, self._latency - 1, self.group)[0])
        if parts & (parts - 1):
            self.unit = Signal(range(parts * groups))
        else:
            self.unit = Cat(self.part[: (parts - 1).bit_length()], self.group)
        with m.If(self.walks & (~self.learns | self.writes)):
            m.d.sync += self.part.eq(self.part + 1)
            if parts & (parts - 1):
                m.d.sync += self.unit.eq(Mux(self.last, 0, self.unit + 1))
            with m.If(last_part):
                m.d.sync += [
                    self.part.eq(0),
                    self.group.eq(Mux(self.last, 0, self.group + 1)),
                    phase.eq(Mux(self.tail, 0, phase + 1)),
                ]
        m.d.sync += self.writes.eq(self.learns & ~self.writes)

    def _read_before(self, m: Module, *signals) -> list:
        """As the signals were when the unit was read that is being written: found, and changed."""
        late = [Value.cast(signal) for signal in signals]
        for _ in range((self._latency + 1) // 2):
            for i, before in enumerate(late):
                late[i] = Signal.like(before, name=f"read{i}")
                with m.If(self.writes):
                    m.d.sync += late[i].eq(before)
        return late

    def _address(self, m: Module) -> None:
        """The word at hand, the host's or the walk's, and their units' places in it."""
        layout, (weights, readout) = self.layout, self._host_ports
        slots, stride = layout.strip_lanes * layout.groups, layout.readout_stride
        units = layout.readout_pack // layout.readout_width  # of a word
        found, slot = readout.address, Signal(range(slots))
        for strip in range(1, layout.strips):
            first = strip * slots
            found = Mux(readout.address >= first, readout.address - first, found)
        m.d.sync += slot.eq(found)  # an address is there before the access
        before, self.through = self._read_before(m, self.unit, self.walks & self.last)
        asked, unit = slot // layout.readout_width, Mux(self.writes, before, self.unit)
        class_ = Mux(readout.active, readout.byte[1:], self.class_)
        within = (Mux(readout.active, asked, unit) // units)[: (stride - 1).bit_length()]
        line = class_ + layout.readout_base // stride
        self.address = Signal(range(layout.store_words))
        self.place, self.host_place = (Signal(range(max(2, units)), name=n) for n in ("walk", "host"))
        m.d.comb += [
            self.address.eq(Mux(weights.active, weights.address, Cat(within, line))),
            self.place.eq(unit % units),
            self.host_place.eq(asked % units),
        ]

    # ---- one strip --------------------------------------------------------------------------

    def _strip(self, m: Module, number: int) -> tuple[Signal, list[Signal], Value]:
        """Sum, change, or have the host access the unit at hand. Returns the strip's part of the
        score, whether elements were cut, and the byte that the host reads."""
        layout, size, width = self.layout, self.layout.strip_bytes, self.layout.readout_width
        host, (weights, readout) = self._host_access(m, number), self._host_ports
        # Where in the word the host's unit is, and its byte of it.
        unit, byte = Signal(range(max(2, -(-size // (2 * width))))), Signal(range(2 * width))
        m.d.comb += [
            unit.eq(Mux(weights.active, host // (2 * width), self.host_place)),
            byte.eq(
                Mux(
                    weights.active,
                    host % (2 * width),
                    Cat(readout.byte[0], readout.address % width),
                )
            ),
        ]
        # The host waits for its word, and need not be delayed.
        place, late = delayed(m, self._latency - 1, self.place, self.part)
        at, part = Signal.like(unit, name=f"at{number}"), Signal.like(late, name=f"part{number}")
        m.d.sync += [
            at.eq(Mux(weights.active | readout.active, unit, place)),
            part.eq(late),
        ]
        # Of a column of W, J or F the last unit may be a part of one.
        word = Cat(self.words[number], Const(0, 16 * width))
        units = [word.word_select(u, 16 * width) for u in range(-(-size // (2 * width)))]
        raw = Signal(data.ArrayLayout(16, width), name=f"raw{number}")
        m.d.sync += raw.as_value().eq(Array(units)[at])

        body, tail = (
            mask >> number * layout.strip_lanes & (1 << layout.strip_lanes) - 1
            for mask in layout.padding()
        )
        valid, found, falls = (
            Signal(width, name=f"{name}{number}") for name in ("valid", "state", "falls")
        )
        states = self.state_words[number].word_select(part, width)
        own = self.own.replicate(width)
        m.d.sync += [found.eq(states), falls.eq(states ^ own)]
        m.d.comb += valid.eq(
            Mux(self.tail, tail, body).word_select(self.part, width) & self.walks.replicate(width)
        )
        elements = [raw[e][: layout.config.readout_bits].as_signed() for e in range(width)]
        score = self._sum(m, number, elements, found, valid & (~self.learns).replicate(width))
        new, cuts = self._change(m, number, elements, falls)

        (counts,) = self._read_before(m, valid)
        side, changes = self.side[number], counts & self.writes.replicate(width)
        cut = [Signal(name=f"cut{number}_{e}") for e in range(width)]
        m.d.sync += [each.eq(cuts[e] & changes[e]) for e, each in enumerate(cut)]
        # The host's byte here: known a cycle after its place.
        writes, hosts = Signal(name=f"writes{number}"), Signal(size, name=f"hosts{number}")
        m.d.sync += hosts.eq(
            Cat((unit == b // (2 * width)) & (byte == b % (2 * width)) for b in range(size))
        )
        m.d.comb += [
            side.active.eq(self.walks | self.learns | weights.active | readout.active),
            side.address.eq(self.address),
            side.data.eq(Cat(new)),
            side.write.eq(changes.any() | writes),
            side.mask.eq(
                Mux(
                    writes,
                    hosts,
                    Cat(
                        (self.place == b // (2 * width)) & changes[b // 2 % width]
                        for b in range(size)
                    ),
                )
            ),
        ]
        for port, at, span in self._spans():
            here = Signal()
            m.d.sync += here.eq(port.active & (at >= number * span) & (at < (number + 1) * span))
            with m.If(port.active):
                m.d.comb += [
                    side.data.eq(port.write_data.replicate(2 * width)),
                    writes.eq(port.write & here),
                ]

        far = int(self._latency > 1)
        (chosen,) = delayed(m, far, raw.as_value().word_select(byte[1:], 16))
        views = []
        for bits in (layout.element_bits, layout.config.readout_bits):
            views.append(Signal(signed(16), name=f"view{len(views)}_{number}"))
            m.d.comb += views[-1].eq(chosen[:bits].as_signed() if bits > 8 else chosen)
        view = Mux(weights.active, *views)
        (byte,) = delayed(m, far, view.as_unsigned().word_select(byte[0], 8))
        return score, cut, byte

    def _sum(self, m: Module, number: int, elements: list, states, valid) -> Signal:
        """The score, of elements that are there a cycle after their word."""
        width, shape = len(elements), signed(self.layout.config.score_bits)
        (counts,) = delayed(m, self._latency + 1, valid)
        # −e is ~e + 1, and every adder has room for one such 1.
        values = [Signal(elements[0].shape(), name=f"turned{number}_{e}") for e in range(width)]
        ones, any_ = Signal(width, name=f"ones{number}"), Signal(name=f"sums{number}")
        for e, value in enumerate(values):
            turned = elements[e] ^ (~states[e]).replicate(len(value))
            m.d.sync += value.eq(turned & counts[e].replicate(len(value)))
        m.d.sync += [ones.eq(~states & counts), any_.eq(counts.any())]
        ones = list(ones)
        while len(values) > 1:
            sums = []
            for at in range(0, len(values), 2):
                total_ = Signal(signed(len(values[0]) + 1), name=f"sum{number}_{len(values)}_{at}")
                m.d.sync += total_.eq(with_carry(values[at], values[at + 1], ones.pop()))
                sums.append(total_)
            values = sums
            *ones, any_ = delayed(m, 1, *ones, any_)
        score = Signal(shape, name=f"score{number}")
        with m.If(any_):
            m.d.sync += score.eq(with_carry(score, values[0], ones.pop()))
        with m.If(self.clears):
            m.d.sync += score.eq(0)
        return score

    def _change(self, m: Module, number: int, elements: list, falls) -> tuple[list, list]:
        """What elements become, and whether they are cut, a cycle later."""
        limit = self.layout.config.readout_max
        n = limit.bit_length()
        changed, cuts = [], []
        for e, element in enumerate(elements):
            new, cut = Signal(signed(16), name=f"new{number}_{e}"), Signal(name=f"cuts{number}_{e}")
            value = plus(element, Cat(self.step, Const(0, 1)).as_signed(), falls[e])
            # Beyond 2ⁿ − 1, or below its negative, without another subtraction.
            low_bits, high_bits, sign = value[:n], value[n:-1], value[-1]
            high, low = ~sign & high_bits.any(), sign & ~(low_bits.any() & high_bits.all())
            m.d.sync += [
                new.eq(Mux(high, limit, Mux(low, -limit, value))),
                cut.eq(high | low),
            ]
            changed.append(new)
            cuts.append(cut)
        return changed, cuts

    # ---- the host ---------------------------------------------------------------------------

    def _spans(self) -> tuple:
        """The host's ports, what tells the strip there, and how much of it is a strip's."""
        layout, (weights, readout) = self.layout, self._host_ports
        return (
            (weights, weights.byte, layout.strip_bytes),
            (readout, readout.address, layout.strip_lanes * layout.groups),
        )

    def _near(self, m: Module, port):
        """The port, with registers both ways where the memory is large: the host is far away."""
        if self._latency == 1:
            return port
        near = port.signature.flip().create()
        m.d.sync += [
            near.active.eq(port.active & ~near.done & ~port.done),
            *(getattr(near, name).eq(getattr(port, name))
              for name in ("address", "byte", "write", "write_data")),
            port.read_data.eq(near.read_data),
            port.done.eq(near.done),
        ]  # fmt: skip
        return near

    def _host_access(self, m: Module, number: int) -> Signal:
        """The byte of this strip's word of weights."""
        byte = Signal(range(max(2, self.layout.strip_bytes)), name=f"byte{number}")
        weights, _ = self._host_ports
        m.d.sync += byte.eq(weights.byte - number * self.layout.strip_bytes)
        return byte

    def _host(self, m: Module, bytes_: list) -> None:
        for port, at, span in self._spans():
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
        limit = Signal(signed(max(len(score), len(registers.gate)) + 1))  # r[y] − gate
        judges, low, wins = Signal(), Signal(), Signal()
        ahead = self.class_ < self.prediction  # only where y came first
        rival = Cat(ahead, score).as_signed()
        m.d.comb += [
            wins.eq(plus(Cat(Const(0, 1), best).as_signed(), rival, Const(1))[-1]),
            low.eq(~plus(self.margin, score, self.own)[-1]),
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
        read = Signal()  # all units that are to learn
        # from the last unit's address to the score: its elements, turned, added two by two …
        adding = self.layout.readout_width.bit_length() + total_latency(self.layout.strips)
        adding += self._latency - 1
        settled = Signal(range(adding + 1))
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
            with m.State("SUM"):  # r[c], a unit per cycle
                m.d.comb += self.walks.eq(1)
                m.d.sync += settled.eq(0)
                with m.If(self.last):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settled.eq(settled + 1)
                with m.If(settled == adding):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.comb += [judges.eq(~asks), self.known.eq(asks)]
                m.next = "NEXT"
                with m.If(asks):
                    m.next = "REST"
                with m.Elif(concludes & low & self.registers.learn_readout):
                    m.next = "LEARN"
            with m.State("LEARN"):  # O[c] ← sat(O[c] ± step·s): unit after unit
                m.d.comb += [self.walks.eq(~read), self.learns.eq(1)]
                with m.If(self.writes & self.last):
                    m.d.sync += read.eq(1)
                with m.If(self.writes & self.through):
                    m.next = "NEXT"
            with m.State("NEXT"):  # the next class but the label's, which was the first
                m.d.comb += self.clears.eq(1)
                m.d.sync += [self.class_.eq(skipping), self.own.eq(0), read.eq(0)]
                m.next = "SUM"
                with m.If(skipping == classes):
                    m.next = "REST"
        m.d.comb += self.busy.eq(~fsm.ongoing("REST"))
