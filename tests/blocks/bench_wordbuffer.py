"""Runs inside a simulator (see test_link_blocks.py): between bytes of the host and words of memories."""

import random

import cocotb
from cocotb.triggers import RisingEdge
from host_port import HostPort, idle

from relaxon.hw.hostport import READ_CYCLES
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.watch import cycle, watch

NAMES = tuple(parameters()["words"])
SEEN = Coverage(
    "WordBuffer", *(f"{name} {what}" for name in NAMES for what in ("read", "written", "last word")),
    "another space next", "read what was written", "word of one byte",
)  # fmt: skip
BYTE, READ, WRITE = 2, READ_CYCLES + 3, 1
"""Cycles for a byte, and for a word to be read (at most) or written."""


class WordMemory:
    """The far end of a port: words that are there `READ_CYCLES` after their address."""

    def __init__(self, dut: Block, space: str, word_bytes: int, words: int, seed: int):
        self._dut, self._name = dut, f"{space}_word"
        self._rng, self._size = random.Random(seed), word_bytes
        self.words = [self._rng.randbytes(word_bytes) for _ in range(words)]
        self.writes = 0
        self._address, self._since = -1, 0
        self._port("read_data").value = 0
        watch(dut, self._look)
        cocotb.start_soon(self._answer())

    def _port(self, member: str):
        return getattr(self._dut, f"{self._name}__{member}")

    def _look(self) -> None:
        address = int(self._port("address").value)
        if address != self._address:
            self._address, self._since = address, cycle()
        if self._port("write").value:
            assert self._port("active").value, "only while active"
            self.words[address] = int(self._port("write_data").value).to_bytes(self._size, "little")
            self.writes += 1

    async def _answer(self) -> None:
        """The word, or rubbish as long as it need not be there."""
        while True:
            await RisingEdge(self._dut.clk)
            there = self._address >= 0 and cycle() - self._since >= READ_CYCLES
            known = there and self._address < len(self.words)
            word = self.words[self._address] if known else self._rng.randbytes(self._size)
            self._port("read_data").value = int.from_bytes(word, "little")


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(pauses=[False, True])
async def passes_words_on(dut, pauses):
    dut, given, rng = Block(dut, "words"), parameters()["words"], random.Random(1)
    await start(dut, **idle(*(f"{name}_host" for name in NAMES)))
    memories = {name: WordMemory(dut, name, **sizes, seed=2) for name, sizes in given.items()}
    hosts = {
        name: HostPort(dut, f"{name}_host", sizes["word_bytes"], seed=3 if pauses else None)
        for name, sizes in given.items()
    }
    before, written = "", set()
    for _ in range(80):
        name = rng.choice(NAMES)
        memory, host, size = memories[name], hosts[name], given[name]["word_bytes"]
        last = len(memory.words) - 1
        address = rng.choice((last, rng.randint(0, last)))
        SEEN.hit("another space next", when=before not in ("", name))
        SEEN.hit(f"{name} last word", when=address == last)
        SEEN.hit("word of one byte", when=size == 1)
        before = name
        if rng.random() < 0.5:
            word = rng.randbytes(size)
            count = memory.writes
            others = {each: list(m.words) for each, m in memories.items() if each != name}
            wanted = [*memory.words[:address], word, *memory.words[address + 1 :]]
            await host.write(address, word)
            assert memory.words == wanted and memory.writes == count + 1
            assert all(memories[each].words == words for each, words in others.items())
            assert host.took == [BYTE] * (size - 1) + [BYTE + WRITE]
            written.add((name, address))
            SEEN.hit(f"{name} written")
        else:
            assert await host.read(address) == memory.words[address]
            first, *others = host.took
            assert first <= BYTE + READ and others == [BYTE] * (size - 1)
            SEEN.hit(f"{name} read")
            SEEN.hit("read what was written", when=(name, address) in written)


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
