"""How the command port reads and writes words of a memory while no sample is running."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

READ_CYCLES = 12
"""Cycles from setting `address` to a valid `read_data`, for every host port."""


class HostPort(wiring.Signature):
    """Word access to one address space.

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
