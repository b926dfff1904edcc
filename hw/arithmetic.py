"""Sums with a sign that is a signal; products with a constant."""

from __future__ import annotations

from functools import reduce
from operator import add

from amaranth import Cat, Const, Value


def plus(value, other, negative) -> Value:
    """value + other or, where `negative`, value − other, with one carry chain; one bit wider."""
    return with_carry(value, Cat(other) ^ negative.replicate(len(other)), negative)


def with_carry(value, other, carry) -> Value:
    """value + other + carry, with one carry chain; one bit wider."""
    width = max(len(value), len(other)) + 1
    first, second = (Cat(v, v[-1].replicate(width - len(v))) for v in (value, other))
    # The carry into the lowest bit is 1 + `carry`: nextpnr cannot route an iCE40's carry of one
    # signal with itself.
    return (Cat(Const(1, 1), first) + Cat(carry, second))[1 : 1 + width].as_signed()


def times(value, constant: int) -> Value:
    """value × constant, both not negative, as a sum of shifted values: multipliers of an FPGA are
    few, and better used elsewhere."""
    bits = (bit for bit in range(constant.bit_length()) if constant >> bit & 1)
    return reduce(add, (Cat(Const(0, bit), value) for bit in bits), Const(0))
