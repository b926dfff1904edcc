"""Runs inside a simulator (see test_link_blocks.py): a core on a bus, byte for byte like the twin."""

import random

import cocotb
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from recorded import random_samples

from relaxon.config import Config
from relaxon.framing import Deframer, encode
from relaxon.hw.wishbone import BYTE, DATA, STATE, STATUS_WORD
from relaxon.layout import Layout
from relaxon.protocol import (
    ACCESS,
    HEADER_BYTES,
    HELLO,
    SELF_TEST,
    TRAIN,
    Opcode,
    Space,
    Status,
    Verdict,
)
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.watch import watch
from relaxon.sim.twin import Twin

SEEN = Coverage(
    "WishbonePeripheral", "DATA written", "DATA read", "DATA read, nothing there", "STATUS read",
    "STATUS written", "STATUS written with 0", "access after access", "access after a pause",
    "cyc without stb", "stb without cyc", "interrupt", "interrupt cleared by reading", "idle",
    "testing", "passed", "error", *(f"sel {sel:#x}" for sel in (0x1, 0xE, 0x0, 0xF)),
)  # fmt: skip
PATIENCE = 3000
"""Readings of STATUS in vain, after which an answer is late."""


class Bus:
    """The initiator."""

    def __init__(self, dut: Block, seed: int):
        self._dut, self._rng = dut, random.Random(seed)
        self._asked = False
        watch(dut, self._look)

    def _look(self) -> None:
        dut = self._dut
        ack, irq = bool(dut.bus__ack.value), bool(dut.irq.value)
        assert ack == self._asked, "one cycle after stb"
        self._asked = bool(dut.bus__cyc.value and dut.bus__stb.value) and not ack
        SEEN.hit("interrupt", when=irq)

    async def access(self, word: int, value: int | None = None, sel: int | None = None) -> int:
        """Write a value, or read one."""
        dut, rng, edge = self._dut, self._rng, RisingEdge(self._dut.clk)
        if rng.random() < 0.1:
            dut.bus__cyc.value = cyc = rng.randrange(2)
            dut.bus__stb.value = int(not cyc)
            SEEN.hit("cyc without stb" if cyc else "stb without cyc")
            await ClockCycles(dut.clk, rng.randint(1, 3))
            SEEN.hit("access after a pause")
        else:
            SEEN.hit("access after access")
        sel = rng.choice((0x1, 0xF)) if sel is None else sel
        SEEN.hit(f"sel {sel:#x}")
        dut.bus__we.value, dut.bus__adr.value = int(value is not None), word
        dut.bus__sel.value, dut.bus__dat_w.value = sel, (rng.getrandbits(24) << 8) | (value or 0)
        dut.bus__cyc.value = dut.bus__stb.value = 1
        await edge
        await ReadOnly()
        assert dut.bus__ack.value
        data = int(dut.bus__dat_r.value)
        await edge
        dut.bus__cyc.value = dut.bus__stb.value = 0
        return data

    async def state(self):
        """The fields of STATUS."""
        state = STATE.from_bits(await self.access(STATUS_WORD))
        SEEN.hit("STATUS read")
        SEEN.hit("idle", when=bool(state.idle))
        for name in ("testing", "passed", "error"):
            SEEN.hit(name, when=bool(state.status[name]))
        return state

    async def write(self, data: bytes) -> None:
        """Give the core bytes."""
        for byte in data:
            await self.access(DATA, byte)
        SEEN.hit("DATA written")

    async def read_frame(self) -> bytes:
        """What the core says, up to and with the next zero."""
        frame, waited = bytearray(), 0
        while not frame or frame[-1]:
            if not (await self.state()).available:
                waited += 1
                assert waited < PATIENCE, f"no answer, but {frame.hex(' ')}"
                continue
            assert self._dut.irq.value
            if self._rng.random() < 0.1:  # not taken by this
                sel = self._rng.choice((0x0, 0xE))
                await self.access(DATA, sel=sel)
            got = BYTE.from_bits(await self.access(DATA))
            assert got.valid
            SEEN.hit("DATA read")
            frame.append(got.byte)
            SEEN.hit("interrupt cleared by reading", when=not self._dut.irq.value)
        return bytes(frame)


class Host:
    """Asks the core and a twin the same; their answers must be."""

    def __init__(self, bus: Bus, twin: Twin):
        self._bus, self._twin, self._number = bus, twin, 0

    async def ask(self, command: bytes) -> bytes:
        """Body of the answer to a command, which must be OK."""
        frame = encode(bytes([self._number]) + command)
        await self._bus.write(frame)
        answer = await self._bus.read_frame()
        assert answer == self._twin.feed(frame), command.hex(" ")
        (message,) = Deframer(1 << 16).feed(answer)
        assert message[1] == Status.OK
        self._number = (self._number + (command[0] != Opcode.OPEN)) & 0xFF
        return message[HEADER_BYTES:]

    async def greet(self) -> None:
        """Open the board."""
        await self.ask(bytes([Opcode.OPEN]) + HELLO.pack(nonce=1))


async def begin(dut, seed: int) -> tuple[Bus, Host, Config]:
    """A core that was just switched on, and those who talk to it."""
    given = parameters()["wishbone"]
    config, block = Config.from_dicts(given["structure"], None), Block(dut, "wishbone")
    names = ("cyc", "stb", "we", "adr", "sel", "dat_w")
    await start(block, **{f"bus__{name}": 0 for name in names})
    bus = Bus(block, seed)
    twin = Twin(config, given["build"], about=given["about"].encode(), self_test=given["self_test"])
    return bus, Host(bus, twin), config


def access(opcode: Opcode, space: Space, address: int, count: int) -> bytes:
    """What begins a READ or a WRITE."""
    return bytes([opcode]) + ACCESS.pack(space=space, address=address, count=count)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def greets_and_trains_as_the_twin_does(dut):
    bus, host, config = await begin(dut, seed=1)
    layout = Layout(config)
    assert (await bus.state()).idle
    await host.greet()
    for address in range(config.inputs):
        word = bytes(range(3 + address, 3 + address + layout.word_bytes(Space.WEIGHTS)))
        await host.ask(access(Opcode.WRITE, Space.WEIGHTS, address, 1) + word)
    x, y = random_samples(config, 8, seed=2)
    for label, packed in zip(y, layout.pack_inputs(x)):
        await host.ask(bytes([Opcode.TRAIN]) + TRAIN.pack(label=int(label)) + packed.tobytes())
    await host.ask(access(Opcode.READ, Space.WEIGHTS, 0, 3))
    about = parameters()["wishbone"]["about"].encode()
    assert await host.ask(access(Opcode.READ, Space.BUILD, 0, len(about))) == about
    assert not BYTE.from_bits(await bus.access(DATA)).valid
    SEEN.hit("DATA read, nothing there")
    assert (await bus.state()).idle


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(sel=[0x0, 0xE])
async def an_access_without_the_lowest_byte_does_nothing(dut, sel):
    bus, host, _ = await begin(dut, seed=3)
    hello = bytes([Opcode.HELLO]) + HELLO.pack(nonce=1)
    for byte in encode(b"\0" + hello):
        await bus.access(DATA, byte)
        await bus.access(DATA, 0x55, sel=sel)
    await bus.access(STATUS_WORD, 1, sel=sel)
    while not (await bus.state()).available:
        await bus.access(DATA, sel=sel)
    (message,) = Deframer(1 << 16).feed(await bus.read_frame())
    assert message[1] == Status.OK
    assert not (await bus.state()).status.testing


@cocotb.test(timeout_time=500, timeout_unit="us")
async def the_bus_starts_the_self_test_and_tells_of_errors(dut):
    bus, host, _ = await begin(dut, seed=4)
    await host.greet()
    await bus.access(STATUS_WORD, 0)
    SEEN.hit("STATUS written with 0")
    assert not (await bus.state()).status.testing
    await bus.access(STATUS_WORD, 1)
    SEEN.hit("STATUS written")
    state = await bus.state()
    assert state.status.testing and not state.idle and not state.status.passed
    while (await bus.state()).status.testing:
        await ClockCycles(dut.clk, 500)
    status = (await bus.state()).status
    assert status.passed and not status.failed and not status.error
    await bus.write(b"\3\1\1\0")  # no frame
    await ClockCycles(dut.clk, 10)
    assert (await bus.state()).status.error
    frame = encode(b"\0" + access(Opcode.READ, Space.SELF_TEST, 0, 1))
    await bus.write(frame)
    (message,) = Deframer(1 << 16).feed(await bus.read_frame())
    verdict = SELF_TEST.unpack(message[HEADER_BYTES:])
    assert verdict == {"result": Verdict.PASSED, "signature": parameters()["wishbone"]["self_test"]}
    assert not (await bus.state()).status.error


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
