"""Runs inside a simulator (see test_uart_top.py): a board, driven over its UART pins."""

from collections.abc import Iterator

import cocotb
import numpy as np
from recorded import random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.framing import Deframer, encode
from relaxon.layout import Layout
from relaxon.protocol import (
    ACCESS,
    HEADER_BYTES,
    HELLO,
    OUTCOME,
    REGISTER_BYTES,
    REGISTERS,
    TRAIN,
    Opcode,
    Space,
    Status,
)
from relaxon.sim.bench import Uart, parameters, start
from relaxon.sim.modelboard import ModelBoard
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

    async def hello(self) -> None:
        """Ask who is there, which takes no sequence number."""
        await self.call(bytes([Opcode.HELLO]) + HELLO.pack(nonce=0x12345678))
        self._sequence -= 1


def accesses(layout: Layout, name: str) -> Iterator[tuple[bytes, slice]]:
    """The bodies of READs of an array and, for each, its bytes among those of the array."""
    space, base, words = layout.place(name)
    at_once, size = layout.words_per_frame(space), layout.word_bytes(space)
    for first in range(0, words, at_once):
        count = min(at_once, words - first)
        access = ACCESS.pack(space=space, address=base + first, count=count)
        yield access, slice(first * size, (first + count) * size)


async def write_registers(host: Host, config: Config) -> None:
    """Write all registers, one by one."""
    for address, register in enumerate(REGISTERS):
        value = config.registers.as_dict()[register.name]
        word = value.to_bytes(REGISTER_BYTES, "little", signed=value < 0)
        access = ACCESS.pack(space=Space.REGISTERS, address=address, count=1)
        await host.call(bytes([Opcode.WRITE]) + access + word)


async def write(host: Host, layout: Layout, name: str, array: np.ndarray) -> None:
    """Write a coupling array."""
    data = layout.pack(name, array)
    await host.call(
        *(bytes([Opcode.WRITE]) + access + data[part] for access, part in accesses(layout, name))
    )


async def read(host: Host, layout: Layout, name: str) -> np.ndarray:
    """Read a coupling array."""
    parts = await host.call(
        *(bytes([Opcode.READ]) + access for access, _ in accesses(layout, name))
    )
    return layout.unpack(name, b"".join(parts))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def trains_over_the_pins_as_the_model_does(dut):
    config, given = machine(), parameters()
    layout = Layout(config)
    uart = Uart(dut.rx, dut.tx, given["cycles_per_bit"])
    await start(dut, rx=1)
    host = Host(uart, Twin(config, given["build"], given["clock_hz"]))
    before = random_couplings(config, seed=1)
    x, y = random_samples(config, SAMPLES, seed=2)

    await host.hello()
    await write_registers(host, config)
    for name in Couplings.NAMES:
        await write(host, layout, name, getattr(before, name))
    outcomes = await host.call(
        *(
            bytes([Opcode.TRAIN]) + TRAIN.pack(label=int(label)) + bits.tobytes()
            for bits, label in zip(layout.pack_inputs(x), y, strict=True)
        )
    )

    model = ModelBoard(config)
    model.load(before)
    expected = model.train(x, y)
    predictions = [OUTCOME.unpack(body)["prediction"] for body in outcomes]
    assert predictions == expected.prediction.tolist()
    after = Couplings(**{name: await read(host, layout, name) for name in Couplings.NAMES})
    assert not any(after.differences(model.couplings()).values())
    assert any(after.differences(before).values()), "nothing was learned"
