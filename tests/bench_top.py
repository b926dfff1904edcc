"""Runs inside a simulator (see test_uart_top.py): a board, driven over its UART pins."""

import cocotb
from board_commands import read, train, write, write_registers
from cocotb.triggers import ClockCycles, ValueChange, with_timeout
from recorded import random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.framing import Deframer, encode
from relaxon.layout import Layout
from relaxon.protocol import HEADER_BYTES, HELLO, OUTCOME, Opcode, Status
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.testbench.bench import PERIOD_NS, parameters, start
from relaxon.sim.testbench.uart import Uart
from relaxon.sim.twin import Twin

SAMPLES = 20
WINDOW = 5
"""Frames sent before the first answer is read."""
TIMEOUT_US = 500


def machine() -> Config:
    """The machine of the test."""
    given = parameters()
    return Config.from_dicts(given["structure"], given["registers"])


class Host:
    """Sends commands over the pins and to a `Twin`, whose answers must be the board's."""

    def __init__(self, uart: Uart, twin: Twin):
        self._uart, self._twin = uart, twin
        self._sequence = 0

    async def call(self, *commands: bytes) -> list[bytes]:
        """The bodies of the answers to commands (opcode and body), `WINDOW` at a time."""
        bodies = []
        for first in range(0, len(commands), WINDOW):
            frames = [self._frame(command) for command in commands[first : first + WINDOW]]
            await self._uart.write(b"".join(frames))
            for frame in frames:
                answer = await self._uart.read_frame(TIMEOUT_US)
                assert answer == self._twin.feed(frame), f"answer to {frame.hex(' ')}"
                (message,) = Deframer(1 << 16).feed(answer)
                assert message[1] == Status.OK, Status(message[1]).name
                bodies.append(message[HEADER_BYTES:])
        return bodies

    def _frame(self, command: bytes) -> bytes:
        sequence, self._sequence = self._sequence, (self._sequence + 1) & 0xFF
        return encode(bytes([sequence]) + command)

    async def open(self) -> None:
        """Open the board, which takes no sequence number."""
        await self.call(bytes([Opcode.OPEN]) + HELLO.pack(nonce=0x12345678))
        self._sequence -= 1


def twin_of(config: Config, given: dict) -> Twin:
    """The board as the runner made it."""
    return Twin(
        config, given["build"], given["clock_hz"], about=b"board=none\n",
        self_test=given["self_test"],
    )  # fmt: skip


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def trains_over_the_pins_as_the_model_does(dut):
    config, given = machine(), parameters()
    layout = Layout(config)
    uart = Uart(dut.rx, dut.tx, given["cycles_per_bit"])
    await start(dut, rx=1, start_self_test=0)
    host = Host(uart, twin_of(config, given))
    before = random_couplings(config, seed=1)
    x, y = random_samples(config, SAMPLES, seed=2)

    await host.open()
    await host.call(*write_registers(config))
    for name in Couplings.NAMES:
        await host.call(*write(layout, name, getattr(before, name)))
    outcomes = await host.call(*train(layout, x, y))

    model = ModelBoard(config)
    model.load(before)
    expected = model.train(x, y)
    predictions = [OUTCOME.unpack(body)["prediction"] for body in outcomes]
    assert predictions == expected.prediction.tolist()
    learned = {
        name: layout.unpack(name, b"".join(await host.call(*read(layout, name))))
        for name in Couplings.NAMES
    }
    after = Couplings(**learned)
    assert not any(after.differences(model.couplings()).values())
    assert any(after.differences(before).values()), "nothing was learned"


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def a_button_starts_the_self_test_and_lamps_tell(dut):
    config, given = machine(), parameters()
    uart = Uart(dut.rx, dut.tx, given["cycles_per_bit"])
    await start(dut, rx=1, start_self_test=0)
    twin = twin_of(config, given)
    host = Host(uart, twin)
    x, y = random_samples(config, WINDOW, seed=3)
    lamps = Lamps(dut)
    assert lamps.lit() == set()

    dut.start_self_test.value = 1  # and is held down
    await lamps.until("testing")
    await ClockCycles(dut.clk, 2)
    assert not dut.idle.value
    twin.self_test()
    await host.open()
    await host.call(*train(Layout(config), x, y))  # these frames wait, and keep their numbers
    assert lamps.lit() == {"passed"}
    assert lamps.seen == {"learning", "testing", "passed"}

    await uart.write(bytes((3, 1, 1, 0)))  # no frame
    await lamps.until("error")
    await host.call(*train(Layout(config), x[:1], y[:1]))
    assert lamps.lit() == {"passed"}


class Lamps:
    """What `status` of a device shows, and has shown."""

    NAMES = ("learning", "testing", "passed", "failed", "error")

    def __init__(self, dut):
        self._dut, self.seen = dut, set()
        cocotb.start_soon(self._watch())

    def lit(self) -> set[str]:
        """The names of those lit."""
        value = int(self._dut.status.value)
        return {name for bit, name in enumerate(self.NAMES) if value >> bit & 1}

    async def until(self, name: str, cycles: int = 20_000) -> None:
        """Wait for one of them; fails after so many cycles."""
        while name not in self.lit():
            await with_timeout(ValueChange(self._dut.status), cycles * PERIOD_NS, "ns")

    async def _watch(self) -> None:
        while True:
            await ValueChange(self._dut.status)
            self.seen |= self.lit()
