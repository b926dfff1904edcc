"""Runs inside a simulator (see test_link_blocks.py): the COBS encoder and the reply cache."""

import random
import zlib

import cocotb
from answers import reply_bytes
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from relaxon.framing import Deframer, encode
from relaxon.protocol import CRC_BYTES, FRAME_OVERHEAD, SLOTS
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSink, StreamSource, hesitation
from relaxon.sim.testbench.watch import cycle, watch

ENCODED = Coverage(
    "CobsEncoder", "zero first", "zero last", "zero after zero", "no zero", "254 bytes without a zero",
    "254 bytes, then a zero", "508 bytes without a zero", "long block ends with the payload",
    "long block ends with the CRC", "long block ends within the CRC", "zero in the CRC", "one byte",
    "code of an empty block at the end",
)  # fmt: skip
CACHED = Coverage(
    "ReplyCache", *(f"slot {slot} written" for slot in range(SLOTS)),
    *(f"slot {slot} repeated" for slot in range(SLOTS)), "repeated while it is pending",
    "written while another is sent", "queued as another is done with", "all slots pending",
    "queue runs empty", "longest answer", "written over", "repeated twice",
)  # fmt: skip
REST = 6
"""Cycles of a frame beside those of its payload."""


def on_the_wire(message: bytes) -> bytes:
    """The frame of a reply.

    Where it ends with a block of 254 bytes without a zero, the encoder adds the code of an empty
    block, as COBS allows; the host's encoder does not.
    """
    frame = encode(message)
    at = 0
    while frame[at] == 0xFF or at + frame[at] < len(frame) - 1:
        at += frame[at]
        if at == len(frame) - 1:
            frame = frame[:at] + b"\1\0"
            ENCODED.hit("code of an empty block at the end")
            assert Deframer(len(frame)).feed(frame) == [message], "means the same"
    return frame


def hard_messages(seed: int) -> list[bytes]:
    """Messages with zeros, and runs without, at every place that matters."""
    rng = random.Random(seed)

    def run(length: int) -> bytes:
        return bytes(rng.randint(1, 255) for _ in range(length))

    def crc_without_zeros(length: int) -> bytes:
        while True:
            message = run(length)
            if all(zlib.crc32(message).to_bytes(CRC_BYTES, "little")):
                return message

    def zero_in_crc() -> bytes:
        while True:
            message = run(9)
            if not all(zlib.crc32(message).to_bytes(CRC_BYTES, "little")):
                return message

    return [
        b"\0", b"\1", b"\0\0\0", b"\0ab", b"ab\0", b"a\0\0b", run(20), zero_in_crc(),
        *(crc_without_zeros(n) for n in (249, 250, 251, 252, 253, 254, 255, 508, 520)),
        run(253) + b"\0", run(254) + b"\0", run(254) + b"\0" + run(254), run(255) + b"\0\0",
        *(bytes(rng.choice((0, 7, 255)) for _ in range(rng.randrange(1, 60))) for _ in range(10)),
    ]  # fmt: skip


def cover_encoding(message: bytes) -> None:
    """Which cases a message is."""
    crc = zlib.crc32(message).to_bytes(CRC_BYTES, "little")
    whole = message + crc
    blocks = whole.split(b"\0")
    ENCODED.hit("zero first", when=message[0] == 0)
    ENCODED.hit("zero last", when=message[-1] == 0)
    ENCODED.hit("zero after zero", when=b"\0\0" in message)
    ENCODED.hit("no zero", when=0 not in whole)
    ENCODED.hit("one byte", when=len(message) == 1)
    ENCODED.hit("zero in the CRC", when=0 in crc)
    ENCODED.hit("254 bytes without a zero", when=any(len(block) >= 254 for block in blocks))
    ENCODED.hit("508 bytes without a zero", when=any(len(block) >= 508 for block in blocks))
    ENCODED.hit("254 bytes, then a zero", when=any(len(block) == 254 for block in blocks[:-1]))
    ENCODED.hit("long block ends with the payload", when=0 not in whole and len(message) == 254)
    ENCODED.hit("long block ends with the CRC", when=0 not in whole and len(whole) == 254)
    within = 0 not in whole and len(message) < 254 < len(whole)
    ENCODED.hit("long block ends within the CRC", when=within)


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=[Stalls.NONE, Stalls.SOURCE])
async def writes_the_frame_that_the_host_expects(dut, stalls):
    dut, slot_bytes = Block(dut, "encoder"), parameters()["encoder"]["slot_bytes"]
    await start(dut, payload__valid=0, payload__payload=0)
    offset_bits = (slot_bytes - 1).bit_length()
    memory: dict[int, int] = {}
    done = 0

    def look() -> None:
        nonlocal done
        write = int(dut.write.value)
        if write & 1:
            offset = write >> 1 & (1 << offset_bits) - 1
            assert offset not in memory, "every byte costs one write"
            memory[offset] = write >> 1 + offset_bits
        if dut.done.value:
            assert write & 1, "with the last write"
            assert not done
            done = cycle()

    watch(dut, look)
    source = StreamSource(dut, "payload", hesitation(stalls.source, 1))
    for message in hard_messages(2):
        cover_encoding(message)
        begun = cycle()
        await source.send(reply_bytes(message))
        for _ in range(REST + 4):
            await RisingEdge(dut.clk)
            if done:
                break
        frame = bytes(memory[at] for at in range(len(memory)))
        assert frame == on_the_wire(message), message.hex(" ")
        if stalls is Stalls.NONE:
            took, long = done - begun + 1, (len(message) + CRC_BYTES) // 254
            wanted = 2 * len(message) + REST
            assert wanted <= took <= wanted + long, f"{took} cycles for {len(message)} bytes"
        memory.clear()
        done = 0


class Host:
    """Writes replies and has them sent again; knows what must be sent, in which order."""

    def __init__(self, dut: Block, stalls: Stalls, seed: int):
        self.dut, self.rng = dut, random.Random(seed)
        self.source = StreamSource(dut, "payload", hesitation(stalls.source, seed + 1))
        self.sink = StreamSink(dut, "bytes", hesitation(stalls.sink, seed + 2))
        self.held: dict[int, bytes] = {}
        """The encoded reply in each slot."""
        self.queue: list[tuple[int, bytes]] = []
        """Slot and bytes of what is yet to be sent."""
        self.repeats: dict[int, int] = {}
        self._writing = False
        self._at = self._last = 0
        self._gone = (-1, -1)  # the slot sent last, and when
        self._slot: tuple[int, set[int]] = (0, set())
        watch(dut, self._look)

    @property
    def pending(self) -> set[int]:
        """Slots whose reply is queued or being sent."""
        slot, when = self._gone
        return {slot for slot, _ in self.queue} | ({slot} if when == cycle() else set())

    def _look(self) -> None:
        dut = self.dut
        slot, pending = self._slot
        assert dut.pending.value == (slot in pending), "a cycle late"
        self._writing |= bool(dut.payload__valid.value)
        assert dut.busy.value == bool(self._writing or self.queue)
        if dut.bytes__valid.value and dut.bytes__ready.value:
            assert self.queue, "nothing is to be sent"
            slot, frame = self.queue[0]
            assert dut.bytes__payload.value == frame[self._at], f"byte {self._at} of slot {slot}"
            assert cycle() - self._last >= 2, "a byte every other cycle"
            self._last = cycle()
            self._at += 1
            if self._at == len(frame):
                self._at = 0
                self._gone = (slot, cycle())
                del self.queue[0]
                CACHED.hit("queue runs empty", when=not self.queue)
        self._slot = (int(dut.slot.value), self.pending)

    async def _choose(self, slot: int) -> bool:
        """Set `slot`; whether it is pending."""
        self.dut.slot.value = slot
        await ClockCycles(self.dut.clk, 2)
        await ReadOnly()
        pending = bool(self.dut.pending.value)
        await RisingEdge(self.dut.clk)
        return pending

    async def write(self, slot: int, message: bytes) -> bool:
        """Write a reply, unless the slot's is pending; whether it was written."""
        if await self._choose(slot):
            return False
        CACHED.hit("written over", when=slot in self.held)
        CACHED.hit("written while another is sent", when=bool(self.queue))
        CACHED.hit(f"slot {slot} written")
        await self.source.send(reply_bytes(message))
        await self._encoded(slot, encode(message))
        return True

    async def _encoded(self, slot: int, frame: bytes) -> None:
        """Wait for the encoder; the reply is queued with its last write."""
        await ClockCycles(self.dut.clk, 1 + REST)
        self.held[slot] = frame
        self.repeats[slot] = 0
        self._queue(slot)
        self._writing = False

    def _queue(self, slot: int) -> None:
        """What the cycle before did."""
        self.queue.append((slot, self.held[slot]))
        CACHED.hit("queued as another is done with", when=self._gone[1] == cycle() - 1)

    async def repeat(self, slot: int) -> None:
        """Have a reply sent again; ignored while it is pending."""
        self.dut.slot.value = slot
        self.dut.repeat.value = 1
        await ReadOnly()
        ignored = slot in self.pending
        await RisingEdge(self.dut.clk)
        self.dut.repeat.value = 0
        if ignored:
            CACHED.hit("repeated while it is pending")
        else:
            self._queue(slot)
            self.repeats[slot] += 1
            CACHED.hit(f"slot {slot} repeated")
            CACHED.hit("repeated twice", when=self.repeats[slot] == 2)
        CACHED.hit("all slots pending", when=len(self.queue) == SLOTS)

    async def rest(self) -> None:
        """Wait until all is sent."""
        await ClockCycles(self.dut.clk, 2)
        for _ in range(10_000):
            if not self.queue:
                break
            await RisingEdge(self.dut.clk)
        await ClockCycles(self.dut.clk, 3)
        assert not self.queue and not self.dut.busy.value


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=list(Stalls))
async def sends_what_was_written_and_sends_it_again(dut, stalls):
    dut, longest = Block(dut, "cache"), parameters()["cache"]["reply_body"] + FRAME_OVERHEAD - CRC_BYTES
    await start(dut, slot=0, repeat=0, payload__valid=0, payload__payload=0, bytes__ready=0)
    host = Host(dut, stalls, seed=10 * list(Stalls).index(stalls))
    rng = host.rng

    def message() -> bytes:
        length = rng.choice((2, 3, rng.randint(2, longest), longest))
        CACHED.hit("longest answer", when=length == longest)
        return bytes(rng.choice((0, rng.randrange(256))) for _ in range(length))

    for slot in range(SLOTS):
        assert await host.write(slot, message())
    await host.rest()
    for slot in rng.sample(range(SLOTS), SLOTS):  # as quickly as may be: all wait
        await host.repeat(slot)
    await host.rest()
    for _ in range(80):
        if rng.random() < 0.5:
            await host.write(rng.randrange(SLOTS), message())
        else:
            await host.repeat(rng.choice(list(host.held)))
        if rng.random() < 0.1:
            await host.rest()
        elif rng.random() < 0.5:
            await ClockCycles(dut.clk, rng.randrange(1, 60))
    await host.rest()


@cocotb.test()
async def everything_was_seen(dut):
    assert not ENCODED.missing and not CACHED.missing, (ENCODED.missing, CACHED.missing)
