"""The core as a Wishbone peripheral does what the twin does, byte for byte."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator
from recorded import random_samples

from relaxon import Config
from relaxon.framing import Deframer, encode
from relaxon.hw.wishbone import BYTE, DATA, STATE, STATUS_WORD, WishbonePeripheral
from relaxon.layout import Layout
from relaxon.protocol import ACCESS, HEADER_BYTES, HELLO, SELF_TEST, Opcode, Space, Status, Verdict
from relaxon.sim.selftest import expected
from relaxon.sim.twin import Twin

CONFIG = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
SMALLEST = Config(modules=1, neurons=2, inputs=2, classes=2, lanes=2)
PATIENCE = 5000
"""Readings of STATUS in vain, after which an answer is late."""


class Bus:
    """The initiator's end of the bus."""

    def __init__(self, ctx, peripheral: WishbonePeripheral):
        self._ctx, self._bus, self._irq = ctx, peripheral.bus, peripheral.irq

    async def access(self, word: int, value: int | None = None, sel: int = 0xF) -> int:
        """Write a value, or read one."""
        ctx, bus = self._ctx, self._bus
        wanted = {"cyc": 1, "stb": 1, "we": value is not None, "adr": word, "sel": sel,
                  "dat_w": value or 0}  # fmt: skip
        for name, level in wanted.items():
            ctx.set(getattr(bus, name), level)
        assert not ctx.get(bus.ack)
        await ctx.tick()
        assert ctx.get(bus.ack), "one cycle after stb"
        data = ctx.get(bus.dat_r)
        await ctx.tick()
        assert not ctx.get(bus.ack), "for one cycle"
        for name in wanted:
            ctx.set(getattr(bus, name), 0)
        return data

    async def state(self):
        """The fields of STATUS."""
        state = STATE.from_bits(await self.access(STATUS_WORD))
        assert not state.available or self._ctx.get(self._irq)
        return state

    async def write(self, data: bytes) -> None:
        """Give the core bytes."""
        for byte in data:
            await self.access(DATA, byte)

    async def read_frame(self) -> bytes:
        """What the core says, up to and with the next zero."""
        frame, waited = bytearray(), 0
        while not frame or frame[-1]:
            if (await self.state()).available:
                got = BYTE.from_bits(await self.access(DATA))
                assert got.valid
                frame.append(got.byte)
            else:
                waited += 1
                assert waited < PATIENCE, f"no answer, but {frame.hex()}"
        return bytes(frame)


def run(bench, config: Config = CONFIG) -> None:
    """Run a testbench, which gets the bus and the twin of what is on it."""
    signature = expected(config).signature
    peripheral = WishbonePeripheral(config, build=7, about=b"board=bus\n", self_test=signature)
    twin = Twin(config, build=7, about=b"board=bus\n", self_test=signature)

    async def testbench(ctx):
        await bench(Bus(ctx, peripheral), twin)

    simulator = Simulator(peripheral)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def commands() -> list[bytes]:
    """A greeting, couplings, some training, and what was learned."""
    layout = Layout(CONFIG)
    x, y = random_samples(CONFIG, 6, seed=1)
    size = layout.word_bytes(Space.WEIGHTS)
    word = bytes((Opcode.WRITE,)) + ACCESS.pack(space=Space.WEIGHTS, address=1, count=1)
    return [
        bytes((Opcode.OPEN,)) + HELLO.pack(nonce=99),
        word + bytes(range(3, 3 + size)),
        *(
            bytes((Opcode.TRAIN, label)) + packed.tobytes()
            for label, packed in zip(y, layout.pack_inputs(x))
        ),
        bytes((Opcode.READ,)) + ACCESS.pack(space=Space.WEIGHTS, address=0, count=3),
        bytes((Opcode.READ,)) + ACCESS.pack(space=Space.BUILD, address=0, count=10),
    ]


def test_greets_and_trains_as_the_twin_does():
    async def bench(bus: Bus, twin: Twin):
        number = 0
        for command in commands():
            frame = encode(bytes([number]) + command)
            number += command[0] != Opcode.OPEN
            await bus.write(frame)
            answer = await bus.read_frame()
            assert answer == twin.feed(frame)
            (message,) = Deframer(1 << 16).feed(answer)
            assert message[1] == Status.OK
        assert message[HEADER_BYTES:] == b"board=bus\n"
        assert not BYTE.from_bits(await bus.access(DATA)).valid
        assert (await bus.state()).idle

    run(bench)


@pytest.mark.parametrize("sel", [0xE, 0])
def test_an_access_without_the_lowest_byte_does_nothing(sel: int):
    async def bench(bus: Bus, twin: Twin):
        frame = encode(b"\0" + commands()[0])
        for byte in frame:
            await bus.access(DATA, byte)
            await bus.access(DATA, 0x55, sel=sel)
        await bus.access(STATUS_WORD, 1, sel=sel)
        for _ in range(PATIENCE // 10):
            if (await bus.state()).available:
                break
            await bus.access(DATA, sel=sel)
        await bus.access(DATA, sel=sel)
        assert await bus.read_frame() == twin.feed(frame)
        assert not (await bus.state()).status.testing

    run(bench)


def test_the_bus_starts_the_self_test():
    async def bench(bus: Bus, twin: Twin):
        await bus.access(STATUS_WORD, 0)
        assert not (await bus.state()).status.testing
        await bus.access(STATUS_WORD, 1)
        state = await bus.state()
        assert state.status.testing and not state.idle and not state.status.passed
        read = bytes((Opcode.READ,)) + ACCESS.pack(space=Space.SELF_TEST, address=0, count=1)
        await bus.write(encode(b"\0" + commands()[0]))
        await bus.read_frame()
        await bus.write(encode(b"\0" + read))
        (message,) = Deframer(1 << 16).feed(await bus.read_frame())
        verdict = SELF_TEST.unpack(message[HEADER_BYTES:])
        assert verdict == {"result": Verdict.PASSED, "signature": expected(SMALLEST).signature}
        status = (await bus.state()).status
        assert status.passed and not status.testing and not status.failed and not status.error

    run(bench, SMALLEST)
