"""Answers on their way to the reply cache: sequence number, status, body."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.replies import REPLY_BYTE
from relaxon.hw.streams import feed


class Answer(wiring.Signature):
    """What somebody has to answer.

    Members
    -------
    head : Out(stream of slot, sequence, status, empty)
        Offered from the answer's first byte until it is complete, and taken then.
    body : Out(stream of data, last)
        What follows, unless the answer is `empty`.
    """

    def __init__(self):
        head = {"slot": range(protocol.SLOTS), "sequence": 8, "status": 8, "empty": 1}
        super().__init__(
            {
                "head": Out(stream.Signature(data.StructLayout(head))),
                "body": Out(stream.Signature(REPLY_BYTE)),
            }
        )


class AnswerWriter(wiring.Component):
    """Writes one answer after another into the reply cache.

    Members
    -------
    early, late : In(Answer), hold : In(1)
        What to answer; nothing of `late` while `hold`, nothing of `early` else.
    slot, payload, pending
        To the `ReplyCache`; an answer waits until the one that its slot held is sent.

    Timing
    ------
    7 cycles, 2 for each byte of the body, and the cache's.
    """

    def __init__(self):
        super().__init__(
            {
                "early": In(Answer()),
                "late": In(Answer()),
                "hold": In(1),
                "slot": Out(range(protocol.SLOTS)),
                "payload": Out(stream.Signature(REPLY_BYTE)),
                "pending": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        answer = Answer().create()
        with m.If(self.hold):
            feed(m, self.early.head, answer.head)
            feed(m, self.early.body, answer.body)
        with m.Else():
            feed(m, self.late.head, answer.head)
            feed(m, self.late.body, answer.body)
        head, body = answer.head, answer.body
        m.d.comb += self.slot.eq(head.payload.slot)
        # Registered on its way to the cache, in both directions: who answers and the encoder are both
        # deep. The encoder takes a byte every other cycle at most, so nothing is lost by that.
        payload = stream.Signature(REPLY_BYTE).create()
        byte = payload.payload
        m.d.comb += payload.ready.eq(~self.payload.valid)
        with m.If(payload.ready):
            m.d.sync += [self.payload.valid.eq(payload.valid), self.payload.payload.eq(byte)]
        with m.Elif(self.payload.ready):
            m.d.sync += self.payload.valid.eq(0)
        with m.FSM():
            with m.State("WAIT"):
                with m.If(head.valid):
                    m.next = "SLOT"
            with m.State("SLOT"):  # on its way
                m.next = "LOOK"
            with m.State("LOOK"):  # `pending` is a cycle late
                with m.If(~self.pending):
                    m.next = "NUMBER"
            with m.State("NUMBER"):
                m.d.comb += [payload.valid.eq(1), byte.data.eq(head.payload.sequence)]
                with m.If(payload.ready):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [
                    payload.valid.eq(1),
                    byte.data.eq(head.payload.status),
                    byte.last.eq(head.payload.empty),
                ]
                with m.If(payload.ready):
                    m.next = "BODY"
                    with m.If(head.payload.empty):
                        m.next = "CLOSE"
            with m.State("BODY"):
                m.d.comb += [
                    payload.valid.eq(body.valid),
                    byte.eq(body.payload),
                    body.ready.eq(payload.ready),
                ]
                with m.If(payload.ready & body.valid & body.payload.last):
                    m.next = "CLOSE"
            with m.State("CLOSE"):  # the cache adds the checksum and queues the answer
                with m.If(self.pending):
                    m.d.comb += head.ready.eq(1)
                    m.next = "WAIT"
        return m
