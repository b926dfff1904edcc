"""In the place of the reply cache."""

from __future__ import annotations

import random
from collections.abc import Iterator

import cocotb
from answers import reply_byte
from cocotb.triggers import ReadOnly, RisingEdge
from pins import Pins

from relaxon.sim.testbench.bundle import Block


class FakeCache:
    """Takes answers; they are pending until whoever uses it removes them from `pending`, which is not
    before the answer writer has noticed.

    Attributes
    ----------
    taken
        Slot and bytes of all answers, in order.
    pending
        Slots of answers that are not sent yet.
    encoding
        Cycles from the last answer's last byte until it was pending.
    """

    def __init__(self, dut: Block, pauses: Iterator[bool], seed: int):
        self._dut, self._pauses, self._rng = dut, pauses, random.Random(seed)
        self.taken: list[tuple[int, bytes]] = []
        self.pending: set[int] = set()
        self.encoding = 0
        self._under_way, self._slot = bytearray(), 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        dut, edge, settled = self._dut, RisingEdge(self._dut.clk), ReadOnly()
        slot, left, pins = 0, -1, Pins(dut)
        while True:
            ready = left < 0 and not next(self._pauses)
            pins.set(payload__ready=int(ready), pending=int(slot in self.pending))
            await settled
            slot = int(dut.slot.value)  # of this cycle: `pending` tells in the next
            if ready and dut.payload__valid.value:
                assert slot not in self.pending, f"slot {slot} is being sent"
                assert not self._under_way or slot == self._slot, "the slot changed within an answer"
                self._slot = slot
                byte, last = reply_byte(int(dut.payload__payload.value))
                self._under_way.append(byte)
                if last:
                    left = self._rng.randint(0, 8)
                    self.encoding = left + 2
            elif left > 0:
                left -= 1
            elif left == 0:
                left = -1
                self.taken.append((self._slot, bytes(self._under_way)))
                self._under_way.clear()
                self.pending.add(self._slot)
            await edge
