"""How the command port reads and writes the machine's words while no sample is running."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.layout import Layout
from relaxon.protocol import Space

READ_CYCLES = 12
"""Cycles from setting a `WordPort`'s `address` to a valid `read_data`, for every one of them."""


class HostPort(wiring.Signature):
    """One address space, byte by byte: a word's bytes are accessed in order, from its first.

    Members
    -------
    active : Out(1)
        An access is asked for, until `done`. The machine is at rest.
    address, byte : Out
        Which word, and which byte of it; a cycle before `active` already.
    write : Out(1), write_data : Out(8)
        Store this byte; otherwise read it.
    read_data : In(8), done : In(1)
        The access ends with this cycle, in which the byte read is here. The next one begins no sooner
        than two cycles later: what was written is not there to be read before.
    """

    def __init__(self, words: int, word_bytes: int):
        super().__init__(
            {
                "active": Out(1),
                "address": Out(bits_for(max(1, words - 1))),
                "byte": Out(bits_for(max(1, word_bytes - 1))),
                "write": Out(1),
                "write_data": Out(8),
                "read_data": In(8),
                "done": In(1),
            }
        )


class WordPort(wiring.Signature):
    """One address space, a word at a time.

    Members
    -------
    active : Out(1)
        The host owns the memory; no operation is running.
    address : Out(address_bits)
    write : Out(1)
        Store `write_data` at `address` in this cycle (only while `active`).
    write_data : Out(width)
    read_data : In(width)
        The word at `address`, `READ_CYCLES` after the address was set.
    """

    def __init__(self, address_bits: int, width: int):
        super().__init__(
            {
                "active": Out(1),
                "address": Out(address_bits),
                "write": Out(1),
                "write_data": Out(width),
                "read_data": In(width),
            }
        )


def host_port(layout: Layout, space: Space) -> HostPort:
    """The signature of an address space's port."""
    return HostPort(layout.words(space), layout.word_bytes(space))


def word_port(layout: Layout, space: Space) -> WordPort:
    """The same space, a word at a time."""
    return WordPort(bits_for(max(1, layout.words(space) - 1)), 8 * layout.word_bytes(space))


COUNTERS_PORT = HostPort(len(protocol.COUNTERS), protocol.COUNTER_BYTES)
REGISTERS_PORT = HostPort(len(protocol.REGISTERS), protocol.REGISTER_BYTES)
