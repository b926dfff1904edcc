"""What testbenches share inside the simulator: clock and reset, streams, a UART.

For modules that `relaxon.sim.cocotb_runner` runs; outside a simulator only `PARAMETERS` and
`Stalls` are of use.
"""

from __future__ import annotations

import enum
import json
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import LogicObject
from cocotb.queue import Queue
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge, Timer, with_timeout

PARAMETERS = "RELAXON_BENCH"
"""The environment variable that carries a testbench's parameters."""
PERIOD_NS = 10
Device = Any
"""A simulated device; which ports it has is known only when it runs."""


def parameters() -> dict[str, Any]:
    """What the caller of `relaxon.sim.cocotb_runner.simulate` gave as `parameters`."""
    values: dict[str, Any] = json.loads(os.environ[PARAMETERS])
    return values


async def start(dut: Device, *, cycles: int = 4, **inputs: int) -> None:
    """Start the clock and hold the reset for some cycles, with these values at the input ports."""
    for name, value in inputs.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, cycles)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


# ---- streams --------------------------------------------------------------------------------


class Stalls(enum.Enum):
    """Which end of a stream hesitates, at random, in a test."""

    NONE = "none"
    SOURCE = "source"
    SINK = "sink"
    BOTH = "both"

    @property
    def source(self) -> bool:
        """Whether the source hesitates."""
        return self in (Stalls.SOURCE, Stalls.BOTH)

    @property
    def sink(self) -> bool:
        """Whether the sink hesitates."""
        return self in (Stalls.SINK, Stalls.BOTH)


def hesitation(stalls: bool, seed: int) -> Iterator[bool]:
    """For each cycle, whether to pause in it: never, or at random in bursts."""
    rng = random.Random(seed)
    while True:
        pause = stalls and rng.random() < 0.5
        for _ in range(rng.randint(1, 6) if stalls else 1):
            yield pause


class StreamSource:
    """Drives the stream `name` of a device: payloads in order, valid held until they are taken."""

    def __init__(self, dut: Device, name: str, pauses: Iterator[bool] | None = None):
        self._clk = dut.clk
        self._payload, self._valid, self._ready = _stream(dut, name)
        self._pauses = pauses or hesitation(False, 0)
        self._valid.value = 0

    async def send(self, payloads: Iterable[int]) -> None:
        """Send all of them; returns when the last one has been taken."""
        for payload in payloads:
            while next(self._pauses):
                await RisingEdge(self._clk)
            self._payload.value = payload
            self._valid.value = 1
            while True:
                await ReadOnly()
                taken = bool(self._ready.value)
                await RisingEdge(self._clk)
                if taken:
                    break
            self._valid.value = 0


class StreamSink:
    """Takes all that the stream `name` of a device offers, into `received`.

    Fails if an offer that was not taken is changed or withdrawn, which no stream may do.
    """

    def __init__(self, dut: Device, name: str, pauses: Iterator[bool] | None = None):
        self._clk = dut.clk
        self._payload, self._valid, self._ready = _stream(dut, name)
        self._pauses = pauses or hesitation(False, 0)
        self.received: list[int] = []
        cocotb.start_soon(self._run())

    async def wait(self, count: int, cycles: int) -> list[int]:
        """The payloads once there are `count`; fails if that takes more than so many cycles."""
        for _ in range(cycles):
            if len(self.received) >= count:
                return self.received
            await RisingEdge(self._clk)
        raise AssertionError(f"{len(self.received)} of {count} payloads came in {cycles} cycles")

    async def _run(self) -> None:
        offered: int | None = None
        while True:
            self._ready.value = 0 if next(self._pauses) else 1
            await ReadOnly()
            valid, ready = bool(self._valid.value), bool(self._ready.value)
            payload = int(self._payload.value) if valid else None
            assert offered is None or payload == offered, f"{offered} was offered, then {payload}"
            if valid and ready:
                self.received.append(int(self._payload.value))
            offered = payload if valid and not ready else None
            await RisingEdge(self._clk)


def _stream(dut: Device, name: str) -> tuple[LogicObject, LogicObject, LogicObject]:
    payload, valid, ready = (getattr(dut, f"{name}__{m}") for m in ("payload", "valid", "ready"))
    return payload, valid, ready


# ---- UART -----------------------------------------------------------------------------------


class Uart:
    """The other end of a device's UART, 8N1: drives its `rx` pin and listens to its `tx` pin.

    Parameters
    ----------
    rx, tx
        The device's pins; `rx` must idle high before the reset ends.
    cycles_per_bit
        Clock cycles per bit, of this end.
    """

    def __init__(self, rx: LogicObject, tx: LogicObject, cycles_per_bit: int):
        self._rx, self._tx = rx, tx
        self._bit_ps = cycles_per_bit * PERIOD_NS * 1000
        self._received: Queue[int] = Queue()
        cocotb.start_soon(self._listen())

    async def write(self, data: bytes) -> None:
        """Send bytes back to back."""
        for byte in data:
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                self._rx.value = bit
                await Timer(self._bit_ps, "ps")

    async def read(self, timeout_us: float) -> int:
        """The next byte; fails after so many microseconds without one."""
        return await with_timeout(self._received.get(), timeout_us, "us")

    async def read_frame(self, timeout_us: float) -> bytes:
        """All bytes up to and with the next zero; the limit is for each byte."""
        frame = bytearray()
        while not frame or frame[-1]:
            frame.append(await self.read(timeout_us))
        return bytes(frame)

    async def _listen(self) -> None:
        while True:
            await FallingEdge(self._tx)
            await Timer(self._bit_ps * 3 // 2, "ps")
            byte = 0
            for i in range(8):
                byte |= int(self._tx.value) << i
                await Timer(self._bit_ps, "ps")
            assert int(self._tx.value) == 1, f"no stop bit after {byte:#04x}"
            self._received.put_nowait(byte)
