"""Barrel rotation, pipelined."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value


def delayed(m: Module, cycles: int, *signals) -> list:
    """The signals, so many cycles later."""
    late = [Value.cast(signal) for signal in signals]
    for _ in range(cycles):
        for i, before in enumerate(late):
            after = Signal.like(before, name=f"late{i}")
            m.d.sync += after.eq(before)
            late[i] = after
    return late


def rotation_cycles(distance_bits: int, steps: int) -> int:
    """Cycles that `rotate` takes with so many steps in each of them."""
    return -(-distance_bits // steps)


def rotate(m: Module, value, distance, *, element: int, cycles: int) -> tuple[Signal, Signal]:
    """`value` with its element i moved to place (i − distance) mod 2^len(distance).

    Parameters
    ----------
    value
        2^len(distance) elements of `element` bits, the first one lowest.
    distance
        Taken with `value`, unsigned.
    cycles
        Registers on the way; every one follows an equal share of the doublings of the distance.

    Returns
    -------
    The rotated value and the distance beside it, `cycles` later.
    """
    given, bits = Value.cast(value), len(Value.cast(distance))
    value, way_to_go = Signal(len(given), name="given"), Signal(bits, name="distance")
    m.d.comb += [value.eq(given), way_to_go.eq(distance)]
    distance = way_to_go
    share = rotation_cycles(bits, cycles) if cycles else bits
    for first in range(0, share * cycles or bits, share):
        for bit in range(first, min(bits, first + share)):
            way, turned = element << bit, Signal(len(value), name=f"by{1 << bit}")
            m.d.comb += turned.eq(Mux(distance[bit], Cat(value[way:], value[:way]), value))
            value = turned
        if cycles:
            after, beside = Signal(len(value), name="turned"), Signal(bits, name="distance")
            m.d.sync += [after.eq(value), beside.eq(distance)]
            value, distance = after, beside
    return value, distance
