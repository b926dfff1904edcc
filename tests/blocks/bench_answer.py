"""Runs inside a simulator (see test_link_blocks.py): answers on their way to the reply cache."""

import random
from collections.abc import Iterator

import cocotb
from answers import reply_bytes
from cocotb.triggers import ClockCycles
from fake_cache import FakeCache

from relaxon.hw.answer import Answer
from relaxon.protocol import SLOTS
from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSource, hesitation
from relaxon.sim.testbench.watch import cycle, watch

SEEN = Coverage(
    "AnswerWriter", "early", "late", "early and late at once", "late after early", "early after late",
    "empty", "body of one byte", "long body", "waits for its slot", "slot free at once",
)  # fmt: skip
HEAD = Answer().members["head"].signature.members["payload"].shape
SIDES = ("late", "early")
"""By the value of `hold`."""
OWN_CYCLES = 7


class Speaker:
    """One of the two who answer."""

    def __init__(self, dut: Block, side: str, pauses: Iterator[bool]):
        self._head = StreamSource(dut, f"{side}__head")
        self._body = StreamSource(dut, f"{side}__body", pauses)

    async def answer(self, slot: int, message: bytes) -> None:
        """Sequence, status and body; returns when the answer was taken."""
        body = message[2:]
        head = {"slot": slot, "sequence": message[0], "status": message[1], "empty": not body}
        sending = cocotb.start_soon(self._body.send(reply_bytes(body)))
        await self._head.send([HEAD.const(head).as_bits()])
        assert sending.done(), "before the body was"


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=list(Stalls))
async def writes_one_answer_after_another(dut, stalls):
    dut, rng = Block(dut, "writer"), random.Random(1)
    ports = [f"{side}__{part}__{port}" for side in SIDES for part in ("head", "body")
             for port in ("valid", "payload")]  # fmt: skip
    await start(dut, hold=0, pending=0, payload__ready=0, **dict.fromkeys(ports, 0))
    cache = FakeCache(dut, hesitation(stalls.sink, 2), seed=3)
    speakers = [Speaker(dut, side, hesitation(stalls.source, at)) for at, side in enumerate(SIDES)]
    wanted: list[tuple[int, bytes]] = []

    def look() -> None:
        quiet = SIDES[not dut.hold.value]
        assert not getattr(dut, f"{quiet}__head__ready").value
        assert not getattr(dut, f"{quiet}__body__ready").value

    watch(dut, look)

    async def one(side: int) -> None:
        slot = rng.randrange(SLOTS)
        busy = slot in cache.pending
        message = rng.randbytes(2 + rng.choice((0, 1, rng.randrange(2, 20))))
        SEEN.hit(SIDES[side])
        SEEN.hit("empty", when=len(message) == 2)
        SEEN.hit("body of one byte", when=len(message) == 3)
        SEEN.hit("long body", when=len(message) > 3)
        SEEN.hit("waits for its slot" if busy else "slot free at once")
        wanted.append((slot, message))
        if busy:  # until it was sent, nothing is written
            speaking = cocotb.start_soon(speakers[side].answer(slot, message))
            await ClockCycles(dut.clk, rng.randrange(5, 40))
            assert len(cache.taken) == len(wanted) - 1
            cache.pending.discard(slot)
            await speaking
        else:
            begun = cycle()
            await speakers[side].answer(slot, message)
            if stalls is Stalls.NONE:
                took = cycle() - begun
                assert took == OWN_CYCLES + 2 * (len(message) - 2) + cache.encoding
        assert cache.taken == wanted
        if rng.random() < 0.5:
            cache.pending.discard(slot)

    for _ in range(40):
        first = rng.randrange(2)
        dut.hold.value = first
        if rng.random() < 0.3:  # both have something to say
            SEEN.hit("early and late at once")
            SEEN.hit(f"{SIDES[not first]} after {SIDES[first]}")
            other = StreamSource(dut, f"{SIDES[not first]}__head")
            message = rng.randbytes(2)
            slot = rng.randrange(SLOTS)
            cache.pending.discard(slot)
            head = {"slot": slot, "sequence": message[0], "status": message[1], "empty": 1}
            waiting = cocotb.start_soon(other.send([HEAD.const(head).as_bits()]))
            await one(first)
            cache.pending.discard(slot)
            dut.hold.value = int(not first)
            await waiting
            wanted.append((slot, message))
            assert cache.taken == wanted
        else:
            await one(first)
        if rng.random() < 0.3:
            await ClockCycles(dut.clk, rng.randrange(1, 9))


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
