"""Runs inside a simulator (see test_core.py): a whole core, which must answer as its twin does.

::

    Traffic ─▶ Driver ─▶ rx ─▶ core ─▶ tx ─▶ StreamSink ─▶ Checker
       └──────────────▶ Twin, watched by bins ────────────────┘

The twin executes a frame as soon as it is there; a core keeps it in a buffer. So what is sent at once
always finds room, but in the tests of what happens where there is none.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from core_bins import BoardBins, LinkBins, MachineBins, messages
from core_traffic import SAMPLES, Piece, Traffic, numbered

from relaxon import Config
from relaxon.framing import encode
from relaxon.layout import Layout
from relaxon.protocol import (
    ACCESS,
    COUNTERS,
    HEADER_BYTES,
    HELLO,
    SLOTS,
    Opcode,
    Space,
    Status,
    Verdict,
)
from relaxon.selftest import Script
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.streams import Stalls, StreamSink, StreamSource, hesitation
from relaxon.sim.twin import Twin

QUIET = 24
"""Cycles without a byte, `idle` high, after which nothing more can come."""
STEADY = 2500
"""Cycles in which a core whose answers are not taken comes to a stand."""
FIFO_PLACES = 16


class Answer(NamedTuple):
    """What the twin says; a `repeat` may be left out if the answer had not been sent yet."""

    message: bytes
    repeat: bool


class Checker:
    """Compares what a core answers with what its twin said."""

    def __init__(self, seen: LinkBins):
        self._seen, self._wanted = seen, list[Answer]()
        self.answers = 0

    def expect(self, answers: list[bytes], *, repeat: bool) -> None:
        """The twin's answers to a frame."""
        self._wanted += [Answer(message, repeat) for message in answers]

    def check(self, received: bytes) -> None:
        """All that came until the core was at rest."""
        came = messages(received)
        assert received.count(0) == len(came), f"broken answers: {received.hex(' ')}"
        at = 0
        for wanted in self._wanted:
            if at < len(came) and came[at] == wanted.message:
                at += 1
            else:
                found = came[at].hex(" ") if at < len(came) else "nothing"
                assert wanted.repeat, f"wanted {wanted.message.hex(' ')}, found {found}"
                self._seen.order.hit("an answer not sent yet: not sent twice")
        assert at == len(came), f"nobody asked for {came[at].hex(' ')}"
        self.answers += at
        self._wanted.clear()


class Bench:
    """A core, its twin, and what goes between them and the test."""

    def __init__(self, dut, stalls: Stalls, seed: int):
        given = parameters()
        self.dut, self.rng = dut, random.Random(f"{given['seed']} {seed} {stalls}")
        self.config = Config.from_dicts(given["structure"], given["registers"])
        self.twin = Twin(
            self.config, given["build"], given["clock_hz"], about=given["about"].encode(),
            self_test=given["self_test"],
        )  # fmt: skip
        self.traffic = Traffic(
            self.config, self.rng.getrandbits(32), self_test=given["self_test"] is not None
        )
        self.seen, self.around = LinkBins(self.twin), BoardBins()
        MachineBins(self.config, self.twin.memory.model)
        self.checker = Checker(self.seen)
        self.stalls = stalls
        self.around.stalls.hit(stalls.value)
        self.held = False  # nobody takes answers
        self.source = StreamSource(dut, "rx", hesitation(stalls.source, self.rng.getrandbits(32)))
        self._hesitation = hesitation(stalls.sink, self.rng.getrandbits(32))
        self.sink = StreamSink(dut, "tx", self._pauses())
        self.core = dut.component

    def _pauses(self):
        while True:
            yield self.held or next(self._hesitation)

    async def begin(self) -> None:
        """Reset, and put everything that a reset leaves alone where the twin has it."""
        await start(self.dut, start_self_test=0)
        for command in self.traffic.setup(self.rng.getrandbits(32)):
            await self.burst([Piece(encode(bytes([self.expected]) + command), "due", True)])

    @property
    def expected(self) -> int:
        """The sequence number that is due."""
        return self.twin._expected

    # ---- driver -----------------------------------------------------------------------------

    async def burst(self, pieces) -> None:
        """Send these, one after another, and compare the answers when the core is at rest."""
        data = b"".join(self.told(piece) for piece in pieces)
        await self.source.send(data)
        await self.rest()

    async def random_burst(self) -> None:
        """The next burst of the traffic."""
        pieces = self.traffic.burst(self.expected, self.twin.memory.model.registers)
        data, state = b"", None
        while True:
            try:
                piece = pieces.send(state)
            except StopIteration:
                break
            data += self.told(piece)
            state = self.expected, self.twin.memory.model.registers
        await self.source.send(data)
        await self.rest()

    def told(self, piece: Piece) -> bytes:
        """Give the twin a piece and note its answers; returns its bytes."""
        twin, expected = self.twin, self.expected
        link, chip = dict(twin.memory.counters), dict(twin.memory.model.counters)
        answer = twin.feed(piece.data)
        self.seen.fed(piece, link, expected, answer)
        repeat = twin.memory.counters["duplicates"] != link["duplicates"]
        self.checker.expect(messages(answer), repeat=repeat)
        if piece.kind == "due" and piece.data and not repeat:
            self.seen.wrapped(chip)
        return piece.data

    async def rest(self, cycles: int = 400_000) -> None:
        """Wait until nothing more can come, and compare the answers."""
        quiet = 0
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            still = self.dut.idle.value and not self.dut.tx__valid.value
            quiet = quiet + 1 if still else 0
            if quiet == QUIET:
                break
        else:
            raise AssertionError(f"no rest after {cycles} cycles")
        self.checker.check(bytes(self.sink.received))
        self.sink.received.clear()
        self.around.windows.hit("receive buffer empty")

    def read(self, space: Space, address: int = 0, count: int = 1) -> Piece:
        """A READ that is due."""
        access = ACCESS.pack(space=space, address=address, count=count)
        return Piece(encode(bytes([self.expected, Opcode.READ]) + access), "due")


@cocotb.test(timeout_time=1, timeout_unit="sec")
@cocotb.parametrize(stalls=list(Stalls))
async def answers_as_the_twin_whoever_stalls(dut, stalls):
    bench = Bench(dut, stalls, 1)
    await bench.begin()
    for _ in range(parameters()["bursts"]):
        await bench.random_burst()
    for first in range(0, len(COUNTERS) - 1, 6):
        count = min(6, len(COUNTERS) - 1 - first)
        await bench.burst([bench.read(Space.COUNTERS, first, count)])
    assert bench.checker.answers > parameters()["bursts"]
    if parameters()["self_test"] is not None:
        await bench.burst([bench.read(Space.SELF_TEST)])


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def order_is_kept_at_the_edges_of_the_window(dut):
    bench = Bench(dut, Stalls.NONE, 2)
    await bench.begin()
    traffic = bench.traffic
    # Frames 15 and 16 back, a gap told once, and again after HELLO or the frame that was due.
    for _ in range(2):
        ahead = [_infer(traffic, bench.expected + 7) for _ in range(2)]
        await bench.burst([Piece(frame, "ahead") for frame in ahead])
        await bench.burst([Piece(_hello(traffic), "HELLO")])
        await bench.burst([Piece(frame, "ahead") for frame in ahead])
        await bench.burst([traffic.sample(bench.expected)])
        await bench.burst([Piece(frame, "ahead") for frame in ahead])
    for back in (1, 2, 14, 15, 16, 17, 128, 255):
        await bench.burst([Piece(_infer(traffic, bench.expected - back), "stale")])
    # A duplicate that comes right behind its frame finds the answer on its way.
    for _ in range(3):
        piece = traffic.sample(bench.expected)
        await bench.burst(iter([piece, *[Piece(piece.data, "again")] * 3]))
    while bench.expected >= 4:  # round to 0 and on
        await bench.burst([bench.read(Space.BUILD)])
    for _ in range(2):
        await bench.burst([traffic.sample(bench.expected)])


@cocotb.test(timeout_time=1, timeout_unit="sec")
@cocotb.parametrize(what=["samples", "writes", "mixed"])
async def what_finds_no_room_is_dropped_and_counted(dut, what):
    bench = Bench(dut, Stalls.NONE, 3)
    await bench.begin()
    traffic, twin, windows = bench.traffic, bench.twin, bench.around.windows
    bench.held = True
    await ClockCycles(dut.clk, 3)
    size = bench.twin.layout.rx_bytes
    few = [traffic.sample(bench.expected + n).data for n in range(SLOTS)]
    rest = [traffic.sample(bench.expected + SLOTS + n).data for n in range(2 * FIFO_PLACES)]
    if what == "writes":
        body = _widest_write(bench.twin.layout)
        rest = numbered([body] * (size // len(body) + 4), bench.expected + SLOTS)
    elif what == "mixed":
        kinds = [[bytes([Opcode.READ]) + ACCESS.pack(space=Space.BUILD, address=n, count=1)]
                 for n in range(2 * FIFO_PLACES)]  # fmt: skip
        rest = [numbered(kind, bench.expected + SLOTS + n)[0] for n, kind in enumerate(kinds)]
    frames = few + rest
    for frame in few:
        await bench.source.send(frame)
        await ClockCycles(dut.clk, STEADY // SLOTS)
    for frame in rest:
        await bench.source.send(frame)
    await ClockCycles(dut.clk, STEADY)
    pending, level = bench.core.replies.pending.value, _level(bench.core.receiver)
    assert not dut.idle.value and dut.tx__valid.value
    windows.hit("all slots wait to be sent", when=int(pending) == (1 << SLOTS) - 1)
    windows.hit("16 frames wait", when=level >= FIFO_PLACES)
    windows.hit("the machine stands, its answers wait")
    bench.held = False
    # What was taken is what is answered: frames in order, from the first one on.
    taken = await _answers_until_rest(bench)
    dropped = len(frames) - taken
    kept = sum(map(len, frames[SLOTS:taken]))
    assert taken >= SLOTS + min(FIFO_PLACES, 4) and dropped > 0, f"{taken} of {len(frames)} taken"
    windows.hit("frames dropped for want of places", when=level >= FIFO_PLACES)
    few_bytes = level < FIFO_PLACES
    windows.hit("frames dropped for want of bytes", when=few_bytes)
    windows.hit("receive buffer full of bytes", when=few_bytes)
    assert not few_bytes or kept > size // 2
    for frame in frames[:taken]:
        bench.told(Piece(frame, "due"))
    for _ in range(dropped):
        twin.memory.count("overflows")
    bench.checker.check(bytes(bench.sink.received))
    bench.sink.received.clear()
    link = [c.name for c in COUNTERS].index("frames")
    await bench.burst([bench.read(Space.COUNTERS, link, 3)])
    for _ in range(3):
        await bench.random_burst()


@cocotb.test(timeout_time=1, timeout_unit="sec", skip=parameters()["self_test"] is None)
async def the_self_test_tells_what_the_twin_measures(dut):
    bench = Bench(dut, Stalls.SINK, 4)
    await bench.begin()
    traffic, around = bench.traffic, bench.around
    limit = 4 * Script(bench.config).cycles() + 20_000
    dut.start_self_test.value = 1  # and is held down
    await ClockCycles(dut.clk, 4)
    assert not dut.idle.value
    around.self_test.hit("started by the pin")
    bench.twin._run_self_test(parameters()["self_test"])
    dut.start_self_test.value = 0
    await ClockCycles(dut.clk, 2)
    dut.start_self_test.value = 1  # bounces: no second test
    around.self_test.hit("started again while it runs")
    await bench.source.send(bench.told(traffic.sample(bench.expected)))
    around.self_test.hit("frames wait for its end")
    await bench.rest(limit)
    await _verdict(bench)

    await bench.source.send(
        bench.told(Piece(encode(bytes((bench.expected, Opcode.SELF_TEST))), "due"))
        + bench.told(bench.read(Space.SELF_TEST))
    )
    around.self_test.hit("asked for by the host")
    around.self_test.hit("a READ waits for its end")
    await bench.rest(limit)
    await _verdict(bench)
    for _ in range(2):
        await bench.random_burst()


@cocotb.test(timeout_time=1, timeout_unit="sec", skip=parameters()["self_test"] is None)
async def no_self_test_is_told_of_before_one_was_made(dut):
    bench = Bench(dut, Stalls.NONE, 5)
    await start(dut, start_self_test=0)
    await bench.burst([bench.read(Space.SELF_TEST)])
    assert bench.twin.memory.self_test[0] == Verdict.NEVER
    bench.around.verdict(bench.twin.memory.self_test)


async def _verdict(bench: Bench) -> None:
    """Read how the test ended."""
    await bench.burst([bench.read(Space.SELF_TEST)])
    bench.around.verdict(bench.twin.memory.self_test)
    assert bench.twin.memory.self_test[0] != Verdict.NEVER


async def _answers_until_rest(bench: Bench) -> int:
    """How many messages come until the core is at rest; they stay in the sink."""
    while not bench.dut.idle.value:
        await RisingEdge(bench.dut.clk)
    await ClockCycles(bench.dut.clk, QUIET)
    return len(messages(bytes(bench.sink.received)))


def _level(receiver) -> int:
    """Frames in a receiver's buffer."""
    return int(receiver.lengths.level.value)


def _infer(traffic: Traffic, number: int) -> bytes:
    return encode(bytes((number & 0xFF, Opcode.INFER)) + bytes(traffic.layout.input_bytes))


def _hello(traffic: Traffic) -> bytes:
    body = HELLO.pack(nonce=traffic.rng.getrandbits(32))
    return encode(bytes((traffic.rng.randrange(256), Opcode.HELLO)) + body)


def _widest_write(layout: Layout) -> bytes:
    """A WRITE of as many words of W as a frame takes, all 0."""
    words = min(layout.words_per_frame(Space.WEIGHTS), layout.recurrent_base)
    access = ACCESS.pack(space=Space.WEIGHTS, address=0, count=words)
    return bytes([Opcode.WRITE]) + access + bytes(words * layout.word_bytes(Space.WEIGHTS))
