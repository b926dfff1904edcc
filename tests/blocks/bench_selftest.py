"""Runs inside a simulator (see test_link_blocks.py): the self-test's player between its neighbours."""

import random

import cocotb
from answers import reply_byte, reply_bytes
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from host_port import HostPort
from host_port import idle as idle_port
from script_answers import bodies

from relaxon.config import Config
from relaxon.hw.selftest import OUTCOME
from relaxon.protocol import SELF_TEST, Status, Verdict
from relaxon.selftest import Script, signature
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSink, StreamSource, hesitation
from relaxon.sim.testbench.watch import watch

SEEN = Coverage(
    "SelfTest", "passed", "failed", "passed after failed", "failed after passed", "never run",
    "started while the command port is busy", "started while it runs", "a frame waits meanwhile",
    "frames pass before", "frames pass after", "answers pass", "replies pending",
    *(f"step {opcode}" for opcode in ("WRITE", "READ", "TRAIN", "SCORE")),
)  # fmt: skip


class Bench:
    """A self-test between a receiver, a command port and a reply cache."""

    def __init__(self, dut: Block, name: str, stalls: Stalls, seed: int):
        given = parameters()[name]
        self.dut, self.rng = dut, random.Random(seed)
        self.script = Script(Config.from_dicts(given["structure"], None))
        self.expected = given["expected"]
        self.host = HostPort(dut, "host", SELF_TEST.size, seed=seed + 1)
        self._answers = StreamSource(dut, "payload", hesitation(stalls.source, seed + 2))
        self._pauses = hesitation(stalls.sink, seed + 3)
        self.replies = StreamSink(dut, "replies", hesitation(stalls.sink, seed + 4))
        self.received = StreamSource(dut, "received__bytes", hesitation(stalls.source, seed + 5))

    @classmethod
    async def of(cls, dut, name: str, stalls: Stalls, seed: int):
        """After reset."""
        block = Block(dut, name)
        ports = ("start", "received__valid", "received__length", "received__bytes__valid",
                 "received__bytes__payload", "frames__bytes__ready", "frames__next", "busy",
                 "payload__valid", "payload__payload", "replies__ready", "replies_pending")  # fmt: skip
        await start(block, **dict.fromkeys(ports, 0), **idle_port("host"))
        return cls(block, name, stalls, seed)

    @property
    def outcome(self):
        """What the lamps show."""
        return OUTCOME.from_bits(int(self.dut.outcome.value))

    async def take_frame(self, patience: int = 200) -> bytes:
        """Take the frame on offer, as the command port does, but leave `next` to be given."""
        dut, edge, settled = self.dut, RisingEdge(self.dut.clk), ReadOnly()
        for _ in range(patience):
            await settled
            if dut.frames__valid.value:
                break
            await edge
        else:
            raise AssertionError(f"no frame in {patience} cycles")
        frame, length = bytearray(), int(dut.frames__length.value)
        await edge
        while len(frame) < length:
            dut.frames__bytes__ready.value = 0 if next(self._pauses) else 1
            await settled
            assert dut.frames__valid.value and dut.frames__length.value == length
            if dut.frames__bytes__valid.value and dut.frames__bytes__ready.value:
                frame.append(int(dut.frames__bytes__payload.value))
            await edge
        dut.frames__bytes__ready.value = 0
        return bytes(frame)

    async def leave_frame(self) -> None:
        """Done with it."""
        self.dut.frames__next.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.frames__next.value = 0

    async def answer(self, message: bytes) -> None:
        """Answer; returns when that is complete."""
        await self._answers.send(reply_bytes(message))
        await ReadOnly()
        testing = bool(self.dut.aside.value)
        assert not testing or self.dut.pending.value, "in the cycle after"
        await RisingEdge(self.dut.clk)

    async def begin(self) -> None:
        """Pulse `start`."""
        self.dut.start.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.start.value = 0

    async def passes_a_frame(self) -> None:
        """A frame of the host's goes to the command port, and its answer to the host."""
        dut, rng = self.dut, self.rng
        frame, answer = rng.randbytes(rng.randrange(2, 20)), rng.randbytes(rng.randrange(2, 9))
        dut.received__valid.value, dut.received__length.value = 1, len(frame)
        sending = cocotb.start_soon(self.received.send(frame))
        assert await self.take_frame() == frame
        await sending
        self.replies.received.clear()
        await self.answer(answer)
        assert bytes(reply_byte(each)[0] for each in self.replies.received) == answer
        SEEN.hit("answers pass")
        for pending in (1, 0):
            dut.replies_pending.value = pending
            await ReadOnly()
            assert dut.pending.value == pending
            await RisingEdge(dut.clk)
        SEEN.hit("replies pending")
        dut.frames__next.value = 1
        await ReadOnly()
        assert dut.received__next.value
        await RisingEdge(dut.clk)
        dut.frames__next.value = 0
        dut.received__valid.value = 0
        await ClockCycles(dut.clk, 2)

    async def plays(self, *, right: bool) -> None:
        """A whole test, whose answers are right or have a bit changed; from its start to its end."""
        dut, rng = self.dut, self.rng
        answers = bodies(self.script)
        if not right:
            spoiled = rng.choice([n for n, body in enumerate(answers) if body])
            at = rng.randrange(len(answers[spoiled]))
            body = bytearray(answers[spoiled])
            body[at] ^= 1 << rng.randrange(8)
            answers[spoiled] = bytes(body)
        self.replies.received.clear()
        for number, (command, body) in enumerate(zip(self.script.commands(), answers, strict=True)):
            frame = await self.take_frame()
            assert frame[1:] == command, f"command {number}"
            assert dut.aside.value and self.outcome.running
            if rng.random() < 0.1:
                await self.begin()
                SEEN.hit("started while it runs")
            await self.answer(bytes([rng.randrange(256), Status.OK]) + body)
            await self.leave_frame()
            opcode = type(self.script.steps[0].opcode)(command[0])
            SEEN.hit(f"step {opcode.name}")
        await ClockCycles(dut.clk, 3)
        assert not self.replies.received, "no answer goes to the host"
        measured = signature(answers)
        assert (measured == self.expected) == right
        outcome = self.outcome
        assert (outcome.running, outcome.passed, outcome.failed) == (0, right, not right)
        assert not dut.aside.value
        verdict = SELF_TEST.unpack(await self.host.read(0))
        result = Verdict.PASSED if right else Verdict.FAILED
        assert verdict == {"result": result, "signature": measured}
        SEEN.hit("passed" if right else "failed")


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(
    (("name", "stalls"), [("odd_selftest", Stalls.BOTH), *(("selftest", s) for s in Stalls)])
)
async def plays_the_script_and_judges_the_answers(dut, name, stalls):
    seed = 10 * list(Stalls).index(stalls)
    bench = await Bench.of(dut, name, stalls, seed)
    dut, rng = bench.dut, bench.rng
    assert (await bench.host.read(0))[0] == Verdict.NEVER
    SEEN.hit("never run")
    await bench.passes_a_frame()
    SEEN.hit("frames pass before")
    before, nexts = None, []
    watch(dut, lambda: nexts.append(bool(dut.received__next.value)))
    for right in (True, False) if stalls.source else (False, True):
        dut.busy.value = busy = rng.randrange(2)
        await bench.begin()
        for _ in range(busy * rng.randrange(5, 30)):
            await ReadOnly()
            assert not dut.frames__valid.value and not dut.aside.value and bench.outcome.running
            await RisingEdge(dut.clk)
        SEEN.hit("started while the command port is busy", when=bool(busy))
        dut.busy.value = 0
        dut.received__valid.value = waits = rng.randrange(2)
        dut.received__length.value = 9
        nexts.clear()
        await bench.plays(right=right)
        assert not any(nexts), "frames of the host wait"
        SEEN.hit("a frame waits meanwhile", when=bool(waits))
        dut.received__valid.value = 0
        SEEN.hit("passed after failed", when=before is False and right)
        SEEN.hit("failed after passed", when=before is True and not right)
        before = right
    await bench.passes_a_frame()
    SEEN.hit("frames pass after")


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
