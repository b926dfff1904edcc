"""The other end of a UART."""

from __future__ import annotations

import cocotb
from cocotb.handle import LogicObject
from cocotb.queue import Queue
from cocotb.triggers import FallingEdge, Timer, with_timeout

from relaxon.sim.testbench.bench import PERIOD_NS


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
