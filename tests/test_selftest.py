"""The self-test passes on gateware that is the model, fails on any other, and disturbs no host."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from amaranth.sim import Simulator
from test_gateware import CASES, MACHINES

from relaxon import Config, Couplings
from relaxon.errors import ConfigError, LinkError
from relaxon.framing import Deframer, encode
from relaxon.hw.core import Core
from relaxon.hw.prbs import Prbs
from relaxon.hw.signature import Signature
from relaxon.hw.verilog import emit
from relaxon.layout import Layout
from relaxon.linkboard import LinkBoard
from relaxon.protocol import (
    ACCESS,
    CHIP_COUNTERS,
    HEADER_BYTES,
    HELLO,
    IDENTITY,
    SELF_TEST,
    Feature,
    Opcode,
    Space,
    Status,
    Verdict,
)
from relaxon.selftest import PRBS_BITS, PRBS_TAP, SAMPLES, Script, prbs
from relaxon.sim.selftest import expected
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.twin import Twin, TwinTransport
from relaxon.sim.verilate import library_of

CONFIG = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)
TINY = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
VERDICT = bytes((Opcode.READ,)) + ACCESS.pack(space=Space.SELF_TEST, address=0, count=1)
ASK = bytes((Opcode.SELF_TEST,))
OPEN = encode(bytes((0, Opcode.OPEN)) + HELLO.pack(nonce=0))


# ---- parts --------------------------------------------------------------------------------------


def simulate(dut, bench) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_the_sequence_has_the_longest_period() -> None:
    """x is of order 2^23 − 1 = 47 · 178481 modulo the polynomial."""

    def power(exponent: int) -> int:
        result, base = 1, 2
        while exponent:
            if exponent & 1:
                result = times(result, base)
            base, exponent = times(base, base), exponent >> 1
        return result

    def times(a: int, b: int) -> int:
        product = 0
        for bit in range(PRBS_BITS):
            product ^= (a << bit) * (b >> bit & 1)
        for bit in reversed(range(PRBS_BITS, 2 * PRBS_BITS)):
            if product >> bit & 1:
                product ^= polynomial << (bit - PRBS_BITS)
        return product

    polynomial = 1 << PRBS_BITS | 1 << PRBS_TAP | 1
    order = (1 << PRBS_BITS) - 1
    assert order == 47 * 178481
    assert power(order) == 1 and power(47) != 1 and power(178481) != 1


def test_the_gateware_makes_the_same_bytes() -> None:
    dut, seen = Prbs(), bytearray()

    async def bench(ctx):
        for _ in range(2):
            ctx.set(dut.restart, 0)
            for at in range(600):
                seen.append(ctx.get(dut.data))
                ctx.set(dut.step, at % 7 != 3)  # otherwise the byte stays
                if at % 7 == 3:
                    seen.pop()
                await ctx.tick()
            ctx.set(dut.restart, 1)
            await ctx.tick()

    simulate(dut, bench)
    assert bytes(seen[: len(seen) // 2]) == bytes(seen[len(seen) // 2 :]) == prbs(len(seen) // 2)
    assert len(set(prbs(4000))) == 256


@pytest.mark.parametrize("pauses", [False, True])
def test_the_signature_is_the_crc_of_the_answers_without_their_numbers(pauses: bool) -> None:
    rng = random.Random(1)
    answers = [rng.randbytes(rng.randrange(2, 20)) for _ in range(8)]
    dut, values = Signature(), []

    async def bench(ctx):
        for begin in (0, 4):
            for answer in answers[begin : begin + 4]:
                for at, byte in enumerate(answer):
                    while pauses and rng.random() < 0.3:
                        ctx.set(dut.payload.valid, 0)
                        await ctx.tick()
                    ctx.set(dut.payload.valid, 1)
                    ctx.set(dut.payload.payload.data, byte)
                    ctx.set(dut.payload.payload.last, at == len(answer) - 1)
                    await ctx.tick().until(dut.payload.ready)
                ctx.set(dut.payload.valid, 0)
                assert ctx.get(dut.pending)
                await ctx.tick()
                assert not ctx.get(dut.pending)
            values.append(ctx.get(dut.value))
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)

    simulate(dut, bench)
    wanted = [zlib.crc32(b"".join(a[1:] for a in answers[i : i + 4])) for i in (0, 4)]
    assert values == wanted


@pytest.mark.parametrize("name", MACHINES)
def test_the_script_asks_for_nothing_that_cannot_be(name: str) -> None:
    config = MACHINES[name]
    script, twin = Script(config), Twin(config)
    statuses = [twin._execute(command[0], command[1:])[0] for command in script.commands()]
    assert set(statuses) == {Status.OK}
    fresh = Twin(config)
    for command in script.commands():
        if command[0] == Opcode.TRAIN:
            break
        fresh._execute(command[0], command[1:])
    model = fresh.memory.model
    couplings = Couplings(model.recurrent, model.input, model.feedback, model.readout)
    couplings.check(config)  # in range, no diagonal
    assert np.ptp(couplings.input) > 0 and np.ptp(couplings.readout) > 0
    even = config.neurons % 2 == 0 and Layout(config).strip_lanes % 2 == 0
    if even and config.neurons > 2:
        assert np.count_nonzero(couplings.recurrent) > couplings.recurrent.size // 3
    trained = [step for step in script.steps if step.opcode == Opcode.TRAIN]
    assert len(trained) >= 2 and sum(step.count for step in trained) >= SAMPLES
    counters = twin.memory.model.counters
    assert counters["learned"] and (counters["updates"] or config.total_neurons == 2)


def test_a_machine_that_cannot_hold_the_papers_registers_tests_itself_with_weaker_ones() -> None:
    config = Config(neurons=8, inputs=60)
    small = config.registers.replace(input_shift=0, feedback_shift=0, self_coupling=0, margin=0)
    narrow = config.replace(registers=small, field_bits=15)
    script = Script(narrow)
    narrow.check_registers(script.registers)
    assert script.registers == config.registers.replace(input_shift=0)
    with LinkBoard(TwinTransport(twin_of(narrow)), narrow) as board:
        assert board.self_test().passed
        assert board.registers == small


# ---- the board ----------------------------------------------------------------------------------


def twin_of(config: Config, **options: int) -> Twin:
    return Twin(config, self_test=expected(config).signature, **options)


@pytest.mark.parametrize("name, store", CASES)
def test_the_gateware_passes(name: str, store: str) -> None:
    config = MACHINES[name].replace(store=store)
    wanted, twin = expected(config), twin_of(config)
    transport = SimulatedTransport(config)
    with LinkBoard(transport, config) as board, LinkBoard(TwinTransport(twin), config) as model:
        before = transport.cycles
        tested = board.self_test()
        took = transport.cycles - before
        assert tested == model.self_test()
        assert tested.passed and tested.signature == wanted.signature
        assert board.registers == config.registers
        assert not any(board.couplings().differences(model.couplings()).values())
        counted, counts = board.counters(), model.counters()
        assert all(counted[name] == counts[name] for name in CHIP_COUNTERS)
        assert counted["learned"] > 0
        assert board.self_test() == tested, "what was there before matters"
    assert 0.9 < took / wanted.cycles < 1.1


def test_frames_of_the_host_wait_and_none_is_lost() -> None:
    config, rng = CONFIG, random.Random(3)
    layout = Layout(config)

    def sample(opcode: Opcode) -> bytes:
        label = bytes([rng.randrange(config.classes)]) if opcode == Opcode.TRAIN else b""
        return bytes((opcode,)) + label + rng.randbytes(layout.input_bytes)

    commands = []
    for _ in range(40):  # many more than fit the window, two tests one after the other among them
        commands += [sample(rng.choice((Opcode.TRAIN, Opcode.INFER))) for _ in range(9)]
        commands += rng.choice(([VERDICT], [ASK], [ASK, ASK, VERDICT], [sample(Opcode.SCORE)]))
    assert commands.count(ASK) > 10
    with (
        LinkBoard(SimulatedTransport(config), config) as board,
        LinkBoard(TwinTransport(twin_of(config)), config) as model,
    ):
        assert list(board.session.run(commands)) == list(model.session.run(commands))
        statistics = board.session.statistics
        assert statistics.stale == statistics.gaps == 0
        names = ("frames", "bad_frames", "overflows", "out_of_sequence", "refused", "samples")
        assert {n: board.counters()[n] for n in names[1:]} == {
            n: model.counters()[n] for n in names[1:]
        }


def everything(transport: SimulatedTransport) -> list[bytes]:
    """The messages of the board until it is at rest."""
    said = b""
    while part := transport.read(10.0):
        said += part
    return Deframer(0xFFFF).feed(said)


def accumulator_bit_stuck(verilog: str) -> str:
    """Bit 3 of what the first lane's accumulator of R holds is always 0."""
    return replaced(r"(  recur\[[^;]*\] <= )([^;]*);", r"\1\2 & ~(1 << 3);", verilog)


def coupling_flipped(verilog: str) -> str:
    """Word 9 of a bank of couplings holds the lowest bit of an element upside down."""
    return replaced(
        r"(?s)(^module \\\S+\.store\.bank0 .*?memory\[write__addr\] <= )write__data;",
        r"\1write__data ^ (write__addr == 9);", verilog,
    )  # fmt: skip


def signature_changed(verilog: str) -> str:
    """The signature that is expected is another one."""
    return verilog


def replaced(pattern: str, by: str, verilog: str) -> str:
    changed, count = re.subn(pattern, by, verilog, count=1, flags=re.MULTILINE)
    assert count == 1, f"the gateware has no {pattern}"
    return changed


@pytest.mark.parametrize("fault", [accumulator_bit_stuck, coupling_flipped, signature_changed])
def test_a_fault_is_found(fault: Callable[[str], str]) -> None:
    right = expected(TINY).signature
    wanted = right ^ 0x100 if fault is signature_changed else right
    verilog = fault(emit(Core(TINY, self_test=wanted), reset=False))
    transport = SimulatedTransport(path=library_of(verilog))
    with LinkBoard(transport, TINY) as board:
        tested = board.self_test()
        assert not tested.passed
        assert (tested.signature == right) == (fault is signature_changed)
        assert board.infer(np.ones((3, TINY.inputs))).sweeps.min() >= 1, "usable all the same"


def test_a_board_without_a_self_test_says_so() -> None:
    transport = SimulatedTransport(path=library_of(emit(Core(TINY), reset=False)))
    twin = Twin(TINY)
    unknown = (ASK, VERDICT, b"\x09")
    for frame in (OPEN, *(encode(bytes([n]) + body) for n, body in enumerate(unknown))):
        transport.write(frame)
        assert everything(transport) == Deframer(0xFFFF).feed(twin.feed(frame))
    with LinkBoard(transport, TINY) as board:
        assert not board.identity.features & Feature.SELF_TEST
        with pytest.raises(ConfigError, match="was built without a self-test"):
            board.self_test()


# ---- driver and twin ----------------------------------------------------------------------------


def test_the_twin_tells_what_it_measured() -> None:
    right = expected(CONFIG).signature
    for wanted, result in ((right, Verdict.PASSED), (right ^ 1, Verdict.FAILED)):
        twin = Twin(CONFIG, self_test=wanted)
        twin.feed(OPEN)
        answers = [
            message
            for number, command in enumerate((VERDICT, ASK + b"x", ASK, VERDICT))
            for message in Deframer(0xFFFF).feed(twin.feed(encode(bytes([number]) + command)))
        ]
        assert [a[1] for a in answers] == [Status.OK, Status.BAD_LENGTH, Status.OK, Status.OK]
        assert answers[0][HEADER_BYTES:] == bytes(SELF_TEST.size)
        verdict = SELF_TEST.unpack(answers[3][HEADER_BYTES:])
        assert verdict == {"result": result, "signature": right}
    (identity,) = Deframer(0xFFFF).feed(
        twin.feed(encode(bytes((0, Opcode.HELLO)) + HELLO.pack(nonce=0)))
    )
    assert IDENTITY.unpack(identity[HEADER_BYTES:])["features"] == Feature.SELF_TEST


def test_a_self_test_that_never_ends_is_given_up_in_time() -> None:
    twin = twin_of(CONFIG)
    link = TwinTransport(twin)
    board = LinkBoard(link, CONFIG)
    link.alter = lambda direction, frame: b"" if direction == "reply" else frame
    with pytest.raises(LinkError, match="the self-test of .* gave no verdict: no answer for 0.5 s"):
        board.self_test(timeout=0.5)
    link.alter = lambda direction, frame: frame
    assert board.session.timeout == 5.0
    assert board.self_test().passed


def test_a_verdict_that_is_none_is_refused() -> None:
    twin = twin_of(CONFIG)
    twin._run_self_test = lambda signature: None
    with LinkBoard(TwinTransport(twin), CONFIG) as board:
        with pytest.raises(LinkError, match="answered no verdict"):
            board.self_test()
