"""What goes on in the array in one clock cycle: accesses to couplings, and evaluations of fields."""

from __future__ import annotations

from amaranth import Shape, Value, unsigned
from amaranth.lib import data, enum
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.layout import Layout

SHIFT_BITS = protocol.REGISTERS[0].bits
"""Width of `input_shift`, and of `feedback_shift`."""


class Use(enum.Enum, shape=3):
    """What a strip does with its store."""

    NONE = 0
    ADD = 1
    """Add one or two columns, each times a sign, to an accumulator of one group."""
    FEEDBACK = 2
    """Read the label's column for the EVALUATE of the same cycle."""
    LEARN = 3
    """Change couplings by ±1 (`learn_layout`)."""
    CLEAR = 4
    """Both accumulators of one group become 0; no coupling is read."""


class Mode(enum.Enum, shape=2):
    """Which field an evaluation computes, and what it reports."""

    FREE = 0
    """h = A; neurons whose sign differs."""
    KEEP = 1
    """None, and no neuron: the state stays."""
    SWEEP = 2
    """h = R + A + J_D s + λ(…); neurons whose sign differs."""
    STABILITY = 3
    """The same h; neurons with s·h ≤ κ."""


def turns(mode) -> Value:
    """Neurons get the sign of their field; else they keep theirs."""
    return (mode == Mode.FREE) | (mode == Mode.SWEEP)


def group_bits(layout: Layout) -> int:
    """Width of a group's number."""
    return bits_for(max(1, layout.groups - 1))


def address_bits(layout: Layout) -> int:
    """Width of a weight word's address."""
    return bits_for(layout.weight_words - 1)


def local_bits(layout: Layout) -> int:
    """Width of a group's number within its module."""
    return bits_for(max(1, layout.groups_per_module - 1))


def place_bits(layout: Layout) -> int:
    """Width of a lane's number within its strip."""
    return bits_for(max(1, layout.strip_lanes - 1))


def access_layout(layout: Layout) -> data.StructLayout:
    """An access to a strip's couplings.

    `a` and `b` are words; `b` takes part in an ADD if `two`. Their columns count `positive_a` and
    `positive_b`, shifted by `shift`, and doubled if `twice`. ADD goes to the accumulators of `group`:
    to A if `drive`, else to R.
    """
    return data.StructLayout(
        {
            "use": Use,
            "a": unsigned(address_bits(layout)),
            "b": unsigned(address_bits(layout)),
            "two": unsigned(1),
            "positive_a": unsigned(1),
            "positive_b": unsigned(1),
            "shift": unsigned(SHIFT_BITS),
            "twice": unsigned(1),
            "group": unsigned(group_bits(layout)),
            "drive": unsigned(1),
        }
    )


def side_layout(layout: Layout) -> data.StructLayout:
    """An access to a word of a column store beside the machine's own: to `write`, bytes `mask` of it
    get those of `data`, `readout_width` elements repeated; otherwise it is read."""
    return data.StructLayout(
        {
            "active": 1,
            "address": bits_for(layout.store_words - 1),
            "write": 1,
            "mask": layout.strip_bytes,
            "data": 16 * layout.readout_width,
        }
    )


def learn_layout(layout: Layout) -> data.StructLayout:
    """What a LEARN changes, from word `a` of the access on.

    The skewed store takes the row of the neuron on lane `place`: bit n of `up` is for the column of
    word a + n; bit p of `mask` and `wraps` tells that bank p's element of the row learns, and that it
    lies beyond the line of word a (`SkewedStore`). The column store takes word a; bit p is for lane p.
    """
    return data.StructLayout(
        {
            "mask": unsigned(layout.banks),
            "up": unsigned(layout.banks),
            "place": unsigned(place_bits(layout)),
            "wraps": unsigned(layout.banks if layout.config.store == "skewed" else 0),
        }
    )


def evaluation_layout(layout: Layout) -> data.StructLayout:
    """An evaluation of one group, on all strips.

    `rest` reports every neuron, whatever its sign was; `clamped` adds the label's column; `bin` is
    the group's bin of rows. `head` and `foot` mark the first and the last row of modules, `tail` the
    groups with padding (`relaxon.layout.Layout.padding`).
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "mode": Mode,
            "group": unsigned(group_bits(layout)),
            "local": unsigned(local_bits(layout)),
            "rest": unsigned(1),
            "clamped": unsigned(1),
            "bin": unsigned(bits_for(max(1, layout.row_bins - 1))),
            "head": unsigned(1),
            "foot": unsigned(1),
            "tail": unsigned(1),
        }
    )


def reported_layout(layout: Layout) -> data.StructLayout:
    """That an evaluation reported a neuron, and in which bin of rows."""
    return data.StructLayout({"valid": 1, "bin": evaluation_layout(layout)["bin"].shape})


def entry_layout(layout: Layout) -> data.StructLayout:
    """Neurons of a strip's group that an evaluation reported: their mask, and the new states; whether
    they are to learn."""
    return data.StructLayout(
        {
            "learns": unsigned(1),
            "mask": unsigned(layout.strip_lanes),
            "state": unsigned(layout.strip_lanes),
            "group": unsigned(group_bits(layout)),
            "local": unsigned(local_bits(layout)),
        }
    )


def element_shape(layout: Layout) -> Shape:
    """One element of the weight store."""
    return Shape(layout.element_bits, signed=True)
