"""The host's end of an address space's port (`relaxon.hw.hostport.HostPort`)."""

from __future__ import annotations

import random

from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from relaxon.sim.testbench.bundle import Block

INPUTS = ("active", "address", "byte", "write", "write_data")


class HostPort:
    """Reads and writes words, byte by byte, as the command port does.

    Parameters
    ----------
    dut, name
        The device, and its port.
    word_bytes
        Of a word.
    seed
        Of the pauses between bytes, 2 to 6 cycles; None: always 2, and no command port is quicker.
    limit
        Most cycles that an access of a byte may take.

    Attributes
    ----------
    took
        Cycles that each byte of the last word took.
    """

    def __init__(self, dut: Block, name: str, word_bytes: int, *, seed: int | None, limit: int = 100):
        self._dut, self._name, self._size, self._limit = dut, name, word_bytes, limit
        self._rng = None if seed is None else random.Random(seed)
        self.took: list[int] = []

    def _port(self, member: str):
        return getattr(self._dut, f"{self._name}__{member}")

    async def read(self, address: int) -> bytes:
        """A word."""
        self.took.clear()
        return bytes([await self.byte(address, at) for at in range(self._size)])

    async def write(self, address: int, word: bytes) -> None:
        """Store a word."""
        self.took.clear()
        for at, value in enumerate(word):
            await self.byte(address, at, value)

    async def byte(self, address: int, at: int, value: int | None = None) -> int:
        """Read a byte or, with a value, write it."""
        edge = RisingEdge(self._dut.clk)
        self._port("address").value = address
        self._port("byte").value = at
        self._port("write").value = int(value is not None)
        self._port("write_data").value = value or 0
        await ClockCycles(self._dut.clk, 1 if self._rng is None else self._rng.randint(1, 5))
        self._port("active").value = 1
        cycles = 1
        await ReadOnly()
        while not self._port("done").value:
            assert cycles < self._limit, f"byte {at} of word {address}: not done in {cycles} cycles"
            await edge
            await ReadOnly()
            cycles += 1
        read = int(self._port("read_data").value) if value is None else 0
        await edge
        self._port("active").value = 0
        self.took.append(cycles)
        await edge
        return read


def idle(*names: str) -> dict[str, int]:
    """Ports at rest, for `relaxon.sim.testbench.bench.start`."""
    return {f"{name}__{member}": 0 for name in names for member in INPUTS}
