"""Runs inside a simulator (see test_core.py): a whole core, which must answer as its twin does."""

from __future__ import annotations

import cocotb
from cocotb.triggers import ClockCycles
from core_host import Bench
from core_traffic import Piece, Traffic, greeting, numbered

from relaxon.framing import encode
from relaxon.hw.core import STATUS
from relaxon.layout import Layout
from relaxon.protocol import ACCESS, COUNTERS, DELIMITER, SLOTS, Opcode, Space, Verdict
from relaxon.selftest import Script
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.streams import Stalls

STEADY = 1600
"""Cycles in which a core whose answers are not taken comes to a stand."""
PLACES = 16
"""Frames that may wait in the receive buffer."""


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
    # Frames 15 and 16 back, a gap told once, and again after a greeting or the frame that was due.
    for _ in range(2):
        ahead = [_infer(traffic, bench.expected + 7) for _ in range(2)]
        await bench.burst([Piece(frame, "ahead") for frame in ahead])
        await bench.burst([greeting(traffic.rng.randrange(256))])
        await bench.burst([Piece(frame, "ahead") for frame in ahead])
        await bench.burst([traffic.sample(bench.expected)])
        await bench.burst([Piece(frame, "ahead") for frame in ahead])
    for back in (1, 2, 14, 15, 16, 17, 128, 255):
        await bench.burst([Piece(_infer(traffic, bench.expected - back), "stale")])
    # A duplicate that comes right behind its frame finds the answer on its way.
    for _ in range(3):
        piece = traffic.sample(bench.expected)
        await bench.burst(iter([piece, *[Piece(piece.data, "again")] * 3]))


@cocotb.test(timeout_time=1, timeout_unit="sec")
@cocotb.parametrize(what=["samples", "writes"])
async def what_finds_no_room_is_dropped_and_counted(dut, what):
    bench = Bench(dut, Stalls.NONE, 3)
    await bench.begin()
    traffic, twin, windows = bench.traffic, bench.twin, bench.around.windows
    bench.listener.hold()
    first, size = bench.expected, twin.layout.rx_bytes
    answers = [_build(first + n) for n in range(SLOTS)]  # until no slot is free
    begun = [_build(first + SLOTS)]  # waits for a slot
    if what == "samples":  # these need none until they are computed
        begun = [traffic.sample((first + SLOTS + n) & 0xFF).data for n in range(2)]
    number = first + SLOTS + len(begun)
    more = [_build(number + n) for n in range(2 * PLACES)]
    if what == "writes":
        wide = _widest_write(twin.layout)
        more = numbered([wide] * (size // len(wide) + 4), number)
    for part in (answers, begun, more):
        await bench.source.send(b"".join(part))
        await ClockCycles(dut.clk, STEADY)

    assert not dut.idle.value and dut.tx__valid.value
    every = int(bench.core.replies.pending.value) == (1 << SLOTS) - 1
    waiting = int(bench.core.receiver.lengths.level.value)
    windows.hit("all slots wait to be sent", when=every)
    stands = bool(bench.core.command.samples.under_way.value) and not bench.core.machine.busy.value
    windows.hit("the machine stands, its answers wait", when=stands)
    wanting = "places" if waiting == PLACES else "bytes"
    windows.hit(f"frames dropped for want of {wanting}")
    windows.hit("16 frames wait", when=wanting == "places")
    windows.hit("receive buffer full of bytes", when=wanting == "bytes")
    bench.listener.release()
    await bench.rest(check=False)
    # What was taken is what is answered: frames in order, from the first one on.
    frames = [*answers, *begun, *more]
    taken = bench.listener.received.count(DELIMITER)
    dropped = len(frames) - taken
    assert SLOTS + waiting <= taken < len(frames), f"{taken} of {len(frames)} taken"
    room = sum(map(len, frames[taken - waiting : taken + 1]))
    assert waiting == PLACES or room > size - 8 * PLACES, f"{waiting} frames filled the buffer"
    for frame in frames[:taken]:
        bench.told(Piece(frame, "due"))
    for _ in range(dropped):
        twin.memory.count("overflows")
    bench.checker.check(bench.listener.taken())
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
    around.self_test.hit("started again while it runs", when=_tests(bench))
    await bench.source.send(bench.told(traffic.sample(bench.expected)))
    around.self_test.hit("frames wait for its end", when=_tests(bench))
    await bench.rest(limit)
    await _verdict(bench)

    await bench.source.send(
        bench.told(Piece(encode(bytes((bench.expected, Opcode.SELF_TEST))), "due"))
        + bench.told(bench.read(Space.SELF_TEST))
    )
    around.self_test.hit("asked for by the host", when=_tests(bench))
    await ClockCycles(dut.clk, STEADY)
    around.self_test.hit("a READ waits for its end", when=_tests(bench) and not dut.tx__valid.value)
    await bench.rest(limit)
    await _verdict(bench)
    for _ in range(2):
        await bench.random_burst()


@cocotb.test(timeout_time=1, timeout_unit="sec", skip=parameters()["self_test"] is None)
async def no_self_test_is_told_of_before_one_was_made(dut):
    bench = Bench(dut, Stalls.NONE, 5)
    await start(dut, start_self_test=0)
    await bench.burst([greeting()])
    await bench.burst([bench.read(Space.SELF_TEST)])
    assert bench.twin.memory.self_test[0] == Verdict.NEVER
    bench.around.verdict(bench.twin.memory.self_test)


def _tests(bench: Bench) -> bool:
    """Whether the self-test runs."""
    return bool(STATUS.from_bits(int(bench.dut.status.value)).testing)


async def _verdict(bench: Bench) -> None:
    """Read how the test ended."""
    await bench.burst([bench.read(Space.SELF_TEST)])
    bench.around.verdict(bench.twin.memory.self_test)
    assert bench.twin.memory.self_test[0] != Verdict.NEVER


def _infer(traffic: Traffic, number: int) -> bytes:
    return encode(bytes((number & 0xFF, Opcode.INFER)) + bytes(traffic.layout.input_bytes))


def _build(number: int) -> bytes:
    access = ACCESS.pack(space=Space.BUILD, address=number % 256, count=1)
    return encode(bytes((number & 0xFF, Opcode.READ)) + access)


def _widest_write(layout: Layout) -> bytes:
    """A WRITE of as many words of W as a frame takes, all 0."""
    words = min(layout.words_per_frame(Space.WEIGHTS), layout.recurrent_base)
    access = ACCESS.pack(space=Space.WEIGHTS, address=0, count=words)
    return bytes([Opcode.WRITE]) + access + bytes(words * layout.word_bytes(Space.WEIGHTS))
