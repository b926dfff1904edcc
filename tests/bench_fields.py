"""Runs inside a simulator (see test_fields.py): a core in training, and the fields in its lanes.

Fields survive from sample to sample: events add columns to them, and learning corrects them by what
it adds to the couplings. Nothing ever computes them afresh, so an error would stay. Here they are
read out of the lanes now and then, and compared with what the model's couplings say they must be.
"""

import cocotb
import numpy as np
from board_commands import train, write, write_registers
from cocotb.triggers import ClockCycles, RisingEdge
from recorded import random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.framing import encode
from relaxon.hw.cluster import LANES
from relaxon.layout import Layout
from relaxon.protocol import HELLO, Opcode
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.testbench.bench import parameters, start

WINDOW = 4
"""Frames sent before the core is left to work them off: it has room for so many."""
ACCEPTED = 20
"""Cycles after which a frame just sent is known to the core."""


class Host:
    """Sends commands to a core's stream of bytes; what it answers is not listened to."""

    def __init__(self, dut):
        self._dut, self._sequence = dut, 0

    async def send(self, commands: list[bytes]) -> None:
        """Returns when all of them have been executed."""
        for first in range(0, len(commands), WINDOW):
            for command in commands[first : first + WINDOW]:
                await self._write(encode(bytes([self._sequence]) + command))
                self._sequence = (self._sequence + 1) & 0xFF
            await ClockCycles(self._dut.clk, ACCEPTED)
            if not self._dut.idle.value:
                await RisingEdge(self._dut.idle)

    async def open(self) -> None:
        """Open the board, which takes no sequence number."""
        await self._write(encode(bytes([0, Opcode.OPEN]) + HELLO.pack(nonce=0)))

    async def _write(self, data: bytes) -> None:
        self._dut.rx__valid.value = 1
        for byte in data:
            self._dut.rx__payload.value = byte
            await RisingEdge(self._dut.clk)
            while not self._dut.rx__ready.value:
                await RisingEdge(self._dut.clk)
        self._dut.rx__valid.value = 0


class Fields:
    """The accumulators inside the lanes of a core."""

    def __init__(self, dut, config: Config):
        self._layout, self._bits = Layout(config), config.field_bits
        array = dut.component.machine.array
        self._lanes = [
            self._lane(getattr(array, f"strip{strip}"), lane)
            for strip in range(self._layout.strips)
            for lane in range(self._layout.strip_lanes)
        ]

    def _lane(self, strip, lane: int) -> dict:
        """The memories of a lane, by name."""
        if self._layout.serial:
            return {name: getattr(strip.lanes, f"{name}{lane}") for name in ("drive", "recur")}
        one = getattr(getattr(strip, f"cluster{lane // LANES}"), f"lane{lane % LANES}")
        return {name: getattr(one, name) for name in ("drive", "recur")}

    def read(self, name: str) -> np.ndarray:
        """Memory `name` of every neuron's lane at the word of its group, (M, H)."""
        memories = [lane[name] for lane in self._lanes]
        words = [
            [memory[group].value.to_signed() for group in range(self._layout.groups)]
            for memory in memories
        ]
        return np.array(words)[self._layout.lane, self._layout.group]


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def fields_are_what_the_couplings_say(dut):
    given = parameters()
    config = Config.from_dicts(given["structure"], given["registers"])
    layout, every = Layout(config), given["every"]
    x, y = random_samples(config, given["samples"], seed=5)
    couplings = random_couplings(config, seed=5)  # some are at the end of their range

    await start(dut, rx__valid=0, tx__ready=1, start_self_test=0)
    host, fields, model = Host(dut), Fields(dut, config), ModelBoard(config)
    model.load(couplings)
    await host.open()
    await host.send(write_registers(config))
    for name in Couplings.NAMES:
        await host.send(write(layout, name, getattr(couplings, name)))
    for first in range(0, len(x), every):
        part = slice(first, first + every)
        await host.send(train(layout, x[part], y[part]))
        model.train(x[part], y[part])
        last = x[part][-1].astype(np.int64)
        state = model.read("state").astype(np.int64)
        drive = model.read("input") @ last
        recur = np.einsum("mij,mj->mi", model.read("recurrent").astype(np.int64), state)
        done = part.stop
        wanted = {
            "drive": drive << config.registers.input_shift,
            "recur": recur << config.registers.recurrent_shift,
        }
        for name, values in wanted.items():
            found = fields.read(name)
            assert np.array_equal(found, values), f"{name} after {done} samples: {found - values}"
    counters = model.counters()
    assert counters["updates"] > 10 * len(x) // every and counters["saturations"] > 0
