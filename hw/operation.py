"""What the sequencer tells the neuron array, one operation per clock cycle."""

from __future__ import annotations

from amaranth import Shape, unsigned
from amaranth.lib import data, enum
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.layout import Layout


class Kind(enum.Enum, shape=2):
    """What all lanes do."""

    IDLE = 0
    ADD = 1
    """Add a word of couplings, times a sign and shifted, to an accumulator of one group."""
    EVALUATE = 2
    """Compute the fields of one group and compare them (see `Mode`)."""
    UPDATE = 3
    """Change a word of couplings by ±1 on the lanes whose neuron is unstable."""


class Mode(enum.Enum, shape=2):
    """Which field EVALUATE computes and what it compares."""

    FREE = 0
    """h = A; every neuron takes its sign."""
    SWEEP = 1
    """h = R + A + J_D s + λ(…); neurons whose sign changes are reported."""
    STABILITY = 2
    """The same h; neurons with s·h ≤ κ are reported."""


class Sign(enum.Enum, shape=2):
    """Where the sign of a column comes from."""

    PLUS = 0
    MINUS = 1
    INPUT = 2
    """x[column]."""
    STATE = 3
    """s of neuron `column` of each block of `group`."""


def group_bits(layout: Layout) -> int:
    """Width of a group's number."""
    return bits_for(max(1, layout.groups - 1))


def address_bits(layout: Layout) -> int:
    """Width of a weight word's address."""
    return bits_for(layout.weight_words - 1)


def local_bits(layout: Layout) -> int:
    """Width of a group's number within its module."""
    return bits_for(max(1, layout.groups_per_module - 1))


def operation_layout(layout: Layout) -> data.StructLayout:
    """Fields of an operation.

    `address` names the word of ADD and UPDATE; `group` the accumulators of ADD and EVALUATE, and
    for UPDATE with `Sign.STATE` the group whose states are the column's signs; `local` is the
    group's number within its module; `drive` chooses A rather than R; `first` starts A from 0 and
    clears R; `blocks` are the modules of the group that take part; `diagonal` forbids the lane
    whose place in its block is `column`; `head` and `foot` mark the first and the last row of
    modules, `tail` the groups with padding (`relaxon.layout.Layout.padding`).
    """
    config = layout.config
    column = max(config.inputs, min(config.neurons, config.lanes))
    return data.StructLayout(
        {
            "kind": Kind,
            "mode": Mode,
            "sign": Sign,
            "address": unsigned(address_bits(layout)),
            "group": unsigned(group_bits(layout)),
            "local": unsigned(local_bits(layout)),
            "column": unsigned(bits_for(max(1, column - 1))),
            "shift": unsigned(protocol.REGISTERS[0].bits),
            "drive": unsigned(1),
            "first": unsigned(1),
            "diagonal": unsigned(1),
            "head": unsigned(1),
            "foot": unsigned(1),
            "tail": unsigned(1),
            "blocks": unsigned(layout.modules_per_group),
        }
    )


def entry_layout(layout: Layout) -> data.StructLayout:
    """Neurons of one group that EVALUATE reported: their mask, and the group's (new) states."""
    return data.StructLayout(
        {
            "group": unsigned(group_bits(layout)),
            "local": unsigned(local_bits(layout)),
            "mask": unsigned(layout.config.lanes),
            "state": unsigned(layout.config.lanes),
        }
    )


def event_layout(layout: Layout) -> data.StructLayout:
    """One neuron that changed: its column's first word, the first group of its module, its block
    (one-hot), its slot and its new sign (1: +1)."""
    return data.StructLayout(
        {
            "address": unsigned(address_bits(layout)),
            "group": unsigned(group_bits(layout)),
            "blocks": unsigned(layout.modules_per_group),
            "slot": unsigned(bits_for(layout.slots - 1)),
            "positive": unsigned(1),
        }
    )


def element_shape(layout: Layout) -> Shape:
    """One element of the weight store."""
    return Shape(layout.element_bits, signed=True)
