"""Drivers and monitors of streams: who sends, who takes, and when either hesitates.

Outside a simulator only `Stalls` is of use.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable, Iterator

import cocotb
from cocotb.handle import LogicObject
from cocotb.triggers import ReadOnly, RisingEdge

from relaxon.sim.testbench.bench import Device


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
