"""The command port: takes frames in sequence, has them carried out, and answers."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.access import AccessPort, port_name
from relaxon.hw.answer import Answer, AnswerWriter
from relaxon.hw.hostport import host_port
from relaxon.hw.identity import Identity
from relaxon.hw.order import Order
from relaxon.hw.replies import REPLY_BYTE
from relaxon.hw.samples import SamplePort, SampleTarget
from relaxon.hw.streams import feed
from relaxon.layout import Layout
from relaxon.protocol import Feature, Opcode, Space, Status


class CommandPort(wiring.Component):
    """Carries out one frame after another; `docs/protocol.md` is its behaviour.

    ::

        receiver ─▶ ACCEPT ▶ HEAD ▶ ORDER ─┬▶ SAMPLE ▶ ALONE ────── samples ─▶ machine ┐
                                           ├▶ ACCESS ────────────── access ─▶ words ───┤
                                           ├▶ HELLO ─────────────── identity ──────────┼▶ answer
                                           ├▶ ANSWER, COMPLAIN ────────────────────────┘    │
                                           └▶ REPEAT ────────────────────────────────────▶ replies

    A good TRAIN or INFER that is due is fetched while the machine computes the one before. Every
    other frame waits until all samples under way are computed and answered.

    Parameters
    ----------
    layout
        The machine's geometry.
    build, clock_hz, features
        Told to the host by HELLO; SELF_TEST is known if it is among the features.

    Members
    -------
    frame_valid, frame_length, bytes, next_frame
        From the `Receiver`.
    slot, payload, repeat, pending
        To the `ReplyCache`.
    machine : Out(SampleTarget)
    *_port : Out(HostPort), invalidate : Out(1)
        See `AccessPort`.
    duplicate, out_of_sequence, refused, link_cycle : Out(1)
        To count.
    busy : Out(1)
    aside : In(1)
        Frames are carried out whatever their sequence numbers, which stay as they were.
    self_test : Out(1)
        Pulse: the host asks for it.

    Timing
    ------
    A sample is taken in at most 8 cycles and 2 for each byte of the body, while the machine computes
    the one before.
    """

    def __init__(
        self, layout: Layout, *, build: int = 0, clock_hz: int = 0, features: int = 0
    ):
        self.layout, self._features = layout, features
        self._told = {"build": build, "clock_hz": clock_hz, "features": features}
        super().__init__(
            {
                "frame_valid": In(1),
                "frame_length": In(range(layout.rx_bytes)),
                "bytes": In(stream.Signature(8)),
                "next_frame": Out(1),
                "slot": Out(range(protocol.SLOTS)),
                "payload": Out(stream.Signature(REPLY_BYTE)),
                "repeat": Out(1),
                "pending": In(1),
                "machine": Out(SampleTarget(layout)),
                **{port_name(space): Out(host_port(layout, space)) for space in Space},
                "invalidate": Out(1),
                "duplicate": Out(1),
                "out_of_sequence": Out(1),
                "refused": Out(1),
                "link_cycle": Out(1),
                "busy": Out(1),
                "aside": In(1),
                "self_test": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self.sequence, self.opcode, self.status = Signal(8), Signal(8), Signal(8)
        self.length = Signal.like(self.frame_length)  # of the body
        self.answer = Answer().create()  # to the frame at hand, samples apart
        self.repeats = Signal()  # it was answered before

        m.submodules.order = self.order = Order()
        m.d.comb += [self.order.sequence.eq(self.sequence), self.order.aside.eq(self.aside)]
        self._samples(m)
        self._access(m)
        m.submodules.identity = self.identity = Identity(self.layout, **self._told)
        m.d.comb += [
            self.identity.expected.eq(self.order.expected),
            self.identity.opened.eq(self.order.opened),
        ]
        with m.FSM() as fsm:
            self._header(m)
            self._order(m)
            self._carry_out(m)
            self._tell(m)
        self._write_answers(m)
        m.d.comb += self.busy.eq(~fsm.ongoing("ACCEPT") | self.samples.busy)
        return m

    # ---- the parts --------------------------------------------------------------------------

    def _samples(self, m: Module) -> None:
        m.submodules.samples = samples = self.samples = SamplePort(self.layout)
        wiring.connect(m, samples.machine, wiring.flipped(self.machine))
        # A cycle after the opcode; nothing is carried out in that one.
        m.d.sync += [
            samples.training.eq(self.opcode == Opcode.TRAIN),
            samples.scoring.eq(self.opcode == Opcode.SCORE),
        ]
        m.d.comb += [
            samples.expected.eq(self.order.expected),
            self.link_cycle.eq(samples.link_cycle),
        ]

    def _access(self, m: Module) -> None:
        m.submodules.access = access = self.access = AccessPort(self.layout)
        for space in Space:
            name = port_name(space)
            wiring.connect(m, getattr(access, name), wiring.flipped(getattr(self, name)))
        m.d.sync += access.reads.eq(self.opcode == Opcode.READ)
        m.d.comb += [
            access.length.eq(self.length),
            self.invalidate.eq(access.invalidate),
        ]

    def _write_answers(self, m: Module) -> None:
        m.submodules.writer = writer = AnswerWriter()
        wiring.connect(m, writer.payload, wiring.flipped(self.payload))
        wiring.connect(m, writer.early, self.samples.answer)
        wiring.connect(m, writer.late, self.answer)
        m.d.comb += [
            writer.pending.eq(self.pending),
            self.answer.head.payload.slot.eq(self.order.expected),
            self.answer.head.payload.sequence.eq(self.sequence),
        ]
        # Each a cycle late, which neither side of the writer is quick enough to notice.
        m.d.sync += [
            writer.hold.eq(self.samples.busy),
            self.slot.eq(Mux(self.repeats, self.sequence, writer.slot)),
            self.repeat.eq(self.repeats),
        ]

    # ---- taking a frame ---------------------------------------------------------------------

    def _take(self, m: Module):
        """Read one byte of the frame; the returned condition holds when it is there."""
        m.d.comb += self.bytes.ready.eq(1)
        return m.If(self.bytes.valid)

    def _header(self, m: Module) -> None:
        with m.State("ACCEPT"):
            with m.If(self.frame_valid):
                with self._take(m):
                    m.d.sync += [
                        self.sequence.eq(self.bytes.payload),
                        self.length.eq(self.frame_length - protocol.HEADER_BYTES),
                    ]
                    m.next = "HEAD"
        with m.State("HEAD"):
            with self._take(m):
                m.d.sync += self.opcode.eq(self.bytes.payload)
                m.next = "ORDER"

    def _order(self, m: Module) -> None:
        """Only the frame that is due is carried out."""
        order, inputs = self.order, self.layout.input_bytes
        overlaps = Signal()  # a good sample, but for its label
        m.d.comb += overlaps.eq(
            order.due
            & Cat(
                (self.opcode == opcode) & (self.length == head + inputs)
                for opcode, head in ((Opcode.TRAIN, protocol.TRAIN.size), (Opcode.INFER, 0))
            ).any()
        )
        with m.State("ORDER"):
            with m.If(overlaps):
                m.next = "SAMPLE"
            with m.Elif(~self.samples.busy):
                greets = self.opcode.matches(*protocol.GREETINGS)
                with m.If(greets & (self.length == protocol.HELLO.size)):
                    m.next = "HELLO"
                with m.Elif(order.due):
                    self._dispatch(m)
                with m.Elif(order.repeated):
                    m.next = "REPEAT"
                with m.Else():
                    m.d.comb += [self.out_of_sequence.eq(1), order.complain.eq(1)]
                    m.next = "COMPLAIN"
                    with m.If(order.complained):
                        m.next = "LEAVE"
        with m.State("REPEAT"):  # answered before: the same answer again
            m.d.comb += [self.repeats.eq(1), self.duplicate.eq(1)]
            m.next = "LEAVE"
        with m.State("LEAVE"):
            m.d.comb += self.next_frame.eq(1)
            m.next = "ACCEPT"

    def _dispatch(self, m: Module) -> None:
        """To the state of the opcode, or to the error that it or its length deserves."""
        m.d.sync += self.status.eq(Status.BAD_LENGTH)
        m.next = "ANSWER"
        with m.Switch(self.opcode):
            with m.Case(Opcode.READ, Opcode.WRITE):
                with m.If(self.length >= protocol.ACCESS.size):
                    m.next = "ACCESS"
            with m.Case(Opcode.SCORE):
                with m.If(self.length == self.layout.input_bytes):
                    m.next = "SAMPLE"
            with m.Case(*protocol.GREETINGS, Opcode.TRAIN, Opcode.INFER):
                pass
            if self._features & Feature.SELF_TEST:
                with m.Case(Opcode.SELF_TEST):
                    with m.If(self.length == 0):
                        m.d.sync += self.status.eq(Status.OK)
            with m.Default():
                m.d.sync += self.status.eq(Status.BAD_OPCODE)

    # ---- carrying it out --------------------------------------------------------------------

    def _answered(self, m: Module):
        """The condition that the frame's answer is complete."""
        return m.If(self.answer.head.valid & self.answer.head.ready)

    def _carry_out(self, m: Module) -> None:
        head = self.answer.head
        samples, access, identity = self.samples, self.access, self.identity
        with m.State("SAMPLE"):
            m.d.comb += samples.fetch.eq(1)
            feed(m, self.bytes, samples.bytes)
            with m.If(samples.taken):
                m.d.comb += self.order.step.eq(1)
                m.next = "LEAVE"
                with m.If(self.opcode == Opcode.SCORE):
                    m.next = "ALONE"
            with m.If(samples.bad_label):
                m.d.sync += self.status.eq(Status.BAD_LABEL)
                m.next = "ANSWER"
        with m.State("ALONE"):  # the scores hold until the next sample
            with m.If(~samples.busy):
                m.next = "LEAVE"
        with m.State("ACCESS"):
            m.d.comb += [
                access.active.eq(1),
                head.valid.eq(access.result.valid),
                head.payload.status.eq(access.result.status),
                head.payload.empty.eq(access.result.empty),
            ]
            feed(m, self.bytes, access.bytes)
            feed(m, access.body, self.answer.body)
            with self._answered(m):
                m.d.comb += [
                    self.order.step.eq(1),
                    self.refused.eq(access.result.status != Status.OK),
                ]
                m.next = "LEAVE"
        with m.State("HELLO"):
            m.d.comb += [
                identity.active.eq(1),
                head.valid.eq(1),
                head.payload.status.eq(Status.OK),
            ]
            feed(m, self.bytes, identity.bytes)
            feed(m, identity.body, self.answer.body)
            with self._answered(m):
                m.d.comb += [
                    self.order.forgive.eq(1),
                    self.order.open.eq(self.opcode == Opcode.OPEN),
                ]
                m.next = "LEAVE"

    def _tell(self, m: Module) -> None:
        head, body = self.answer.head, self.answer.body
        with m.State("ANSWER"):  # a status alone
            m.d.comb += [
                head.valid.eq(1),
                head.payload.status.eq(self.status),
                head.payload.empty.eq(1),
            ]
            with self._answered(m):
                good = self.status == Status.OK
                m.d.comb += [self.order.step.eq(1), self.refused.eq(~good)]
                if self._features & Feature.SELF_TEST:
                    m.d.comb += self.self_test.eq(good)
                m.next = "LEAVE"
        with m.State("COMPLAIN"):  # which frame is missing
            m.d.comb += [
                head.valid.eq(1),
                head.payload.status.eq(
                    Mux(self.order.opened, Status.OUT_OF_SEQUENCE, Status.CLOSED)
                ),
                body.valid.eq(1),
                body.payload.data.eq(self.order.expected),
                body.payload.last.eq(1),
            ]
            with self._answered(m):
                m.next = "LEAVE"
