"""In the place of what has words: the far ends of the ports of all address spaces."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from relaxon.layout import Layout
from relaxon.protocol import Space
from relaxon.sim.testbench.bundle import Block


class FakeWords:
    """Words of random bytes, each byte of which is there when its port says so, and not else.

    Parameters
    ----------
    dut
        Has a member ``*_port`` for each space.
    layout
        How many words there are.
    seed
        Of the words, and of the cycles that an access takes.
    strict
        Look at what ports are asked for in the cycle before as well, which takes time.

    Attributes
    ----------
    most
        Cycles that an access takes, at most.
    took
        Cycles that each access took.
    """

    def __init__(self, dut: Block, layout: Layout, seed: int, *, strict: bool):
        self._dut, self._rng, self.most, self.strict = dut, random.Random(seed), 6, strict
        self.took: list[int] = []
        self.words = {
            space: [bytearray(self._rng.randbytes(layout.word_bytes(space)))
                    for _ in range(layout.words(space))]
            for space in Space
        }  # fmt: skip
        cocotb.start_soon(self._run())

    def read(self, space: Space, address: int, count: int) -> bytes:
        """Bytes of words."""
        return b"".join(self.words[space][address : address + count])

    def copy(self) -> dict[Space, list[bytes]]:
        """All of them."""
        return {space: [bytes(word) for word in words] for space, words in self.words.items()}

    async def _run(self) -> None:
        edge, settled = RisingEdge(self._dut.clk), ReadOnly()
        active = {space: self._pin(space, "active") for space in Space}
        before = {}  # what each port was asked for a cycle ago
        while True:
            await settled
            at_work = [space for space, pin in active.items() if pin.value]
            assert len(at_work) <= 1, "one port at a time"
            if at_work:
                (space,) = at_work
                assert not before or self._place(space) == before[space], (
                    "address and byte, a cycle before active"
                )
                await self._access(space)
                before.clear()
            else:
                if self.strict:
                    before = {space: self._place(space) for space in Space}
                await edge

    async def _access(self, space: Space) -> None:
        """One byte, from a cycle in which all is settled to the one after the last."""
        edge, settled = RisingEdge(self._dut.clk), ReadOnly()
        inputs = [self._pin(space, m) for m in ("active", "address", "byte", "write", "write_data")]
        done, read_data = self._pin(space, "done"), self._pin(space, "read_data")
        asked = [int(pin.value) for pin in inputs]
        _, address, byte, write, data = asked
        takes = self._rng.randint(1, self.most)
        for at in range(takes):
            if at:
                await settled
            assert [int(pin.value) for pin in inputs] == asked, "held until it is done"
            await edge
            read_data.value = self._rng.randrange(256)
        done.value = 1
        if write:
            self.words[space][address][byte] = data
        else:
            read_data.value = self.words[space][address][byte]
        await settled
        assert [int(pin.value) for pin in inputs] == asked
        await edge
        done.value = read_data.value = 0
        self.took.append(takes + 1)

    def _pin(self, space: Space, member: str):
        return getattr(self._dut, f"{space.name.lower()}_port__{member}")

    def _place(self, space: Space) -> tuple[int, int]:
        return int(self._pin(space, "address").value), int(self._pin(space, "byte").value)


def idle() -> dict[str, int]:
    """All ports at rest, for `relaxon.sim.testbench.bench.start`."""
    ports = (f"{space.name.lower()}_port" for space in Space)
    return {f"{port}__{member}": 0 for port in ports for member in ("done", "read_data")}
