"""Answers as the blocks of the link pass them on: byte after byte, the last one marked."""

from __future__ import annotations

from relaxon.hw.replies import REPLY_BYTE


def reply_bytes(answer: bytes) -> list[int]:
    """The payloads that carry an answer, or a part that ends it."""
    return [
        REPLY_BYTE.const({"data": byte, "last": at == len(answer) - 1}).as_bits()
        for at, byte in enumerate(answer)
    ]


def reply_byte(payload: int) -> tuple[int, bool]:
    """A byte, and whether it is the last one."""
    byte = REPLY_BYTE.from_bits(payload)
    return byte.data, bool(byte.last)
