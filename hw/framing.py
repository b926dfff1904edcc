"""From bytes to checked frames: COBS decoding, CRC, and a receive buffer that takes whole frames."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.checksum import Checksum
from relaxon.layout import Layout


class CobsDecoder(wiring.Component):
    """Undoes COBS, byte by byte.

    Members
    -------
    bytes : In(stream of 8)
        One every other cycle at most.
    output : Out(valid, data)
        A decoded byte.
    end : Out(1), broken : Out(1)
        A delimiter came: the frame is complete; `broken` if a code pointed past it.
    empty : Out(1)
        With `end`: no byte at all since the last delimiter.

    Timing
    ------
    Everything one cycle after the byte it comes from.
    """

    def __init__(self):
        super().__init__(
            {
                "bytes": In(stream.Signature(8)),
                "output": Out(data.StructLayout({"valid": 1, "data": 8})),
                "end": Out(1),
                "broken": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        came, byte = Signal(), Signal(8)  # registered: the byte may come from far away
        m.d.sync += [came.eq(self.bytes.valid & ~came), byte.eq(self.bytes.payload)]

        left = Signal(8)  # data bytes until the next code
        owes_zero = Signal()  # the block before ends in a zero, unless the frame ends first
        started = Signal()
        m.d.comb += [
            self.bytes.ready.eq(~came),
            self.output.data.eq(Mux(left == 0, 0, byte)),
            self.broken.eq(left != 0),
            self.empty.eq(~started),
        ]
        with m.If(came):
            with m.If(byte == protocol.DELIMITER):
                m.d.comb += self.end.eq(1)
                m.d.sync += [left.eq(0), owes_zero.eq(0), started.eq(0)]
            with m.Elif(left == 0):
                m.d.comb += self.output.valid.eq(owes_zero)
                m.d.sync += [left.eq(byte - 1), owes_zero.eq(byte != 0xFF), started.eq(1)]
            with m.Else():
                m.d.comb += self.output.valid.eq(1)
                m.d.sync += left.eq(left - 1)
        return m


class Receiver(wiring.Component):
    """Keeps whole frames with a right CRC and gives their payloads out, oldest first.

    Members
    -------
    bytes : In(stream of 8)
        From the host, one every other cycle at most. What finds no room is dropped.
    valid : Out(1), length : Out
        A frame waits; its payload's length without the CRC.
    payload : Out(stream of 8)
        The bytes of that frame; reading past `length` gives rubbish, not the next frame.
    next : In(1)
        Done with the frame, however much of it was read.
    kept, bad, overflow : Out(1)
        Pulses to count: a frame was kept, was broken, found no room.
    waiting : Out(1)
        A frame waits or has just begun to.

    Timing
    ------
    Takes a byte every other cycle and gives one as often, the first two cycles after `valid`; a
    frame waits at most five cycles after its delimiter.
    """

    def __init__(self, layout: Layout):
        self._size = layout.rx_bytes
        super().__init__(
            {
                "bytes": In(stream.Signature(8)),
                "valid": Out(1),
                "length": Out(range(self._size)),
                "payload": Out(stream.Signature(8)),
                "next": In(1),
                "kept": Out(1),
                "bad": Out(1),
                "overflow": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = CobsDecoder()
        wiring.connect(m, wiring.flipped(self.bytes), decoder.bytes)
        m.submodules.lengths = lengths = SyncFIFOBuffered(
            width=len(self.length), depth=protocol.SLOTS
        )
        m.submodules.memory = memory = Memory(shape=8, depth=self._size, init=[])
        write, read = memory.write_port(), memory.read_port()

        # Positions count modulo twice the size, so that full and empty differ.
        kept_to, at, frame = (
            Signal(bits_for(2 * self._size - 1), name=n) for n in ("kept_to", "at", "frame")
        )
        received = Signal(range(self._size + 1))  # bytes of the frame under way
        crowded = Signal()  # it found no room
        self._check(m, decoder, lengths, received, crowded, kept_to)

        used = Signal.like(kept_to)
        position = Signal.like(kept_to)
        m.d.comb += [
            position.eq(kept_to + received),
            used.eq(position - frame),
            write.addr.eq(position),
            write.data.eq(decoder.output.data),
        ]
        with m.If(decoder.output.valid):
            with m.If((used == self._size) | (received == self._size)):
                m.d.sync += crowded.eq(1)
            with m.Else():
                m.d.comb += write.en.eq(1)
                m.d.sync += received.eq(received + 1)
        with m.If(decoder.end):
            m.d.sync += [received.eq(0), crowded.eq(0)]

        # Reading: the byte at `at` is in read.data one cycle after `at` settled, and goes to a register
        # when that is free: memory is slow, and whoever takes the byte has more to do with it.
        found, moves = Signal(), Signal()
        m.d.comb += [
            self.valid.eq(lengths.r_rdy),
            self.length.eq(lengths.r_data),
            moves.eq(found & ~self.payload.valid),
            lengths.r_en.eq(self.next),
            read.addr.eq(at),
            self.waiting.eq(lengths.r_rdy | (lengths.level != 0)),
        ]
        m.d.sync += found.eq(lengths.r_rdy & ~moves & ~self.next)
        with m.If(self.payload.ready):
            m.d.sync += self.payload.valid.eq(0)
        with m.If(moves):
            m.d.sync += [self.payload.valid.eq(1), self.payload.payload.eq(read.data), at.eq(at + 1)]
        with m.If(self.next):
            following = (frame + self.length)[: len(frame)]
            m.d.sync += [frame.eq(following), at.eq(following), self.payload.valid.eq(0)]
        return m

    def _check(self, m: Module, decoder, lengths, received, crowded, kept_to) -> None:
        """At the delimiter: keep the frame, or count why not."""
        m.submodules.crc = crc = Checksum()
        length = (received - protocol.CRC_BYTES)[: len(self.length)]
        m.d.comb += [
            crc.data.eq(decoder.output.data),
            crc.valid.eq(decoder.output.valid),
            crc.start.eq(decoder.end),
            lengths.w_data.eq(length),
        ]
        with m.If(decoder.end & ~decoder.empty):
            with m.If(crowded):
                m.d.comb += self.overflow.eq(1)
            with m.Elif(
                decoder.broken | (received < protocol.FRAME_OVERHEAD) | ~crc.match
            ):
                m.d.comb += self.bad.eq(1)
            with m.Elif(~lengths.w_rdy):
                m.d.comb += self.overflow.eq(1)
            with m.Else():
                m.d.comb += [self.kept.eq(1), lengths.w_en.eq(1)]
                m.d.sync += kept_to.eq(kept_to + length)
