"""Runs inside a simulator (see test_link_blocks.py): the COBS decoder and the receive buffer."""

import random
import zlib
from collections import deque
from dataclasses import dataclass, field

import cocotb
from cobs import cobs
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from relaxon.framing import Deframer, encode
from relaxon.protocol import CRC_BYTES, FRAME_OVERHEAD, HEADER_BYTES, SLOTS
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSource, hesitation
from relaxon.sim.testbench.watch import cycle, watch

DECODED = Coverage(
    "CobsDecoder", "data byte", "zero put back", "code 1", "254 bytes without a zero", "end",
    "broken", "empty", "empty twice",
)  # fmt: skip
RECEIVED = Coverage(
    "Receiver", "kept", "shortest kept", "longest kept", "bad: broken", "bad: too short", "bad: CRC",
    "overflow: longer than the buffer", "overflow: no room behind others", "overflow: too many frames",
    "empty frame", "buffer exactly full", "as many frames as there may be", "broken and no room",
    "too short, but a right CRC",
    "kept while another is taken away", "next: nothing read", "next: partly read", "next: all read",
    "next: read past the end", "positions wrap",
)  # fmt: skip
LATENCY = 5
"""Cycles from a delimiter to its frame, at most."""


@dataclass
class Decoded:
    """What the decoder says in a cycle."""

    data: int | None = None
    end: bool = False
    broken: bool = False
    empty: bool = False


class CobsModel:
    """COBS undone byte by byte."""

    def __init__(self):
        self.left, self.owes_zero, self.started = 0, False, False

    def take(self, byte: int) -> Decoded:
        """What a byte makes known."""
        if byte == 0:
            said = Decoded(None, True, self.left != 0, not self.started)
            self.__init__()
        elif self.left == 0:
            said = Decoded(0 if self.owes_zero else None)
            self.left, self.owes_zero, self.started = byte - 1, byte != 0xFF, True
        else:
            self.left -= 1
            said = Decoded(byte)
        return said


@dataclass
class ReceiverModel:
    """A receive buffer of so many bytes; each pulse comes in the cycle after its byte."""

    size: int
    waiting: deque[bytes] = field(default_factory=deque)
    coded: CobsModel = field(default_factory=CobsModel)
    frame: bytearray = field(default_factory=bytearray)
    crowded: str = ""
    stored: int = 0

    @property
    def room(self) -> int:
        """Bytes that fit behind the frames that wait and the one under way."""
        return self.size - sum(map(len, self.waiting)) - len(self.frame)

    def take(self, byte: int) -> str:
        """What becomes of a frame that this byte ends: "kept", "bad: …", "overflow: …" or ""."""
        said = self.coded.take(byte)
        if said.data is not None:
            if self.room:
                self.frame.append(said.data)
                RECEIVED.hit("buffer exactly full", when=not self.room)
            else:
                alone = len(self.frame) == self.size
                self.crowded = "longer than the buffer" if alone else "no room behind others"
        if not said.end:
            return ""
        frame, crowded = bytes(self.frame), self.crowded
        self.frame.clear()
        self.crowded = ""
        if said.empty:
            RECEIVED.hit("empty frame")
            return ""
        if crowded:
            RECEIVED.hit("broken and no room", when=said.broken)
            return f"overflow: {crowded}"
        if said.broken:
            return "bad: broken"
        message, crc = frame[:-CRC_BYTES], frame[-CRC_BYTES:]
        right = zlib.crc32(message).to_bytes(CRC_BYTES, "little") == crc
        if len(frame) < FRAME_OVERHEAD:
            RECEIVED.hit("too short, but a right CRC", when=right)
            return "bad: too short"
        if not right:
            return "bad: CRC"
        if len(self.waiting) == SLOTS:
            return "overflow: too many frames"
        RECEIVED.hit("shortest kept", when=len(frame) == FRAME_OVERHEAD)
        RECEIVED.hit("longest kept", when=len(frame) == self.size)
        turns = self.stored // self.size
        self.stored += len(message)
        RECEIVED.hit("positions wrap", when=self.stored // self.size > turns)
        self.waiting.append(message)
        RECEIVED.hit("as many frames as there may be", when=len(self.waiting) == SLOTS)
        return "kept"


class Wire:
    """What a host, a bad line, or nobody at all may have sent."""

    def __init__(self, seed: int, size: int):
        self._rng, self._size = random.Random(seed), size

    def message(self) -> bytes:
        """Of any length; of few zeros or many."""
        rng = self._rng
        length = rng.randint(HEADER_BYTES, rng.choice((HEADER_BYTES, 30, 300)))
        zeros = rng.choice((0.0, 0.1, 0.9))
        return bytes(0 if rng.random() < zeros else rng.randint(1, 255) for _ in range(length))

    def piece(self) -> bytes:
        """A frame, whole or not, up to and with its delimiter."""
        rng = self._rng
        frame = encode(self.message())
        kind = rng.randrange(12)
        if kind == 0:
            return bytes(rng.randrange(1, 3))
        if kind == 1:  # the line lost its end
            return frame[: rng.randrange(len(frame))] + b"\0"
        if kind == 2:  # the line changed it
            at = rng.randrange(len(frame) - 1)
            return frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]
        if kind == 3:
            return bytes(cobs.encode(rng.randbytes(rng.randrange(1, FRAME_OVERHEAD)))) + b"\0"
        if kind == 6:
            return encode(rng.randbytes(rng.randrange(HEADER_BYTES)))
        if kind == 4:
            return rng.randbytes(rng.randrange(1, 40)) + b"\0"
        if kind == 5 and rng.random() < 0.5:
            return encode(bytes([7]) * (self._size + rng.randrange(-CRC_BYTES, 20)))
        return frame


class DecoderChecker:
    """Compares a decoder with the model in every cycle."""

    def __init__(self, dut: Block):
        self._dut, self._model = dut, CobsModel()
        self._byte: int | None = None
        self._was_empty = False
        watch(dut, self._look)

    def _look(self) -> None:
        dut, byte = self._dut, self._byte
        said = Decoded() if byte is None else self._model.take(byte)
        assert dut.bytes__ready.value == (byte is None), "a byte every other cycle"
        valid = int(dut.output.value) & 1
        assert valid == (said.data is not None)
        assert not valid or int(dut.output.value) >> 1 == said.data
        assert dut.end.value == said.end
        if said.end:
            assert (dut.broken.value, dut.empty.value) == (said.broken, said.empty)
            DECODED.hit("empty twice", when=said.empty and self._was_empty)
            DECODED.hit("empty", when=said.empty)
            DECODED.hit("broken", when=said.broken)
            DECODED.hit("end", when=not said.broken and not said.empty)
            self._was_empty = said.empty
        elif byte is not None:
            DECODED.hit("zero put back", when=said.data == 0)
            DECODED.hit("data byte", when=said.data is not None and said.data > 0)
            DECODED.hit("code 1", when=byte == 1 and self._model.left == 0)
            DECODED.hit("254 bytes without a zero", when=byte == 0xFF and self._model.left == 254)
        taken = dut.bytes__valid.value and dut.bytes__ready.value
        self._byte = int(dut.bytes__payload.value) if taken else None


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=[Stalls.NONE, Stalls.SOURCE])
async def decodes_byte_by_byte(dut, stalls):
    block = Block(dut, "decoder")
    await start(block, bytes__valid=0)
    DecoderChecker(block)
    wire = Wire(seed=1, size=300)
    source = StreamSource(block, "bytes", hesitation(stalls.source, 2))
    for _ in range(30):
        await source.send(wire.piece())
    await ClockCycles(block.clk, 3)


class Bench:
    """A receiver, compared with its model in every cycle, and who takes its frames."""

    def __init__(self, dut: Block, stalls: Stalls):
        self.dut = dut
        self.size = parameters()[dut._name]["rx_bytes"]
        self.model = ReceiverModel(self.size)
        self.seen: dict[str, int] = {}
        self.taken = 0
        """Frames that were taken away."""
        self.hold = False
        """Whether no frame is taken."""
        self.source = StreamSource(dut, "bytes", hesitation(stalls.source, 3))
        self._pauses, self._stalls = hesitation(stalls.sink, 4), stalls
        self._rng = random.Random(5)
        self._byte: int | None = None
        self._since = 0
        self._late: int | None = None
        self._was_valid = self._just_kept = False
        watch(dut, self._look)
        cocotb.start_soon(self._consume())

    @classmethod
    async def of(cls, dut, name: str, stalls: Stalls):
        """A receiver after reset."""
        block = Block(dut, name)
        await start(block, bytes__valid=0, payload__ready=0, next=0)
        return cls(block, stalls)

    async def rest(self, cycles: int = 20_000) -> None:
        """Wait until every frame that was kept has been taken."""
        await ClockCycles(self.dut.clk, 2 * LATENCY)
        for _ in range(cycles):
            if not self.model.waiting:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"{len(self.model.waiting)} frames were not taken in {cycles} cycles")

    def _look(self) -> None:
        """One cycle: the byte taken in the one before, then `next`."""
        dut, model = self.dut, self.model
        now = cycle()
        assert not self._just_kept or dut.waiting.value, "waiting, a cycle after it was kept"
        what = "" if self._byte is None else model.take(self._byte)
        pulses = tuple(int(getattr(dut, name).value) for name in ("kept", "bad", "overflow"))
        wanted = tuple(int(what.startswith(name)) for name in ("kept", "bad", "overflow"))
        assert pulses == wanted, f"{what or 'nothing'}, not {pulses}, in {now}"
        self._just_kept = what == "kept"
        if what:
            RECEIVED.hit(what)
            self.seen[what] = self.seen.get(what, 0) + 1
        if what == "kept" and len(model.waiting) == 1:
            self._late = now - 1 + LATENCY
        valid = bool(dut.valid.value)
        if valid:
            self._late = None
            assert dut.waiting.value
            assert dut.length.value == len(model.waiting[0])
        assert self._late is None or now < self._late, f"no frame after {LATENCY} cycles"
        if valid and not self._was_valid:
            self._since = now
        self._was_valid = valid and not dut.next.value
        if dut.next.value:
            RECEIVED.hit("kept while another is taken away", when=what == "kept")
            model.waiting.popleft()
            self.taken += 1
        taken = dut.bytes__valid.value and dut.bytes__ready.value
        self._byte = int(dut.bytes__payload.value) if taken else None

    async def _consume(self) -> None:
        """Take one frame after another, more or less of each."""
        dut, rng = self.dut, self._rng
        edge, settled = RisingEdge(dut.clk), ReadOnly()
        while True:
            await settled
            if not dut.valid.value or self.hold:
                await edge
                continue
            frame = self.model.waiting[0]
            count, how = rng.choice((
                (len(frame), "all read"), (len(frame), "all read"), (0, "nothing read"),
                (rng.randrange(1, len(frame)), "partly read"),
                (len(frame) + rng.randint(1, 3), "read past the end"),
            ))  # fmt: skip
            RECEIVED.hit(f"next: {how}")
            await edge
            got, came, began = bytearray(), [], cycle()
            while len(got) < count:
                dut.payload__ready.value = 0 if next(self._pauses) else 1
                await settled
                if dut.payload__valid.value and dut.payload__ready.value:
                    got.append(int(dut.payload__payload.value))
                    came.append(cycle())
                await edge
            dut.payload__ready.value = 0
            assert got[: len(frame)] == frame[:count]
            if not self._stalls.sink and count:
                assert came[0] == max(self._since + 2, began), "the first two cycles after valid"
                assert all(b == a + 2 for a, b in zip(came, came[1:])), "one every other cycle"
            dut.next.value = 1
            await edge
            dut.next.value = 0


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=list(Stalls))
async def keeps_what_is_whole_and_counts_the_rest(dut, stalls):
    bench = await Bench.of(dut, "receiver", stalls)
    wire = Wire(seed=10 + list(Stalls).index(stalls), size=bench.size)
    sent, rng = b"", random.Random(6)
    for at in range(30):
        bench.hold = rng.random() < 0.3
        piece = wire.piece()
        sent += piece
        await bench.source.send(piece)
        if at % 10 == 9:
            bench.hold = False
            await bench.rest()
    host = Deframer(bench.size)
    host.feed(sent)
    seen = bench.seen
    no_room = seen.get("overflow: no room behind others", 0) + seen.get("overflow: too many frames", 0)
    assert host.frames <= seen["kept"] + no_room, "but for room, what the host's decoder finds"
    assert sum(seen.values()) == host.frames + host.bad_frames + host.oversized


@cocotb.test(timeout_time=500, timeout_unit="us")
async def is_full_to_the_byte(dut):
    bench = await Bench.of(dut, "receiver", Stalls.NONE)
    size, send = bench.size, bench.source.send
    for first in (100, 180, 237, 300):  # the places in the buffer differ
        bench.hold = True
        rest = size - first
        await send(encode(bytes([1]) * first) + encode(bytes([2]) * (rest - CRC_BYTES + 1)))
        await ClockCycles(dut.clk, 3)
        assert bench.model.room == rest, "one byte too many"
        await send(encode(bytes([2]) * (rest - CRC_BYTES)) + encode(b"ab") + b"\x09abc\0")
        await ClockCycles(dut.clk, 3)
        assert bench.model.room == CRC_BYTES and len(bench.model.waiting) == 2
        await send(b"\x20" + bytes([5]) * 9 + b"\0")
        bench.hold = False
        await bench.rest()
    await send(encode(bytes(size - CRC_BYTES)))
    await bench.rest()
    await send(encode(bytes(size - CRC_BYTES + 1)) + encode(b"ab"))
    await bench.rest()
    assert bench.seen == {
        "kept": 2 * 4 + 2, "bad: broken": 4, "overflow: no room behind others": 3 * 4,
        "overflow: longer than the buffer": 1,
    }, bench.seen  # fmt: skip


@cocotb.test(timeout_time=500, timeout_unit="us")
async def holds_a_window_of_frames_and_one_more(dut):
    bench = await Bench.of(dut, "receiver", Stalls.NONE)
    bench.hold = True
    for number in range(SLOTS + 2):
        await bench.source.send(encode(bytes([number, 0])))
    await ClockCycles(dut.clk, 3)
    assert len(bench.model.waiting) == SLOTS
    bench.hold = False
    for number in range(3 * SLOTS):  # frames come and go at about the same rate
        await bench.source.send(encode(bytes([number, 1])))
    await bench.rest()
    assert bench.taken == bench.seen["kept"] >= 3 * SLOTS


@cocotb.test()
async def everything_was_seen(dut):
    assert not DECODED.missing and not RECEIVED.missing, (DECODED.missing, RECEIVED.missing)
