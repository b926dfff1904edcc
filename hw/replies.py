"""The reply cache: answers are encoded into slots, sent from there, and sent again on request."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon import protocol
from relaxon.hw.checksum import Checksum
from relaxon.layout import Layout

REPLY_BYTE = data.StructLayout({"data": 8, "last": 1})


class CobsEncoder(wiring.Component):
    """Writes a frame, CRC and delimiter added, into memory.

    COBS replaces each zero by the distance to the next one; the code byte's place is kept free
    and filled in when that distance is known, so every byte costs one write.

    Members
    -------
    payload : In(stream of data, last)
        A frame without its CRC.
    write : Out(valid, offset, data)
        One byte of the encoded frame.
    done : Out(1)
        With the last write.

    Timing
    ------
    Two cycles per payload byte, and 6 for the rest of the frame (one more per 254 bytes without a
    zero).
    """

    def __init__(self, slot_bytes: int):
        self._bytes = slot_bytes
        super().__init__(
            {
                "payload": In(stream.Signature(REPLY_BYTE)),
                "write": Out(
                    data.StructLayout({"valid": 1, "offset": range(slot_bytes), "data": 8})
                ),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Checksum()
        code_at = Signal(range(self._bytes))
        at = Signal(range(self._bytes), init=1)
        run = Signal(8, init=1)  # the code so far: 1 + bytes since code_at
        checksum_byte = Signal(range(protocol.CRC_BYTES))
        byte = Signal(8)
        full = Signal()  # 254 bytes without a zero: the block ends here
        put = Signal()  # `byte` is the next byte of the payload or its CRC

        m.d.comb += [
            crc.data.eq(self.payload.payload.data),
            crc.valid.eq(self.payload.valid & self.payload.ready),
        ]
        with m.If(put):
            m.d.comb += self.write.valid.eq(1)
            with m.If(byte == 0):
                m.d.comb += [self.write.offset.eq(code_at), self.write.data.eq(run)]
                m.d.sync += [code_at.eq(at), at.eq(at + 1), run.eq(1)]
            with m.Else():
                m.d.comb += [self.write.offset.eq(at), self.write.data.eq(byte)]
                m.d.sync += [at.eq(at + 1), run.eq(run + 1), full.eq(run == 0xFE)]
        with m.If(full):
            m.d.comb += [
                self.write.valid.eq(1),
                self.write.offset.eq(code_at),
                self.write.data.eq(0xFF),
            ]
            m.d.sync += [code_at.eq(at), at.eq(at + 1), run.eq(1), full.eq(0)]

        with m.FSM():
            with m.State("PAYLOAD"):
                m.d.comb += [
                    byte.eq(self.payload.payload.data),
                    self.payload.ready.eq(~full & ~crc.busy),
                    put.eq(self.payload.valid & self.payload.ready),
                ]
                with m.If(put & self.payload.payload.last):
                    m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                m.d.comb += [
                    byte.eq(crc.crc.word_select(checksum_byte, 8)),
                    put.eq(~full & ~crc.busy),
                ]
                with m.If(put):
                    m.d.sync += checksum_byte.eq(checksum_byte + 1)
                    with m.If(checksum_byte == protocol.CRC_BYTES - 1):
                        m.next = "CODE"
            with m.State("CODE"):  # the last block's code
                m.d.comb += crc.start.eq(1)
                with m.If(~full):
                    m.d.comb += [
                        self.write.valid.eq(1),
                        self.write.offset.eq(code_at),
                        self.write.data.eq(run),
                    ]
                    m.next = "DELIMITER"
            with m.State("DELIMITER"):
                m.d.comb += [
                    self.write.valid.eq(1),
                    self.write.offset.eq(at),
                    self.write.data.eq(protocol.DELIMITER),
                    self.done.eq(1),
                ]
                m.d.sync += [code_at.eq(0), at.eq(1), run.eq(1)]
                m.next = "PAYLOAD"
        return m


class ReplyCache(wiring.Component):
    """`SLOTS` encoded replies; what is queued is sent, oldest first.

    Members
    -------
    slot : In
        Where the payload under way goes, or which reply to `repeat`.
    payload : In(stream of data, last)
        The next reply; it is queued when its last byte was taken. Start one only if not `pending`.
    repeat : In(1)
        Send the reply in `slot` again; ignored while it is `pending`.
    pending : Out(1)
        The reply in `slot` is queued or being sent; a cycle late.
    bytes : Out(stream of 8)
    busy : Out(1)
        A reply is being written, is queued or is being sent.

    Timing
    ------
    Sends a byte every other cycle at most.
    """

    def __init__(self, layout: Layout):
        self._bytes = layout.slot_bytes
        super().__init__(
            {
                "slot": In(range(protocol.SLOTS)),
                "payload": In(stream.Signature(REPLY_BYTE)),
                "repeat": In(1),
                "pending": Out(1),
                "bytes": Out(stream.Signature(8)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = CobsEncoder(self._bytes)
        wiring.connect(m, wiring.flipped(self.payload), encoder.payload)
        m.submodules.memory = memory = Memory(
            shape=8, depth=protocol.SLOTS * self._bytes, init=[]
        )
        # In a block of memory, for where there is no other kind it would be made of flip-flops.
        m.submodules.queue = queue = Memory(
            shape=len(self.slot), depth=protocol.SLOTS, init=[], attrs={"ram_style": "block"}
        )
        enqueue, dequeue = queue.write_port(), queue.read_port()
        newest, oldest = (Signal(len(self.slot) + 1, name=n) for n in ("newest", "oldest"))
        write, read = memory.write_port(), memory.read_port()

        pending = Signal(protocol.SLOTS)
        writing, sent = Signal(), Signal()
        sending = dequeue.data
        with m.If(self.payload.valid):
            m.d.sync += writing.eq(1)
        with m.If(encoder.done):
            m.d.sync += writing.eq(0)
        waits = Signal()
        m.d.comb += waits.eq(pending.bit_select(self.slot, 1))
        queued = encoder.done | (self.repeat & ~waits)
        arrives, arrived = Signal(), Signal.like(self.slot)  # in the queue, a cycle later
        m.d.sync += [arrives.eq(queued), arrived.eq(self.slot)]
        with m.If(sent):
            m.d.sync += pending.bit_select(sending, 1).eq(0)
        with m.If(queued):
            m.d.sync += pending.bit_select(self.slot, 1).eq(1)
        m.d.sync += self.pending.eq(waits)
        m.d.comb += [
            self.busy.eq(writing | self.payload.valid | pending.any()),
            write.addr.eq(encoder.write.offset + self.slot * self._bytes),
            write.data.eq(encoder.write.data),
            write.en.eq(encoder.write.valid),
            enqueue.addr.eq(newest),
            enqueue.data.eq(arrived),
            enqueue.en.eq(arrives),
            dequeue.addr.eq(oldest),
        ]

        m.d.sync += [newest.eq(newest + arrives), oldest.eq(oldest + sent)]
        at = Signal(range(self._bytes))
        m.d.comb += read.addr.eq(at + sending * self._bytes)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += at.eq(0)
                with m.If(newest != oldest):
                    m.next = "FIND"
            with m.State("FIND"):  # its slot, then its first byte
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [
                    self.bytes.payload.eq(read.data), self.bytes.valid.eq(1), at.eq(at + 1),
                ]  # fmt: skip
                m.next = "SEND"
            with m.State("SEND"):
                with m.If(self.bytes.ready):
                    m.d.sync += self.bytes.valid.eq(0)
                    m.next = "FETCH"
                    with m.If(self.bytes.payload == protocol.DELIMITER):
                        m.d.comb += sent.eq(1)
                        m.next = "IDLE"
        return m
