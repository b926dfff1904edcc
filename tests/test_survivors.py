"""What only planted faults (`mutation.py`) showed to be untested: limits met exactly, and rest."""

from __future__ import annotations

import random

import numpy as np
import pytest
from amaranth.sim import Simulator
from recorded import random_couplings, random_samples
from test_gateware import assert_same, machine, simulated

from relaxon import Config, protocol
from relaxon.framing import Deframer, encode, encoded_bytes
from relaxon.hw.core import Core
from relaxon.hw.framing import Receiver
from relaxon.hw.replies import CobsEncoder
from relaxon.layout import Layout
from relaxon.protocol import CRC_BYTES, HEADER_BYTES, HELLO, STORES, Opcode, Status
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.selftest import expected

SMALL = machine(1, 8, 4, 9, classes=4)
SMALLEST = Config(modules=1, neurons=2, inputs=2, classes=2, lanes=2)
SETTLED = 5
"""Cycles after a delimiter until its frame waits (`Receiver`)."""


def run(dut, bench) -> None:
    """Run a testbench."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


# ---- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", STORES)
def test_limits_are_met_exactly(store: str) -> None:
    """Gate and readout margins that equal a score, or are one beside it."""
    config = SMALL.replace(store=store).with_registers(
        sweeps_clamped=0, sweeps_released=0, sweeps_infer=0, learn_recurrent=0, learn_input=0,
        readout_step_true=3, readout_step_false=2,
    )  # fmt: skip
    x, y = random_samples(config, 60, seed=5)
    rng = random.Random(5)
    with simulated(config) as board, ModelBoard(config) as model:
        for each in (board, model):
            each.load(random_couplings(config, 5))
        for at in range(len(x)):
            one, label = slice(at, at + 1), int(y[at])
            scores = model.scores(x[one])[0].astype(int)
            rivals = [c for c in range(config.classes) if c != label]
            beside = rng.choice((0, 0, -1, 1))
            registers = config.registers.replace(
                gate_enable=at % 2,
                gate=int(scores[label] - max(scores[rivals])) + beside,
                readout_margin_true=int(scores[label]) + beside,
                readout_margin_false=int(-scores[rng.choice(rivals)]) + beside,
            )
            for each in (board, model):
                each.registers = registers
            assert np.array_equal(board.scores(x[one]), model.scores(x[one]))
            got, want = board.train(x[one], y[one]), model.train(x[one], y[one])
            assert np.array_equal(got.learned, want.learned)
            assert want.learned[0] == (at % 2 == 0 or beside >= 0)
            differences = board.couplings().differences(model.couplings())
            assert not any(differences.values()), differences


@pytest.mark.parametrize("store", STORES)
def test_couplings_of_8_bits_saturate_at_both_ends(store: str) -> None:
    """And those of the readout, exactly: they start there, or a few below or above."""
    config = SMALL.replace(store=store).with_registers(
        margin=3 * SMALL.registers.margin, readout_step_true=2, readout_step_false=3,
        readout_margin_true=100_000, readout_margin_false=100_000,
    )  # fmt: skip
    x, y = random_samples(config, 60, seed=6)
    start = random_couplings(config, 6)
    for array in (start.input, start.recurrent):
        array[array > 40], array[array < -40] = config.weight_max, -config.weight_max
    above = start.readout >= 0
    start.readout[:] = np.where(above, 1, -1) * (config.readout_max - np.abs(start.readout) % 5)
    with simulated(config) as board, ModelBoard(config) as model:
        for each in (board, model):
            each.load(start)
            each.train(x, y)
        assert_same(board, model)
        counters = board.counters()
    assert counters["saturations"] > 100 and counters["readout_saturations"] > 100


# ---- frames -------------------------------------------------------------------------------------


def payload(size: int, rng: random.Random) -> bytes:
    """A frame's payload that takes `size` bytes of the receive buffer with its checksum."""
    return rng.randbytes(size - CRC_BYTES)


class Frames:
    """What sends frames to a `Receiver`, and takes them from it."""

    def __init__(self, ctx, dut: Receiver):
        self._ctx, self._dut = ctx, dut

    async def send(self, data: bytes) -> str:
        """What becomes of a frame."""
        ctx, dut, said = self._ctx, self._dut, []
        for byte in encode(data):
            ctx.set(dut.bytes.valid, 1)
            ctx.set(dut.bytes.payload, byte)
            await ctx.tick()
            ctx.set(dut.bytes.valid, 0)
            said += [name for name in ("kept", "bad", "overflow") if ctx.get(getattr(dut, name))]
            await ctx.tick()
        (only,) = said
        return only

    async def receive(self) -> bytes:
        """The oldest frame that waits."""
        ctx, dut = self._ctx, self._dut
        await ctx.tick().repeat(SETTLED)
        assert ctx.get(dut.valid)
        length, data = ctx.get(dut.length), bytearray()
        ctx.set(dut.payload.ready, 1)
        for _ in range(2 * length + 2):
            _, _, valid, byte = await ctx.tick().sample(dut.payload.valid, dut.payload.payload)
            if valid and len(data) < length:
                data.append(byte)
        ctx.set(dut.payload.ready, 0)
        ctx.set(dut.next, 1)
        await ctx.tick()
        ctx.set(dut.next, 0)
        await ctx.tick().repeat(2)
        return bytes(data)


def test_the_receive_buffer_takes_as_much_as_it_says() -> None:
    """A frame that fills it, or what another one leaves of it, is kept; a byte more is not."""
    layout, rng = Layout(SMALLEST), random.Random(7)
    dut, size = Receiver(layout), layout.rx_bytes

    async def bench(ctx) -> None:
        frames = Frames(ctx, dut)
        for first in (0, 300):  # bytes that are in use already
            waits = rng.randbytes(first + HEADER_BYTES)
            assert await frames.send(waits) == "kept"
            fits = payload(size - len(waits), rng)
            assert await frames.send(fits + b"x") == "overflow"
            assert await frames.send(fits) == "kept"
            assert await frames.receive() == waits
            assert await frames.receive() == fits
            assert await frames.send(payload(size + 1, rng)) == "overflow"
            whole = payload(size, rng)
            assert await frames.send(whole) == "kept"
            assert await frames.receive() == whole

    run(dut, bench)


def without_zeros(size: int, rng: random.Random) -> bytes:
    """So many bytes."""
    return bytes(rng.randrange(1, 256) for _ in range(size))


def test_blocks_without_a_zero_are_received() -> None:
    """Blocks of 254 bytes, which no zero follows, and a few bytes more or less, among them."""
    rng, dut = random.Random(9), Receiver(Layout(SMALLEST))

    async def bench(ctx) -> None:
        frames = Frames(ctx, dut)
        for size in (249, 250, 253, 254, 255, 508):
            data = without_zeros(size, rng)
            assert await frames.send(data) == "kept", f"{size} bytes"
            assert await frames.receive() == data

    run(dut, bench)


def test_replies_are_frames() -> None:
    """Blocks of 254 bytes without a zero, and a few bytes more or less, among them."""
    rng = random.Random(8)
    runs = (2, 3, 249, 250, 253, 254, 255, 504, 508)
    replies = [without_zeros(size, rng) for size in runs]
    replies += [reply + b"\0" + reply[:5] for reply in replies] + [rng.randbytes(300), bytes(300)]
    slot = bytearray(1024)
    dut = CobsEncoder(len(slot))

    async def bench(ctx) -> None:
        for reply in replies:
            left, done, size, cycles = list(reply), False, 0, 0
            while not done:
                cycles += 1
                assert cycles < 3 * len(slot), f"{len(reply)} bytes never end"
                ctx.set(dut.payload.valid, bool(left))
                if left:
                    ctx.set(dut.payload.payload.data, left[0])
                    ctx.set(dut.payload.payload.last, len(left) == 1)
                _, _, taken, valid, at, byte, done = await ctx.tick().sample(
                    dut.payload.ready, dut.write.valid, dut.write.offset, dut.write.data, dut.done
                )
                if valid:
                    slot[at] = byte
                    size = at + 1
                if left and taken:
                    left.pop(0)
            assert Deframer(len(slot)).feed(bytes(slot[:size])) == [reply], f"{len(reply)} bytes"
            assert size <= encoded_bytes(len(reply) + CRC_BYTES)

    run(dut, bench)


# ---- rest ---------------------------------------------------------------------------------------


def test_a_core_is_not_idle_before_its_answer_is_sent() -> None:
    """Neither while a sample is computed, whose frame is not there any more."""
    dut = Core(SMALLEST)
    sample = bytes(protocol.TRAIN.size + Layout(SMALLEST).input_bytes)
    commands = (bytes((0, Opcode.OPEN)) + HELLO.pack(nonce=1), bytes((0, Opcode.TRAIN)) + sample)

    async def bench(ctx) -> None:
        for command in commands:
            assert ctx.get(dut.idle)
            for byte in encode(command):
                ctx.set(dut.rx.valid, 1)
                ctx.set(dut.rx.payload, byte)
                await ctx.tick()
                ctx.set(dut.rx.valid, 0)
                await ctx.tick()
            await ctx.tick().repeat(SETTLED)
            answer, cycle = bytearray(), 0
            while not answer or answer[-1]:
                assert not ctx.get(dut.idle), f"idle after {cycle} cycles, {len(answer)} bytes sent"
                cycle += 1
                assert cycle < 5000
                ctx.set(dut.tx.ready, cycle % 7 == 0)  # a line slower than the core
                _, _, valid, byte = await ctx.tick().sample(dut.tx.valid, dut.tx.payload)
                if valid and cycle % 7 == 0:
                    answer.append(byte)
            await ctx.tick().repeat(2)
            (message,) = Deframer(1 << 16).feed(bytes(answer))
            assert message[1] == Status.OK
        assert ctx.get(dut.idle)

    run(dut, bench)


def test_a_button_that_is_held_down_starts_one_self_test() -> None:
    wanted = expected(SMALLEST)
    dut = Core(SMALLEST, self_test=wanted.signature)

    async def bench(ctx) -> None:
        ctx.set(dut.start_self_test, 1)
        await ctx.tick().repeat(SETTLED)
        assert ctx.get(dut.status.testing)
        for _ in range(2 * wanted.cycles):
            await ctx.tick()
            if not ctx.get(dut.status.testing):
                break
        assert ctx.get(dut.status.passed)
        await ctx.tick().repeat(100)
        assert ctx.get(dut.status.passed) and not ctx.get(dut.status.testing)

    run(dut, bench)
