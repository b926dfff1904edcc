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

    Attributes
    ----------
    most
        Cycles that an access takes, at most.
    took
        Cycles that each access took.
    """

    def __init__(self, dut: Block, layout: Layout, seed: int):
        self._dut, self._rng, self.most = dut, random.Random(seed), 6
        self.took: list[int] = []
        self.words = {
            space: [bytearray(self._rng.randbytes(layout.word_bytes(space)))
                    for _ in range(layout.words(space))]
            for space in Space
        }  # fmt: skip
        for space in Space:
            cocotb.start_soon(self._run(space))

    def read(self, space: Space, address: int, count: int) -> bytes:
        """Bytes of words."""
        return b"".join(self.words[space][address : address + count])

    def copy(self) -> dict[Space, list[bytes]]:
        """All of them."""
        return {space: [bytes(word) for word in words] for space, words in self.words.items()}

    async def _run(self, space: Space) -> None:
        dut, words, name = self._dut, self.words[space], f"{space.name.lower()}_port"
        port = {m: getattr(dut, f"{name}__{m}") for m in ("active", "address", "byte", "write",
                "write_data", "read_data", "done")}  # fmt: skip
        edge, settled = RisingEdge(dut.clk), ReadOnly()
        before = None  # what was asked for a cycle ago
        while True:
            port["done"].value, port["read_data"].value = 0, 0
            await settled
            place = (int(port["address"].value), int(port["byte"].value))
            if not port["active"].value:
                before = place
                await edge
                continue
            assert place == before, "address and byte, a cycle before active"
            takes = self._rng.randint(1, self.most)
            asked = (*place, int(port["write"].value), int(port["write_data"].value))
            address, byte, write, data = asked
            for at in range(takes):
                if at:
                    await settled
                    now = tuple(int(port[m].value) for m in ("address", "byte", "write", "write_data"))
                    assert port["active"].value and now == asked, "held until it is done"
                await edge
                port["read_data"].value = self._rng.randrange(256)
            port["done"].value = 1
            if write:
                words[address][byte] = data
            else:
                port["read_data"].value = words[address][byte]
            await settled
            assert port["active"].value
            await edge
            self.took.append(takes + 1)
            before = None


def idle() -> dict[str, int]:
    """All ports at rest, for `relaxon.sim.testbench.bench.start`."""
    ports = (f"{space.name.lower()}_port" for space in Space)
    return {f"{port}__{member}": 0 for port in ports for member in ("done", "read_data")}
