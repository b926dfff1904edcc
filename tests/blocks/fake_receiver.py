"""In the place of the receiver: frames that wait, and their bytes."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from pins import Pins

from relaxon.sim.testbench.bundle import Block


class FakeReceiver:
    """Gives out messages as a `Receiver` does: a byte every other cycle, rubbish after the last one.

    Attributes
    ----------
    waiting
        Messages, the oldest first; more may be appended at any time.
    """

    def __init__(self, dut: Block, pauses: Iterator[bool], seed: int):
        self._dut, self._pauses, self._rng = dut, pauses, random.Random(seed)
        self.waiting: deque[bytes] = deque()
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        dut, edge, settled = self._dut, RisingEdge(self._dut.clk), ReadOnly()
        at = cycles = 0  # the next byte; cycles since it might have come
        offered, pins = False, Pins(dut)
        while True:
            there = bool(self.waiting)
            message = self.waiting[0] if there else b""
            pins.set(frame_valid=int(there), frame_length=len(message))
            if there and not offered:
                cycles += 1
                offered = cycles > (2 if at == 0 else 1) and not next(self._pauses)
                byte = message[at] if at < len(message) else self._rng.randrange(256)
                pins.set(bytes__payload=byte)
            pins.set(bytes__valid=int(offered))
            await settled
            if offered and dut.bytes__ready.value:
                at, cycles, offered = at + 1, 0, False
            if dut.next_frame.value:
                assert there, "done with a frame that is not there"
                self.waiting.popleft()
                at, cycles, offered = 0, 0, False
            await edge


def idle() -> dict[str, int]:
    """Nothing received, for `relaxon.sim.testbench.bench.start`."""
    return dict.fromkeys(("frame_valid", "frame_length", "bytes__valid", "bytes__payload"), 0)
