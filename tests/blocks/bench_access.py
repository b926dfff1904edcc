"""Runs inside a simulator (see test_link_blocks.py): READ and WRITE."""

import random

import cocotb
from answers import reply_byte
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from fake_words import FakeWords, idle

from relaxon.config import Config
from relaxon.layout import Layout
from relaxon.protocol import ACCESS, Space, Status
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSource, hesitation
from relaxon.sim.testbench.watch import cycle, watch

SEEN = Coverage(
    "AccessPort", *(f"{space.name} {what}" for space in Space for what in ("read", "written")),
    *(f"{space.name} last word" for space in Space), "unknown space", "address past the end",
    "address far past the end", "no word", "last words and one more", "too many for an answer",
    "as many as an answer holds", "READ with data", "WRITE with a byte too few",
    "WRITE with a byte too many", "many words", "invalidate", "counters written: no invalidate",
)  # fmt: skip
BYTE = 4
"""Cycles for a byte, with one for its port; what a port takes beyond that comes in addition."""
REQUEST = 9
"""Cycles from the first byte to the status."""


class Access:
    """A READ or a WRITE, right or wrong."""

    def __init__(self, layout: Layout, reads: bool, space: int, address: int, count: int):
        self.layout, self.reads = layout, reads
        self.space, self.address, self.count = space, address, count
        self.data = b""
        self.extra = 0
        """Bytes that the frame is too long, or too short."""

    @property
    def body(self) -> bytes:
        """Of the frame; `data` is as long as it must be."""
        head = ACCESS.pack(space=self.space, address=self.address, count=self.count)
        data = self.data[: len(self.data) + min(0, self.extra)]
        return head + data + bytes(max(0, self.extra))

    @property
    def size(self) -> int:
        """Bytes of its words."""
        known = self.space in set(Space)
        return self.count * self.layout.word_bytes(Space(self.space)) if known else 0

    @property
    def status(self) -> Status:
        """What it deserves."""
        if self.space not in set(Space):
            return Status.BAD_ADDRESS
        if self.count == 0 or self.address + self.count > self.layout.words(Space(self.space)):
            return Status.BAD_ADDRESS
        if self.size > self.layout.reply_body or self.extra:
            return Status.BAD_LENGTH
        return Status.OK

    def cover(self) -> None:
        """Which cases it is."""
        space, words = self.space, 0
        SEEN.hit("no word", when=self.count == 0)
        if space not in set(Space):
            SEEN.hit("unknown space")
            return
        words = self.layout.words(Space(space))
        SEEN.hit("address past the end", when=self.address == words)
        SEEN.hit("address far past the end", when=self.address >> 16 > 0)
        SEEN.hit("last words and one more", when=self.address < words < self.address + self.count)
        if self.status is Status.BAD_LENGTH:
            SEEN.hit("too many for an answer", when=self.size > self.layout.reply_body)
            SEEN.hit("READ with data", when=self.reads and self.extra > 0)
            SEEN.hit("WRITE with a byte too few", when=not self.reads and self.extra == -1)
            SEEN.hit("WRITE with a byte too many", when=not self.reads and self.extra == 1)
        if self.status is not Status.OK:
            return
        name = Space(space).name
        SEEN.hit(f"{name} {'read' if self.reads else 'written'}")
        SEEN.hit(f"{name} last word", when=self.address + self.count == words)
        SEEN.hit("many words", when=self.count > 1)
        room = self.layout.reply_body - self.size
        SEEN.hit("as many as an answer holds", when=room < self.layout.word_bytes(Space(space)))


def any_access(layout: Layout, rng: random.Random) -> Access:
    """Mostly a right one."""
    space = rng.choice(list(Space))
    words, size = layout.words(space), layout.word_bytes(space)
    most = min(words, layout.reply_body // size)
    count = rng.choice((1, most, rng.randint(1, most)))
    address = rng.choice((0, words - count, rng.randint(0, words - count)))
    wrong = rng.randrange(12)
    if wrong == 0:
        space = rng.choice((len(Space), 255))
    elif wrong == 1:
        address = rng.choice((words, words | 1 << rng.randrange(16, 32)))
    elif wrong == 2:
        count = 0
    elif wrong == 3:
        count = words - address + 1
    elif wrong == 4:
        count = layout.reply_body // size + 1
        address = rng.randint(0, max(0, words - count))
    access = Access(layout, rng.random() < 0.5, int(space), address, min(count, 255))
    if not access.reads:
        access.data = rng.randbytes(access.size)
    if rng.random() < 0.15:
        access.extra = rng.choice((1, 7)) if access.reads else rng.choice((-1, 1))
        access.extra = max(access.extra, -len(access.data))
    return access


class Bench:
    """An access port, words behind it, and who gives and takes bytes."""

    def __init__(self, dut: Block, layout: Layout, stalls: Stalls):
        self.dut, self.layout, self.stalls = dut, layout, stalls
        self.words = FakeWords(dut, layout, seed=1, strict=True)
        self._source = StreamSource(dut, "bytes", hesitation(stalls.source, 2))
        self._pauses, self._rng = hesitation(stalls.sink, 3), random.Random(4)
        self.invalidated = False
        self.taken = 0
        """Bytes of the frame."""
        watch(dut, self._look)

    @classmethod
    async def of(cls, dut, stalls: Stalls):
        """After reset."""
        layout = Layout(Config.from_dicts(parameters()["access"], None))
        block = Block(dut, "access")
        ports = ("active", "reads", "length", "bytes__valid", "bytes__payload", "body__ready")
        await start(block, **dict.fromkeys(ports, 0), **idle())
        return cls(block, layout, stalls)

    def _look(self) -> None:
        self.invalidated |= bool(self.dut.invalidate.value)
        self.taken += bool(self.dut.bytes__valid.value and self.dut.bytes__ready.value)

    async def do(self, access: Access) -> tuple[int, bytes]:
        """Carry an access out, as far as it can be; status and body of the answer."""
        dut, edge, settled = self.dut, RisingEdge(self.dut.clk), ReadOnly()
        self.invalidated, self.taken = False, 0
        self.words.took.clear()
        body = access.body
        dut.reads.value, dut.length.value, dut.active.value = int(access.reads), len(body), 1
        sending = cocotb.start_soon(self._source.send(body))
        begun = cycle()
        for _ in range(20 * len(body) + 20 * len(access.data) + 100):
            await settled
            if dut.result.value[0]:
                break
            assert not dut.body__valid.value
            await edge
        else:
            raise AssertionError("no result")
        if access.reads or access.status is not Status.OK:
            assert self.stalls.source or cycle() - begun == REQUEST
        else:
            self._check_time(cycle() - begun - REQUEST)
        result = int(dut.result.value)
        status, empty = result >> 1 & 0xFF, bool(result >> 9)
        await edge
        await ClockCycles(dut.clk, self._rng.randrange(8))
        answer, last, begun = bytearray(), empty, cycle()
        while not last:
            dut.body__ready.value = 0 if next(self._pauses) else 1
            await settled
            assert dut.result.value == result, "holds while active"
            if dut.body__valid.value and dut.body__ready.value:
                byte, last = reply_byte(int(dut.body__payload.value))
                answer.append(byte)
            await edge
        if answer and not self.stalls.sink:
            self._check_time(cycle() - begun - 1)
        dut.body__ready.value = 0
        await ClockCycles(dut.clk, self._rng.randrange(1, 5))
        assert dut.result.value == result
        assert self.taken == (len(body) if status == Status.OK else ACCESS.size)
        sending.cancel()
        dut.bytes__valid.value = 0
        dut.active.value = 0
        await edge
        return status, bytes(answer)

    def _check_time(self, took: int) -> None:
        """Of all bytes of the words."""
        if self.stalls is Stalls.NONE:
            ports = self.words.took
            assert took == sum(BYTE + active - 1 for active in ports), f"{took} for {ports}"


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=list(Stalls))
async def reads_and_writes_what_there_is(dut, stalls):
    bench = await Bench.of(dut, stalls)
    rng = random.Random(20 + list(Stalls).index(stalls))
    for _ in range(70):
        access = any_access(bench.layout, rng)
        bench.words.most = rng.choice((1, 6))
        access.cover()
        before = bench.words.copy()
        status, answer = await bench.do(access)
        assert status == access.status, f"{Status(status).name}, not {access.status.name}"
        good = status == Status.OK
        writes = good and not access.reads
        if good and access.reads:
            assert answer == bench.words.read(Space(access.space), access.address, access.count)
        else:
            assert not answer
        if writes:
            size = bench.layout.word_bytes(Space(access.space))
            for at in range(access.count):
                word = access.data[at * size : (at + 1) * size]
                before[Space(access.space)][access.address + at] = word
        assert bench.words.copy() == before, "these words and no others"
        counters = access.space == Space.COUNTERS
        assert bench.invalidated == (writes and not counters)
        SEEN.hit("invalidate", when=bench.invalidated)
        SEEN.hit("counters written: no invalidate", when=writes and counters)


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
