"""Frames on the wire: COBS(message + CRC-32) and a zero byte (`relaxon.protocol` has the rules).

A *message* is a frame's payload without its CRC: sequence, opcode or status, body.
"""

from __future__ import annotations

import zlib

from cobs import cobs  # type: ignore[import-untyped]

from relaxon.protocol import CRC_BYTES, DELIMITER, ENCODING_BYTES, FRAME_OVERHEAD

DELIMITER_BYTE = bytes([DELIMITER])
_LONG_CODE = 0xFF
"""The COBS code of 254 data bytes that no zero follows."""


def encode(message: bytes) -> bytes:
    """The bytes on the wire of a message: CRC added, COBS-encoded, delimiter at the end."""
    crc = zlib.crc32(message).to_bytes(CRC_BYTES, "little")
    return bytes(cobs.encode(message + crc)) + DELIMITER_BYTE


def encoded_bytes(payload: int) -> int:
    """Most bytes on the wire of a payload of so many bytes, CRC included."""
    return payload + payload // 254 + ENCODING_BYTES


class Deframer:
    """Cuts a byte stream into messages; what is broken is dropped and counted, never raised.

    Memory stays bounded whatever arrives: at most one encoded frame of `limit` is kept.

    Parameters
    ----------
    limit
        Largest payload (message and CRC) in bytes that is accepted.

    Attributes
    ----------
    frames
        Messages returned so far.
    bad_frames
        Frames dropped for broken encoding, fewer than `FRAME_OVERHEAD` bytes, or a wrong CRC.
    oversized
        Frames dropped because they hold more than `limit` bytes, whatever else is wrong with them.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.frames = self.bad_frames = self.oversized = 0
        self._room = limit + -(-(limit + 1) // 254)  # COBS adds a code byte per 254 data bytes
        self._partial = bytearray()
        self._overrun = False

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, oldest first. Empty frames are ignored."""
        *complete, rest = data.split(DELIMITER_BYTE)
        messages = []
        for piece in complete:
            if self._partial or self._overrun:
                self._keep(piece)
                piece = bytes(self._partial)
                self._partial.clear()
            if self._overrun or len(piece) > self._room:
                self.oversized += 1
                self._overrun = False
            elif piece and (message := self._decode(piece)) is not None:
                self.frames += 1
                messages.append(message)
        self._keep(rest)
        return messages

    def reset(self) -> None:
        """Forget a frame that has only half arrived."""
        self._partial.clear()
        self._overrun = False

    def _keep(self, data: bytes) -> None:
        self._partial += data
        if len(self._partial) > self._room:
            self._overrun = True
            self._partial.clear()

    def _decode(self, encoded: bytes) -> bytes | None:
        try:
            payload = bytes(cobs.decode(encoded))
        except cobs.DecodeError:
            if _decoded_length(encoded) > self.limit:
                self.oversized += 1
            else:
                self.bad_frames += 1
            return None
        if len(payload) > self.limit:
            self.oversized += 1
            return None
        message, crc = payload[:-CRC_BYTES], payload[-CRC_BYTES:]
        right = zlib.crc32(message).to_bytes(CRC_BYTES, "little")
        if len(payload) < FRAME_OVERHEAD or crc != right:
            self.bad_frames += 1
            return None
        return message


def _decoded_length(encoded: bytes) -> int:
    """Bytes a streaming decoder has put out when the delimiter comes, broken frame or not."""
    length = at = 0
    previous = _LONG_CODE
    while at < len(encoded):
        code = encoded[at]
        if previous != _LONG_CODE:
            length += 1  # the zero between two groups
        length += min(code, len(encoded) - at) - 1
        at, previous = at + code, code
    return length
