"""A memory that is read or written in a cycle, never both: what iCE40's SPRAM can do."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon.hw.rotation import delayed

SPRAM_WORDS, SPRAM_BYTES = 1 << 14, 2
"""An SPRAM block is 16384 words of 16 bits; every four bits can be written by themselves."""
SPRAM_DEVICES = ("iCE40UP3K", "iCE40UP5K")
PART_BITS = 11
PART_WORDS, PART_BYTES = 1 << PART_BITS, 8
"""What the parts of a large memory hold: as many words of a byte fill a block RAM of an ECP5 or a
Gowin, and as many of these lie near together."""


class SinglePortMemory(wiring.Component):
    """Words of whole bytes, which are written one by one.

    On a platform with SPRAM it is made of that; elsewhere, and in simulation, of `amaranth.lib.memory`.
    What it holds at first is undefined.

    Parameters
    ----------
    words, word_bytes
        Its size.
    latency
        1; or 5, where the memory is large: with registers before, behind and between its parts.

    Members
    -------
    address : In
    write : In(1), mask : In(word_bytes)
        Store those bytes of `data`; otherwise the word is read. `mask` alone would tell, but later.
    data : In(8 × word_bytes)
    word : Out(8 × word_bytes)
        The word read, `latency` cycles later; undefined after a write.
    """

    def __init__(self, words: int, word_bytes: int, latency: int = 1):
        self._words, self._bytes, self._latency = words, word_bytes, latency
        super().__init__(_members(bits_for(max(1, words - 1)), word_bytes))

    def elaborate(self, platform):
        m = Module()
        if getattr(platform, "device", None) in SPRAM_DEVICES:
            if self._latency == 1:
                self._spram(m)
            else:
                self._registered(m)
            return m
        if self._latency == 1:
            m.d.comb += self.word.eq(
                _memory(
                    m, self._words, self.address, self.data,
                    self.mask & self.write.replicate(self._bytes), ~self.write,
                )
            )  # fmt: skip
            return m
        # Asked; at the end, found in one of the parts: the others say 0.
        enable = self.mask & self.write.replicate(self._bytes)
        asked, write, mask, data = delayed(m, 1, self.address, self.write, enable, self.data)
        for column in range(0, self._bytes, PART_BYTES):
            width, words = min(PART_BYTES, self._bytes - column), []
            for at in range(-(-self._words // PART_WORDS)):
                here = min(PART_WORDS, self._words - at * PART_WORDS)
                part = Part(here, width)
                m.submodules[f"part{column // PART_BYTES}_{at}"] = part
                m.d.sync += part.chosen.eq(self.address[PART_BITS:] == at)
                m.d.comb += [
                    part.address.eq(asked[:PART_BITS]),
                    part.write.eq(write),
                    part.mask.eq(mask[column:]),
                    part.data.eq(data[8 * column :]),
                ]
                words.append(part.word)
            m.d.sync += self.word[8 * column :][: 8 * width].eq(reduce(or_, words))
        return m

    def _registered(self, m: Module) -> None:
        """SPRAM, which has no parts, with as many registers around."""
        m.submodules.memory = memory = SinglePortMemory(self._words, self._bytes)
        inputs = ("address", "write", "mask", "data")
        m.d.sync += [getattr(memory, name).eq(getattr(self, name)) for name in inputs]
        m.d.comb += self.word.eq(delayed(m, self._latency - 2, memory.word)[0])

    def _spram(self, m: Module) -> None:
        """Blocks side by side, and one after another where the words do not fit one."""
        rows = -(-self._words // SPRAM_WORDS)
        row, address = self.address[14:], Signal(14)
        last = Signal.like(row)
        m.d.comb += address.eq(self.address)
        m.d.sync += last.eq(row)
        for column in range(0, self._bytes, SPRAM_BYTES):
            words = []
            bytes_ = slice(column, column + SPRAM_BYTES)
            for at in range(rows):
                word, chosen = Signal(16, name=f"word{at}"), Const(1) if rows == 1 else row == at
                enable = Cat(self.mask[bytes_], Const(0, 2))[:SPRAM_BYTES]
                m.submodules[f"spram{at}_{column}"] = Instance(
                    "SB_SPRAM256KA",
                    i_ADDRESS=address,
                    i_DATAIN=Cat(self.data[8 * column : 8 * (column + SPRAM_BYTES)], Const(0, 16))[:16],
                    i_MASKWREN=Cat(bit.replicate(2) for bit in enable),
                    i_WREN=self.write,
                    i_CHIPSELECT=chosen,
                    i_CLOCK=ClockSignal(),
                    i_STANDBY=0,
                    i_SLEEP=0,
                    i_POWEROFF=1,
                    o_DATAOUT=word,
                )
                words.append(word)
            found = words[0]
            for at in range(1, rows):
                found = (last == at).replicate(16) & words[at] | (last != at).replicate(16) & found
            part = self.word[8 * column : 8 * (column + SPRAM_BYTES)]
            m.d.comb += part.eq(found)


class Part(wiring.Component):
    """Some bytes of some words of a large memory, with registers of their own before and behind them,
    near to them.

    Synthesis must keep the part as it is (``keep_hierarchy``): it would merge the registers of all
    parts into one otherwise, for they are equal.

    Members
    -------
    address, write, mask, data : In
        As `SinglePortMemory`'s, but `mask` is 0 where nothing is written.
    chosen : In(1)
        They are meant for this part.
    word : Out
        3 cycles later; 0 if it was not chosen.
    """

    def __init__(self, words: int, word_bytes: int):
        # A power of two: block RAMs of one shape, without logic at their enables.
        self._words = 1 << bits_for(words - 1)
        super().__init__(_members(PART_BITS, word_bytes) | {"chosen": In(1)})

    def elaborate(self, platform):
        m = Module()
        writes, reads = Signal.like(self.mask), Signal()
        m.d.sync += [
            writes.eq(self.mask & self.chosen.replicate(len(self.mask))),
            reads.eq(~self.write),
        ]
        address, data = delayed(m, 1, self.address, self.data)
        # A memory for each byte: its enable depends on no other's.
        words = [
            _memory(m, self._words, address, data[8 * byte :][:8], write, reads, f"byte{byte}")
            for byte, write in enumerate(writes)
        ]
        (chosen,) = delayed(m, 2, self.chosen)
        m.d.sync += self.word.eq(Cat(words))
        with m.If(~chosen):
            m.d.sync += self.word.eq(0)
        return m


def _members(address_bits: int, word_bytes: int) -> dict[str, wiring.Member]:
    """Of a memory with one port."""
    return {
        "address": In(address_bits),
        "write": In(1),
        "mask": In(word_bytes),
        "data": In(8 * word_bytes),
        "word": Out(8 * word_bytes),
    }


def _memory(
    m: Module, words: int, address, data, write, reads, name: str = "memory"
) -> Value:
    """So many words of memory; returns the one read a cycle ago."""
    m.submodules[name] = memory = Memory(shape=len(data), depth=max(2, words), init=[])
    read, port = memory.read_port(), memory.write_port(granularity=8)
    m.d.comb += [
        read.addr.eq(address),
        read.en.eq(reads),
        port.addr.eq(address),
        port.data.eq(data),
        port.en.eq(write),
    ]
    return read.data
