"""Runs inside a simulator (see test_link_blocks.py): samples to the machine, and their answers."""

import random

import cocotb
from answers import reply_byte
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from fake_machine import FakeMachine, Sample, idle

from relaxon.config import Config
from relaxon.hw.answer import Answer
from relaxon.hw.samples import UNDER_WAY
from relaxon.layout import Layout
from relaxon.protocol import SLOTS, Opcode, Status
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSource, hesitation
from relaxon.sim.testbench.watch import cycle, watch

SEEN = Coverage(
    "SamplePort", "TRAIN", "INFER", "SCORE", "lowest label", "highest label", "label too large",
    "label far too large", "bad label while another is computed", "none under way", "one under way",
    "two under way", "waits for the machine", "waits for an answer to be complete",
    "waits for the inputs to be free", "done while the one before is being answered",
    "taken as another is answered", "the number wraps", "link cycle while fetching",
    "link cycle while answering", "fetched while computing",
)  # fmt: skip
HEAD = Answer().members["head"].signature.members["payload"].shape


class Bench:
    """A sample port between a host, a machine, and somebody who writes answers down."""

    def __init__(self, dut: Block, name: str, stalls: Stalls, seed: int):
        self.dut, self.stalls, self.rng = dut, stalls, random.Random(seed)
        self.layout = Layout(Config.from_dicts(parameters()[name], None))
        self.machine = FakeMachine(dut, self.layout, seed + 1)
        self._source = StreamSource(dut, "bytes", hesitation(stalls.source, seed + 2))
        self._pauses = hesitation(stalls.sink, seed + 3)
        self.expected = 0
        self.under_way = 0
        self.wanted: list[tuple[int, Sample, bool]] = []
        """Number, sample, and whether it was a SCORE, of those not answered yet."""
        self.answered = 0
        self.hold = False
        """Whether no answer is taken."""
        self.fetching = 0
        """Cycles that the last sample took."""
        watch(dut, self._look)
        cocotb.start_soon(self._write_answers())

    @classmethod
    async def of(cls, dut, name: str, stalls: Stalls, seed: int):
        """After reset."""
        block = Block(dut, name)
        ports = ("fetch", "training", "scoring", "bytes__valid", "bytes__payload", "expected",
                 "answer__head__ready", "answer__body__ready")  # fmt: skip
        await start(block, **dict.fromkeys(ports, 0), **idle())
        return cls(block, name, stalls, seed)

    def _look(self) -> None:
        """What must hold in every cycle."""
        dut, machine = self.dut, self.machine
        fetch, busy = bool(dut.fetch.value), bool(dut.machine__busy.value)
        offered = bool(dut.machine__sample__valid.value)
        taken, bad = bool(dut.taken.value), bool(dut.bad_label.value)
        assert taken == (offered and bool(dut.machine__sample__ready.value))
        assert dut.busy.value == (busy or self.under_way > 0)
        link = (fetch or self.under_way > 0) and not busy and not offered
        assert dut.link_cycle.value == link
        assert not offered or self.under_way < UNDER_WAY
        SEEN.hit("link cycle while fetching", when=link and fetch)
        SEEN.hit("link cycle while answering", when=link and self.under_way > 0)
        SEEN.hit(f"{('none', 'one', 'two')[self.under_way]} under way")
        SEEN.hit("waits for the machine", when=offered and not taken)
        SEEN.hit("bad label while another is computed", when=bad and busy)
        held = fetch and dut.bytes__valid.value and not dut.bytes__ready.value
        SEEN.hit("waits for the inputs to be free", when=held and not dut.machine__input_free.value)
        SEEN.hit("fetched while computing", when=fetch and busy and bool(dut.bytes__ready.value))
        answered = bool(dut.answer__head__valid.value and dut.answer__head__ready.value)
        full = fetch and self.under_way == UNDER_WAY and self._sending.done()
        SEEN.hit("waits for an answer to be complete", when=full)
        early = dut.machine__done.value and dut.answer__head__valid.value
        SEEN.hit("done while the one before is being answered", when=bool(early))
        SEEN.hit("taken as another is answered", when=taken and answered)
        self.under_way += taken - answered
        assert machine.finished >= self.answered

    async def sample(self, opcode: Opcode, inputs: bytes, label: int = 0) -> bool:
        """Give the port a frame's body; whether it was carried out."""
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        training = opcode == Opcode.TRAIN
        dut.training.value, dut.scoring.value = int(training), int(opcode == Opcode.SCORE)
        dut.fetch.value = 1
        body = bytes([label] * training) + inputs
        begun = cycle()
        self._sending = sending = cocotb.start_soon(self._source.send(body))
        while True:
            await ReadOnly()
            taken, bad = bool(dut.taken.value), bool(dut.bad_label.value)
            await edge
            if taken or bad:
                break
        dut.fetch.value = 0
        if bad:
            sending.cancel()
            dut.bytes__valid.value = 0
            return False
        assert sending.done()
        sample = Sample(inputs, label if training else None)
        self.wanted.append((self.expected, sample, opcode == Opcode.SCORE))
        self.expected = (self.expected + 1) & 0xFF
        SEEN.hit("the number wraps", when=self.expected == 0)
        dut.expected.value = self.expected
        self.fetching = cycle() - begun
        return True

    async def _write_answers(self) -> None:
        """Take one answer after another, as the answer writer does, and compare."""
        dut, edge, settled = self.dut, RisingEdge(self.dut.clk), ReadOnly()
        while True:
            await settled
            if self.hold or not dut.answer__head__valid.value:
                await edge
                continue
            number, sample, scored = self.wanted[0]
            head = int(dut.answer__head__payload.value)
            wanted = {"slot": number % SLOTS, "sequence": number, "status": Status.OK, "empty": 0}
            assert head == HEAD.const(wanted).as_bits(), f"answer to {number}"
            await edge
            body, last = bytearray(), False
            while not last:
                dut.answer__body__ready.value = 0 if next(self._pauses) else 1
                await settled
                assert dut.answer__head__valid.value and dut.answer__head__payload.value == head
                if dut.answer__body__valid.value and dut.answer__body__ready.value:
                    byte, last = reply_byte(int(dut.answer__body__payload.value))
                    body.append(byte)
                await edge
            dut.answer__body__ready.value = 0
            assert body == sample.body(self.layout, scored=scored), f"answer to {number}"
            await ClockCycles(dut.clk, self.rng.randint(1, 8))
            dut.answer__head__ready.value = 1
            await settled
            assert dut.answer__head__valid.value and dut.answer__head__payload.value == head
            await edge
            dut.answer__head__ready.value = 0
            del self.wanted[0]
            self.answered += 1

    async def rest(self) -> None:
        """Wait until all is answered."""
        for _ in range(5000):
            if not self.wanted:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"{len(self.wanted)} samples were not answered in 5000 cycles")


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize((
    ("name", "stalls", "count"),
    [*(("samples", each, 40) for each in Stalls), ("wide_samples", Stalls.BOTH, 12),
     ("wide_samples", Stalls.NONE, 12)],
))  # fmt: skip
async def answers_every_sample_in_order(dut, name, stalls, count):
    seed = 10 * list(Stalls).index(stalls)
    bench = await Bench.of(dut, name, stalls, seed)
    rng, layout, classes = bench.rng, bench.layout, bench.layout.config.classes
    bench.expected = 256 - 10
    bench.dut.expected.value = bench.expected
    carried_out: list[Sample] = []
    for _ in range(count):
        opcode = rng.choice((Opcode.TRAIN, Opcode.TRAIN, Opcode.INFER, Opcode.SCORE))
        inputs = rng.randbytes(layout.input_bytes)
        label = rng.choice((0, classes - 1, classes, 255, rng.randrange(classes)))
        bench.machine.most = rng.choice((4, 40))
        if opcode == Opcode.SCORE:
            await bench.rest()
        bench.hold = rng.random() < 0.3
        giving = cocotb.start_soon(bench.sample(opcode, inputs, label))
        if bench.hold:
            await ClockCycles(dut.clk, rng.randrange(200))
            bench.hold = False
        good = await giving
        training = opcode == Opcode.TRAIN
        assert good == (not training or label < classes)
        if good:
            carried_out.append(Sample(inputs, label if training else None))
        SEEN.hit(opcode.name)
        SEEN.hit("lowest label", when=training and label == 0)
        SEEN.hit("highest label", when=training and label == classes - 1)
        SEEN.hit("label too large", when=training and label == classes)
        SEEN.hit("label far too large", when=training and label == 255)
        if opcode == Opcode.SCORE:  # the scores hold until the next sample
            await bench.rest()
        if rng.random() < 0.2:
            await ClockCycles(dut.clk, rng.randrange(1, 80))
        else:
            await ClockCycles(dut.clk, 1)
    await bench.rest()
    assert bench.machine.taken == carried_out
    assert bench.answered == len(carried_out)


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["samples", "wide_samples"])
async def takes_a_byte_every_other_cycle_at_least(dut, name):
    bench = await Bench.of(dut, name, Stalls.NONE, seed=7)
    bench.machine.prompt = True
    for opcode in (Opcode.TRAIN, Opcode.INFER):
        await bench.sample(opcode, bench.rng.randbytes(bench.layout.input_bytes))
        body = bench.layout.input_bytes + (opcode == Opcode.TRAIN)
        assert bench.fetching <= 2 * body + 1, "one to offer it"
        await bench.rest()
        await ClockCycles(dut.clk, 50)


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
