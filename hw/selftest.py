"""The self-test's player: gives the command port a script in the place of the host's frames."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.hostport import HostPort
from relaxon.hw.prbs import Prbs
from relaxon.hw.replies import REPLY_BYTE
from relaxon.hw.signature import Signature
from relaxon.hw.streams import feed
from relaxon.layout import Layout
from relaxon.protocol import HEADER_BYTES, REGISTER_BYTES, Opcode, Space, Verdict
from relaxon.selftest import Script

OUTCOME = data.StructLayout({"running": 1, "passed": 1, "failed": 1})
"""Of the self-test: of the last one, while none is running."""


class Frames(wiring.Signature):
    """Frames on offer, as the `Receiver` gives them.

    Members
    -------
    valid : Out(1), length : Out
        There is one; bytes of its payload.
    bytes : Out(stream of 8)
        Of the payload.
    next : In(1)
        Done with this frame.
    """

    def __init__(self, layout: Layout):
        super().__init__(
            {
                "valid": Out(1),
                "length": Out(range(layout.rx_bytes)),
                "bytes": Out(stream.Signature(8)),
                "next": In(1),
            }
        )


class SelfTest(wiring.Component):
    """Lets frames and answers pass; in a test, plays the script and takes the answers itself.

    ::

        receiver ──────┬─▶ command port ─┬──────▶ replies
               player ─┘                 └─▶ signature ─▶ = expected

    A test begins when the command under way is carried out and answered. Frames that arrive
    meanwhile wait in the receiver; none is lost that the host had credit for, and the host's
    sequence numbers stay as they were.

    Parameters
    ----------
    layout
        The machine's geometry.
    expected
        The signature of a machine that works (`relaxon.sim.selftest`).

    Members
    -------
    start : In(1)
        Pulse; another one during a test is ignored.
    received : In(Frames), frames : Out(Frames)
        From the receiver, to the command port.
    busy : In(1)
        The command port has not answered everything yet.
    payload : In(stream of data, last), pending : Out(1)
        Answers of the command port.
    replies : Out(stream of data, last), replies_pending : In(1)
        The same, to the `ReplyCache`.
    aside : Out(1)
        The frames are the script's: their sequence numbers do not count.
    outcome : Out(OUTCOME)
    host : In(HostPort)
        The word SELF_TEST.

    Timing
    ------
    `Script.cycles`.
    """

    def __init__(self, layout: Layout, expected: int):
        self._layout, self._expected = layout, expected
        self._script = Script(layout.config)
        super().__init__(
            {
                "start": In(1),
                "received": In(Frames(layout)),
                "frames": Out(Frames(layout)),
                "busy": In(1),
                "payload": In(stream.Signature(REPLY_BYTE)),
                "pending": Out(1),
                "replies": Out(stream.Signature(REPLY_BYTE)),
                "replies_pending": In(1),
                "aside": Out(1),
                "outcome": Out(OUTCOME),
                "host": In(HostPort(1, protocol.SELF_TEST.size)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.signature = signature = Signature()
        byte, length, last = Signal(8), Signal.like(self.frames.length), Signal()
        # Registered: a byte is the work of one cycle, and what becomes of it that of the next.
        held, self._offered = Signal(8), Signal()
        self._taken = self._offered & self.aside & self.frames.bytes.ready
        m.d.sync += [
            held.eq(byte),
            self._offered.eq(self.aside & ~self._taken & ~self.frames.next),
        ]
        self._script_bytes(m, byte, length, last)

        with m.If(self.aside):
            feed(m, self.payload, signature.payload)
            m.d.comb += [
                self.pending.eq(signature.pending),
                self.frames.bytes.valid.eq(self._offered),
                self.frames.bytes.payload.eq(held),
                self.frames.length.eq(length),
            ]
        with m.Else():
            feed(m, self.payload, self.replies)
            feed(m, self.received.bytes, self.frames.bytes)
            m.d.comb += [
                self.pending.eq(self.replies_pending),
                self.frames.length.eq(self.received.length),
                self.received.next.eq(self.frames.next),
            ]

        result = Mux(
            self.outcome.passed, Verdict.PASSED, Mux(self.outcome.failed, Verdict.FAILED, 0)
        )
        word = Cat(result | Const(0, 8), signature.value)
        m.d.comb += [
            self.host.read_data.eq(word.word_select(self.host.byte, 8)),
            self.host.done.eq(1),
        ]
        with m.FSM() as fsm:
            with m.State("REST"):
                m.d.comb += self.frames.valid.eq(self.received.valid)
                with m.If(self.start):
                    m.next = "WAIT"
            with m.State("WAIT"):  # no frame is offered, so the command port comes to rest
                with m.If(~self.busy):
                    m.d.comb += signature.clear.eq(1)
                    m.d.sync += [self.outcome.passed.eq(0), self.outcome.failed.eq(0)]
                    m.next = "PLAY"
            with m.State("PLAY"):
                m.d.comb += self.frames.valid.eq(self.aside)
                m.d.sync += self.aside.eq(~(last & self.frames.next))
                with m.If(last & self.frames.next):
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                good = Signal()
                m.d.comb += good.eq(signature.value == self._expected)
                m.d.sync += [self.outcome.passed.eq(good), self.outcome.failed.eq(~good)]
                m.next = "REST"
        m.d.comb += self.outcome.running.eq(~fsm.ongoing("REST"))
        return m

    def _script_bytes(self, m: Module, byte: Signal, length: Signal, last: Signal) -> None:
        """The next byte of the script, its frame's length, and whether it is the last frame."""
        steps = self._script.steps
        m.submodules.prbs = prbs = Prbs()
        step = Signal(range(len(steps)))
        at = Signal(range(max(s.count for s in steps)))  # the word or the label
        place = Signal(3)  # of the next byte, modulo 8: the access ends at 8, before the data
        past = Signal()  # the header is
        opcode, space, final = Signal(3), Signal(range(len(Space))), Signal.like(at)
        header = Signal(3)  # the place of its last byte
        last_step = step == len(steps) - 1
        with m.Switch(step):
            for index, kind in enumerate(steps):
                with m.Case(index):
                    m.d.comb += [
                        opcode.eq(kind.opcode),
                        space.eq(kind.space or 0),
                        final.eq(kind.count - 1),
                        header.eq(kind.header - 1),
                        length.eq(kind.header + kind.data),
                    ]
        taken = self._taken
        m.d.comb += [last.eq(last_step & (at == final)), prbs.step.eq(taken & past)]
        with m.If(taken):
            m.d.sync += [place.eq(place + 1), past.eq(past | (place == header))]
        with m.If(self.aside & self.frames.next):
            m.d.sync += [place.eq(0), past.eq(0), at.eq(at + 1)]
            with m.If(at == final):
                m.d.comb += prbs.restart.eq(1)
                m.d.sync += [at.eq(0), step.eq(Mux(last_step, 0, step + 1))]

        sample = opcode.matches(Opcode.TRAIN, Opcode.SCORE)
        with m.If(past):
            with m.If(sample):
                m.d.comb += byte.eq(prbs.data)
            with m.Elif(space == Space.REGISTERS):
                m.d.comb += byte.eq(self._register_byte(at, place))
            with m.Else():
                m.d.comb += byte.eq(self._element_byte(m, prbs, space, at, place))
        with m.Else():
            address = at | Const(0, 32)
            with m.Switch(place):
                with m.Case(1):
                    m.d.comb += byte.eq(opcode)
                with m.Case(HEADER_BYTES):
                    m.d.comb += byte.eq(Mux(sample, at, space))
                for index in range(4):
                    with m.Case(HEADER_BYTES + 1 + index):
                        m.d.comb += byte.eq(address.word_select(index, 8))
                with m.Case(7):  # one word
                    m.d.comb += byte.eq(1)

    def _register_byte(self, at: Signal, place: Signal):
        """Of the power-up values."""
        values = self._script.register_bytes()
        index = Cat(place[: REGISTER_BYTES.bit_length() - 1], at)
        return Cat(
            Cat(index == i for i, value in enumerate(values) if value >> bit & 1).any()
            for bit in range(8)
        )

    def _element_byte(self, m: Module, prbs: Prbs, space: Signal, at: Signal, place: Signal):
        """Of a word of couplings: small elements, sign-extended, none on J's diagonal."""
        script, layout = self._script, self._layout
        weights = space == Space.WEIGHTS
        sign = Signal()  # of the element whose first byte was taken last
        top = script.value_bits - 1
        with m.If(prbs.step):
            m.d.sync += sign.eq(prbs.data[top])
        low = Cat(prbs.data[:top], prbs.data[top].replicate(8 - top))
        wide = layout.element_bytes == 2
        high = place[0] & (wide | ~weights)
        recurrent = weights & (at >= layout.recurrent_base) & (at < layout.feedback_base)
        parity = at[0] ^ place[1 if wide else 0] ^ (layout.recurrent_base & 1)
        blank = recurrent & (~parity if script.checkered else 1)
        return Mux(blank, 0, Mux(high, sign.replicate(8), low))
