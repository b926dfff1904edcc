"""Runs inside a simulator (see test_link_blocks.py): the command port, byte for byte like the twin."""

import random
from collections import Counter

import cocotb
import numpy as np
from bench_access import any_access
from cocotb.triggers import ClockCycles, RisingEdge
from fake_cache import FakeCache
from fake_machine import FakeMachine, Sample
from fake_machine import idle as idle_machine
from fake_receiver import FakeReceiver
from fake_receiver import idle as idle_receiver
from fake_words import FakeWords
from fake_words import idle as idle_words

from relaxon.config import Config
from relaxon.framing import Deframer, encode
from relaxon.layout import Layout
from relaxon.protocol import ACCESS, GREETINGS, HEADER_BYTES, HELLO, SLOTS, Opcode, Space, Status
from relaxon.sim.model import Result
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, hesitation
from relaxon.sim.testbench.watch import cycle, watch
from relaxon.sim.twin import Twin

OPCODES = tuple(opcode.name for opcode in Opcode)
SEEN = Coverage(
    "CommandPort", *OPCODES, *(f"{name} of a wrong length" for name in OPCODES),
    *(f"{status.name} answered" for status in Status), "unknown opcode", "no body at all",
    "repeated", "oldest one repeated", "too old", "one ahead", "complaint left out", "number wraps",
    "greeting out of sequence", "closed", "repeated while samples are under way", "samples back to back",
    "access after a sample", "aside", "longest frame",
    "complains again after HELLO",
)  # fmt: skip
SENDING = 12
"""Cycles that sending an answer takes, at least."""
TAKEN = 8
"""Cycles to take a sample, at most, beside 2 for each byte of its body."""


class Model:
    """What the twin needs of a model: outcomes that only depend on samples."""

    def __init__(self, layout: Layout):
        self._layout, self.taken = layout, []

    def train_one(self, x, label: int) -> Result:
        return self._result(Sample(self._packed(x), label))

    def infer_one(self, x) -> Result:
        return self._result(Sample(self._packed(x), None))

    def _packed(self, x) -> bytes:
        return self._layout.pack_inputs(x[None])[0].tobytes()

    def _result(self, sample: Sample) -> Result:
        self.taken.append(sample)
        scores = np.array(sample.scores(self._layout), np.int64)
        return Result(scores=scores, activity=None, **sample.outcome(self._layout))


class Memory:
    """What the twin needs of a memory."""

    def __init__(self, layout: Layout, words: dict[Space, list[bytes]]):
        self.model, self._layout, self.words = Model(layout), layout, words
        self.counts: Counter[str] = Counter()

    def count(self, counter: str) -> None:
        self.counts[counter] += 1

    def moved(self) -> None:
        """Nothing to do."""

    def read(self, space: Space, address: int, count: int) -> bytes:
        return b"".join(self.words[space][address : address + count])

    def write(self, space: Space, address: int, data: bytes) -> None:
        size = self._layout.word_bytes(space)
        for at in range(len(data) // size):
            self.words[space][address + at] = data[at * size : (at + 1) * size]


class LinkTwin(Twin):
    """A twin of which there is nothing but the link; of self-tests, it counts the requests."""

    def __init__(self, config: Config, words: dict[Space, list[bytes]], build: int, clock_hz: int):
        super().__init__(config, build, clock_hz, self_test=0)
        self.memory = Memory(self.layout, words)
        self.tests = 0

    def _run_self_test(self, expected: int) -> None:
        self.tests += 1


class Bench:
    """A command port and all its neighbours, none of them real."""

    def __init__(self, dut: Block, stalls: Stalls, seed: int):
        given = parameters()["command"]
        self.config = Config.from_dicts(given["structure"], None)
        self.layout = Layout(self.config)
        self.dut, self.rng = dut, random.Random(seed)
        self.receiver = FakeReceiver(dut, hesitation(stalls.source, seed + 1), seed)
        self.cache = FakeCache(dut, hesitation(stalls.sink, seed + 2), seed)
        self.machine = FakeMachine(dut, self.layout, seed + 3)
        self.words = FakeWords(dut, self.layout, seed + 4, strict=False)
        self.twin = LinkTwin(self.config, self.words.copy(), given["build"], given["clock_hz"])
        self.wanted: list[bytes] = []
        """What must be sent, encoded."""
        self.sent: list[bytes] = []
        self.counts: Counter[str] = Counter()
        self.tests = 0
        self._kept: dict[int, bytes] = {}
        self._ages: Counter[int] = Counter()  # cycles for which an answer is pending
        self._logged = 0
        watch(dut, self._look)

    @classmethod
    async def of(cls, dut, stalls: Stalls, seed: int):
        """After reset."""
        block = Block(dut, "command")
        ports = ("aside", "pending", "payload__ready")
        await start(
            block, **dict.fromkeys(ports, 0), **idle_receiver(), **idle_machine(), **idle_words()
        )
        return cls(block, stalls, seed)

    def _look(self) -> None:
        dut, cache = self.dut, self.cache
        if dut.duplicate.value:
            self.counts["duplicate"] += 1
        if dut.out_of_sequence.value:
            self.counts["out_of_sequence"] += 1
        if dut.refused.value:
            self.counts["refused"] += 1
        if dut.self_test.value:
            self.tests += 1
        for slot, message in cache.taken[self._logged :]:
            self._kept[slot] = message
            self.sent.append(encode(message))
        self._logged = len(cache.taken)
        if dut.repeat.value:
            self.sent.append(encode(self._kept[int(dut.slot.value)]))
        for slot in sorted(cache.pending):
            self._ages[slot] += 1
            if self._ages[slot] > SENDING and self.rng.random() < 0.1:
                cache.pending.discard(slot)
                self._ages[slot] = 0

    def give(self, message: bytes) -> list[bytes]:
        """Give the port a message, and the twin; the twin's answers."""
        before = self.twin.memory.counts.copy()
        answer = self.twin.feed(encode(message))
        answers = [piece + b"\0" for piece in answer.split(b"\0")[:-1]]
        self.wanted += answers
        self.receiver.waiting.append(message)
        missing = self.twin.memory.counts["out_of_sequence"] > before["out_of_sequence"]
        SEEN.hit("complaint left out", when=missing and not answers)
        SEEN.hit("repeated", when=self.twin.memory.counts["duplicates"] > before["duplicates"])
        for encoded in answers:
            (said,) = Deframer(1 << 16).feed(encoded)
            SEEN.hit(f"{Status(said[1]).name} answered")
        return answers

    async def rest(self, cycles: int = 3000) -> None:
        """Wait until nothing is left to do, and compare with the twin."""
        await ClockCycles(self.dut.clk, 4)
        for _ in range(cycles):
            if not self.receiver.waiting and not self.dut.busy.value:
                break
            await RisingEdge(self.dut.clk)
        await ClockCycles(self.dut.clk, 15)
        assert not self.receiver.waiting and not self.dut.busy.value
        assert self.sent == self.wanted
        counts = self.twin.memory.counts
        assert self.counts["duplicate"] == counts["duplicates"]
        assert self.counts["out_of_sequence"] == counts["out_of_sequence"]
        assert self.counts["refused"] == counts["refused"]
        assert self.tests == self.twin.tests
        assert self.machine.taken == self.twin.memory.model.taken
        assert self.words.copy() == self.twin.memory.words


def greeting(rng: random.Random, opcode: Opcode = Opcode.OPEN) -> bytes:
    """One of a good length."""
    SEEN.hit(opcode.name)
    return bytes([opcode]) + HELLO.pack(nonce=rng.getrandbits(32))


def any_command(layout: Layout, rng: random.Random) -> bytes:
    """Opcode and body, mostly right ones."""
    kinds = (Opcode.READ, Opcode.WRITE, *[Opcode.TRAIN] * 3, *[Opcode.INFER] * 2, Opcode.SCORE,
             *[Opcode.SELF_TEST] * 2, None)  # fmt: skip
    opcode = rng.choice(kinds)
    body = b""
    if opcode is None:
        opcode = rng.choice((0, len(Opcode) + 1, 255))
        body = rng.randbytes(rng.randrange(12))
        SEEN.hit("unknown opcode")
    elif opcode in (Opcode.READ, Opcode.WRITE):
        access = any_access(layout, rng)
        opcode, body = Opcode.READ if access.reads else Opcode.WRITE, access.body
    elif opcode != Opcode.SELF_TEST:
        unused = -layout.config.inputs % 8  # bits that a twin does not keep
        inputs = bytearray(rng.randbytes(layout.input_bytes))
        inputs[-1] &= 0xFF >> unused
        classes = layout.config.classes
        label = rng.choice((classes, 255, rng.randrange(classes), rng.randrange(classes)))
        body = (bytes([label]) if opcode == Opcode.TRAIN else b"") + inputs
    if rng.random() < 0.25:
        shorter = (body[:-1], b"", body[: ACCESS.size - 1]) if body else ()
        wrong = rng.choice((body + b"\5", body + bytes(200), *shorter))
        SEEN.hit("no body at all", when=not wrong)
        longest = layout.rx_bytes - HEADER_BYTES - 4
        if rng.random() < 0.1:
            wrong = body.ljust(longest, b"\1")
            SEEN.hit("longest frame")
        if len(wrong) != len(body) and opcode in set(Opcode):
            SEEN.hit(f"{Opcode(opcode).name} of a wrong length")
        body = wrong
    if opcode in set(Opcode):
        SEEN.hit(Opcode(opcode).name)
    return bytes([opcode]) + body


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(stalls=list(Stalls))
async def does_what_the_twin_does(dut, stalls):
    seed = 100 * list(Stalls).index(stalls)
    bench = await Bench.of(dut, stalls, seed)
    rng, due, before = bench.rng, 0, 0
    SEEN.hit("closed", when=bench.give(b"\0" + any_command(bench.layout, rng)) != [])
    await bench.rest()
    bench.give(b"\x55" + greeting(rng))
    await bench.rest()
    gap = b"\x07\0"
    assert bench.give(gap) and not bench.give(gap), "it complains once"
    bench.give(b"\x55" + greeting(rng))
    assert bench.give(gap), "and again after a greeting"
    SEEN.hit("complains again after HELLO")
    await bench.rest()
    messages: list[bytes] = []
    for _ in range(100 if stalls is Stalls.NONE else 60):
        kind = rng.randrange(20)
        ahead = rng.choice((1, 2, 100)) if kind == 0 else 0
        behind = rng.choice((1, SLOTS - 1, SLOTS, rng.randrange(1, SLOTS))) if kind in (1, 2, 3) else 0
        if kind == 4:
            bench.give(bytes([rng.randrange(256)]) + greeting(rng, rng.choice(GREETINGS)))
            SEEN.hit("greeting out of sequence")
            continue
        if kind == 5:
            opcode = rng.choice(GREETINGS)
            message = bytes([due]) + greeting(rng, opcode)[: rng.choice((1, 3))]
            SEEN.hit(f"{opcode.name} of a wrong length")
        elif behind and len(messages) >= behind and rng.random() < 0.8:
            message = messages[-behind]
            under_way = any(m[1] in (Opcode.TRAIN, Opcode.INFER) for m in bench.receiver.waiting)
            SEEN.hit("repeated while samples are under way", when=under_way)
        else:
            message = bytes([(due + ahead - behind) & 0xFF]) + any_command(bench.layout, rng)
        bench.give(message)
        behind = (due - message[0]) & 0xFF
        SEEN.hit("oldest one repeated", when=behind == SLOTS - 1 <= len(messages))
        SEEN.hit("too old", when=behind == SLOTS)
        SEEN.hit("one ahead", when=behind == 255)
        if behind == 0:
            messages.append(message)
            due = (due + 1) & 0xFF
            samples = (Opcode.TRAIN, Opcode.INFER)
            SEEN.hit("samples back to back", when=message[1] in samples and before in samples)
            accesses = message[1] in (Opcode.READ, Opcode.WRITE)
            SEEN.hit("access after a sample", when=accesses and before in samples)
            before = message[1]
        bench.machine.most = rng.choice((4, 100))
        if rng.random() < 0.2:
            await bench.rest()
        else:
            await ClockCycles(dut.clk, rng.choice((1, 10, 60)))
    await bench.rest()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def goes_round_all_numbers_at_full_speed(dut):
    bench = await Bench.of(dut, Stalls.NONE, seed=7)
    rng, layout = bench.rng, bench.layout
    bench.machine.most, bench.machine.prompt = 3, True
    body, since = 1 + layout.input_bytes, None

    def look() -> None:
        nonlocal since
        if since is not None and bench.dut.machine__input_write.value[0]:
            assert cycle() - since <= TAKEN + 2 * body
        if bench.dut.next_frame.value:
            since = cycle()

    watch(bench.dut, look)
    bench.give(b"\0" + greeting(rng))
    await bench.rest()
    since = None
    for number in range(300):
        inputs = bytearray(rng.randbytes(layout.input_bytes))
        inputs[-1] &= 0xFF >> -layout.config.inputs % 8
        bench.give(bytes([number & 0xFF, Opcode.TRAIN, number % layout.config.classes]) + inputs)
        await ClockCycles(dut.clk, 2)
        if number % 50 == 49:
            await bench.rest()
            since = None
    SEEN.hit("number wraps")


@cocotb.test(timeout_time=500, timeout_unit="us")
async def carries_out_whatever_its_number_when_aside(dut):
    bench = await Bench.of(dut, Stalls.NONE, seed=8)
    rng, twin = bench.rng, bench.twin
    bench.give(b"\0" + greeting(rng))
    await bench.rest()
    bench.give(b"\0" + any_command(bench.layout, rng))
    await bench.rest()
    bench.dut.aside.value = 1
    for _ in range(25):
        command = any_command(bench.layout, rng)
        bench.sent.clear()
        bench.cache.pending.clear()
        bench._ages.clear()
        bench.receiver.waiting.append(bytes([rng.randrange(256)]) + command)
        status, body = twin._execute(command[0], command[1:])
        if status is not Status.OK:
            twin.memory.count("refused")
        await ClockCycles(dut.clk, 5)
        while bench.receiver.waiting or bench.dut.busy.value:
            await RisingEdge(dut.clk)
        await ClockCycles(dut.clk, 15)
        (answer,) = bench.sent
        (message,) = Deframer(1 << 16).feed(answer)
        assert message[1:] == bytes([status]) + body
        SEEN.hit("aside")
    bench.dut.aside.value = 0
    bench.sent.clear()
    bench.wanted.clear()
    bench.give(b"\1\0")  # the numbers are as they were
    await bench.rest()


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
