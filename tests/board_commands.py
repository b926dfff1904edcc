"""Commands (opcode and body) that testbenches send to a board."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relaxon import Config
from relaxon.layout import Layout
from relaxon.protocol import ACCESS, REGISTER_BYTES, REGISTERS, TRAIN, Opcode, Space


def write_registers(config: Config) -> list[bytes]:
    """WRITEs of all registers, one by one."""
    commands = []
    for address, register in enumerate(REGISTERS):
        value = config.registers.as_dict()[register.name]
        word = value.to_bytes(REGISTER_BYTES, "little", signed=value < 0)
        access = ACCESS.pack(space=Space.REGISTERS, address=address, count=1)
        commands.append(bytes([Opcode.WRITE]) + access + word)
    return commands


def write(layout: Layout, name: str, array: np.ndarray) -> list[bytes]:
    """WRITEs of an array."""
    data = layout.pack(name, array)
    return [bytes([Opcode.WRITE]) + body + data[part] for body, part in _accesses(layout, name)]


def read(layout: Layout, name: str) -> list[bytes]:
    """READs of an array; `layout.unpack` takes what they answer, put together."""
    return [bytes([Opcode.READ]) + body for body, _ in _accesses(layout, name)]


def train(layout: Layout, x: np.ndarray, y: np.ndarray) -> list[bytes]:
    """TRAINs of samples."""
    return [
        bytes([Opcode.TRAIN]) + TRAIN.pack(label=int(label)) + bits.tobytes()
        for bits, label in zip(layout.pack_inputs(x), y, strict=True)
    ]


def _accesses(layout: Layout, name: str) -> Iterator[tuple[bytes, slice]]:
    """What READ and WRITE of an array say, and its bytes that each moves."""
    space, base, words = layout.place(name)
    at_once, size = layout.words_per_frame(space), layout.word_bytes(space)
    for first in range(0, words, at_once):
        count = min(at_once, words - first)
        access = ACCESS.pack(space=space, address=base + first, count=count)
        yield access, slice(first * size, (first + count) * size)
