"""Runs inside a simulator (see test_link_blocks.py): a UART's two halves, each against the far end."""

import random

import cocotb
from cocotb.triggers import ClockCycles, Timer
from cocotb.utils import get_sim_time

from relaxon.sim.testbench.bench import PERIOD_NS, parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSource, hesitation
from relaxon.sim.testbench.uart import Uart
from relaxon.sim.testbench.watch import cycle, watch

HEARD = Coverage(
    "UartReceiver", "byte", "byte right after byte", "sender too fast", "sender too slow", "glitch",
    "no stop bit", "byte after a broken line", "all ones", "all zeros",
)  # fmt: skip
SAID = Coverage(
    "UartTransmitter", "byte right after byte", "byte after a pause", "all ones", "all zeros"
)
LATE = 4
"""Cycles that a receiver needs to see, and tell, what is on the line."""
PS = PERIOD_NS * 1000


def some_bytes(seed: int, count: int) -> bytes:
    """The plainest, and random ones."""
    return bytes((0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80)) + random.Random(seed).randbytes(count)


def levels(byte: int) -> list[int]:
    """A byte on the line, bit by bit."""
    return [0, *(byte >> i & 1 for i in range(8)), 1]


class Sender:
    """The far end of a receiver, whose clock is its own."""

    def __init__(self, dut: Block, bit_ps: int):
        self._dut, self._bit_ps = dut, bit_ps
        self.begun: list[int] = []
        """When each byte began, in ps."""

    async def line(self, level: int, ps: int) -> None:
        """Hold the line at a level."""
        self._dut.line.value = level
        await Timer(ps, "ps")

    async def send(self, data: bytes) -> None:
        """Bytes, back to back."""
        for byte in data:
            self.begun.append(int(get_sim_time("ps")))
            for level in levels(byte):
                await self.line(level, self._bit_ps)


class Heard:
    """What a receiver makes of its line."""

    def __init__(self, dut: Block):
        self._dut, self.data, self.when = dut, bytearray(), []
        self._valid = False
        watch(dut, self._look)

    def _look(self) -> None:
        valid = bool(self._dut.bytes__valid.value)
        assert not (valid and self._valid), "offered for one cycle"
        self._valid = valid
        if valid:
            self.data.append(int(self._dut.bytes__payload.value))
            self.when.append(int(get_sim_time("ps")))


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["rx4", "rx16"], error=[-1, 0, 1])
async def hears_a_sender_that_is_off_at_every_phase(dut, name, error):
    block, given = Block(dut, name), parameters()[name]
    cycles, off = given["cycles"], error * given["tolerance"]
    await start(block, line=1, bytes__ready=0)
    bit_ps = round(cycles * PS * (1 + off))
    phases = 5 if cycles < 10 else 2
    for phase in range(phases):
        heard, sender = Heard(block), Sender(block, bit_ps)
        await ClockCycles(block.clk, 2 * cycles)
        await Timer(1 + phase * PS // phases, "ps")
        data = some_bytes(phase, 8)
        await sender.send(data)
        await ClockCycles(block.clk, 2 * cycles)
        assert heard.data == data, f"phase {phase}/{phases}"
        for begun, when in zip(sender.begun, heard.when):
            middle = begun + bit_ps * 19 // 2
            slack = abs(off) * 19 / 2 * cycles * PS
            assert middle - PS - slack <= when <= middle + LATE * PS + slack, "the stop bit's middle"
        HEARD.hit("byte")
        HEARD.hit("byte right after byte")
        HEARD.hit("all ones", when=0xFF in heard.data)
        HEARD.hit("all zeros", when=0x00 in heard.data)
        HEARD.hit("sender too fast", when=error < 0)
        HEARD.hit("sender too slow", when=error > 0)


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["rx4", "rx16"])
async def hears_nothing_but_bytes(dut, name):
    block, cycles = Block(dut, name), parameters()[name]["cycles"]
    await start(block, line=1, bytes__ready=0)
    heard, sender, rng = Heard(block), Sender(block, cycles * PS), random.Random(9)
    wanted = b""
    await Timer(PS // 2, "ps")
    for _ in range(30):
        kind = rng.randrange(3)
        if kind == 0:  # shorter than half a bit
            await sender.line(0, (cycles // 2 - 1) * PS)
            await sender.line(1, rng.randint(1, 3) * cycles * PS)
            HEARD.hit("glitch")
        elif kind == 1:  # longer than a byte, and its stop bit, too
            await sender.line(0, rng.randint(10 * cycles, 25 * cycles) * PS)
            await sender.line(1, rng.randint(3, 2 * cycles) * PS)
            HEARD.hit("no stop bit")
        else:
            byte = rng.randbytes(1)
            await sender.send(byte)
            HEARD.hit("byte after a broken line", when=heard.data == wanted and len(wanted) > 0)
            wanted += byte
    await ClockCycles(block.clk, 2 * cycles)
    assert heard.data == wanted


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["tx4", "tx16"], stalls=[Stalls.NONE, Stalls.SOURCE])
async def says_ten_bits_a_byte(dut, name, stalls):
    block, cycles = Block(dut, name), parameters()[name]["cycles"]
    await start(block, bytes__valid=0, bytes__payload=0)
    source = StreamSource(block, "bytes", hesitation(stalls.source, 10))
    data, wanted, taken = some_bytes(11, 8), [], []

    def look() -> None:
        level = wanted.pop(0) if wanted else 1
        assert block.line.value == level
        assert block.bytes__ready.value == (not wanted), "when the stop bit ends, not before"
        if block.bytes__valid.value and block.bytes__ready.value:
            byte = int(block.bytes__payload.value)
            wanted.extend(level for level in levels(byte) for _ in range(cycles))
            last = taken[-1] if taken else None
            SAID.hit("byte right after byte", when=last == cycle() - 10 * cycles)
            SAID.hit("byte after a pause", when=last is not None and last < cycle() - 10 * cycles)
            SAID.hit("all ones", when=byte == 0xFF)
            SAID.hit("all zeros", when=byte == 0)
            taken.append(cycle())

    watch(block, look)
    if stalls is Stalls.NONE:
        await source.send(data)
        assert taken == [taken[0] + 10 * cycles * n for n in range(len(data))], "back to back"
    else:
        for byte in data:
            await source.send([byte])
            await ClockCycles(block.clk, random.Random(byte).randrange(15 * cycles))
    await ClockCycles(block.clk, 11 * cycles)
    assert not wanted and len(taken) == len(data)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def agrees_with_the_far_end_of_other_testbenches(dut):
    """`relaxon.sim.testbench.uart`, to which whole boards talk."""
    rx, tx, cycles = Block(dut, "rx4"), Block(dut, "tx4"), parameters()["rx4"]["cycles"]
    await start(rx, line=1, bytes__ready=0)
    tx.bytes__valid.value = 0
    far, heard = Uart(rx.line, tx.line, cycles), Heard(rx)
    there, back = some_bytes(12, 20), some_bytes(13, 20)
    sending = cocotb.start_soon(far.write(there))
    await StreamSource(tx, "bytes").send(back)
    assert bytes([await far.read(10) for _ in back]) == back
    await sending
    await ClockCycles(rx.clk, 2 * cycles)
    assert heard.data == there


@cocotb.test()
async def everything_was_seen(dut):
    assert not HEARD.missing and not SAID.missing, (HEARD.missing, SAID.missing)
