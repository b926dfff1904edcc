"""Frames survive the wire unchanged, and whatever else arrives is dropped and counted."""

from __future__ import annotations

import zlib

from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxon.framing import Deframer, encode, encoded_bytes
from relaxon.protocol import CRC_BYTES, FRAME_OVERHEAD

MESSAGES = st.binary(min_size=2, max_size=600)
LIMIT = 700


def feed_in_pieces(deframer: Deframer, data: bytes, sizes: list[int]) -> list[bytes]:
    """Feed `data` cut into pieces of the given sizes, over and over."""
    messages, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        messages += deframer.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return messages


@given(st.lists(MESSAGES, max_size=8), st.lists(st.integers(1, 50), max_size=5))
def test_messages_come_back_however_the_stream_is_cut(messages: list[bytes], sizes: list[int]):
    deframer = Deframer(LIMIT)
    stream = b"".join(encode(message) for message in messages)
    assert feed_in_pieces(deframer, stream, sizes) == messages
    assert (deframer.frames, deframer.bad_frames, deframer.oversized) == (len(messages), 0, 0)


@given(MESSAGES)
def test_a_frame_holds_no_delimiter_but_its_last_byte(message: bytes):
    wire = encode(message)
    assert wire.index(0) == len(wire) - 1
    payload = cobs.decode(wire[:-1])
    assert payload == message + zlib.crc32(message).to_bytes(4, "little")


@given(st.binary(max_size=2000), st.lists(st.integers(1, 300), max_size=5), MESSAGES)
def test_after_garbage_and_a_delimiter_the_next_frame_arrives(
    garbage: bytes, sizes: list[int], message: bytes
):
    deframer = Deframer(LIMIT)
    feed_in_pieces(deframer, garbage + b"\0", sizes)
    assert deframer.feed(encode(message)) == [message]


@given(MESSAGES, st.data())
def test_any_changed_byte_is_noticed(message: bytes, data: st.DataObject):
    wire = bytearray(encode(message))
    at = data.draw(st.integers(0, len(wire) - 2))
    wire[at] ^= data.draw(st.integers(1, 255))
    deframer = Deframer(LIMIT)
    assert deframer.feed(bytes(wire)) == []
    assert deframer.bad_frames + deframer.oversized >= 1


def test_empty_frames_are_ignored():
    deframer = Deframer(LIMIT)
    assert deframer.feed(b"\0\0\0" + encode(b"ab") + b"\0") == [b"ab"]
    assert (deframer.bad_frames, deframer.oversized) == (0, 0)


def test_what_is_broken_is_counted_by_kind():
    deframer = Deframer(LIMIT)
    wire = encode(b"hello")
    broken = {
        "a code past the delimiter": b"\x09abc\0",
        "too short": bytes(cobs.encode(bytes(FRAME_OVERHEAD - 1))) + b"\0",
        "wrong CRC": wire[:2] + bytes([wire[2] ^ 1]) + wire[3:],
    }
    for number, data in enumerate(broken.values(), start=1):
        assert deframer.feed(data) == []
        assert (deframer.bad_frames, deframer.oversized) == (number, 0)


def test_the_shortest_and_the_longest_frame_pass_and_a_longer_one_is_oversized():
    deframer = Deframer(LIMIT)
    shortest, longest = bytes(FRAME_OVERHEAD - 4), bytes(range(1, 255)) * 2 + bytes(LIMIT - 4 - 508)
    assert deframer.feed(encode(shortest) + encode(longest)) == [shortest, longest]
    assert deframer.feed(encode(longest + b"x")) == []
    assert (deframer.bad_frames, deframer.oversized) == (0, 1)


@settings(max_examples=300)
@given(
    st.binary(min_size=1, max_size=600).map(lambda b: b.replace(b"\0", b"\1")),
    st.integers(6, 300),
)
def test_oversized_means_more_bytes_than_the_limit_even_if_broken(encoded: bytes, limit: int):
    """Against a decoder that works byte by byte, as the gateware's does."""
    length, left, zero = 0, 0, False
    for byte in encoded:
        if left == 0:
            length += zero
            left, zero = byte - 1, byte != 0xFF
        else:
            length, left = length + 1, left - 1
    deframer = Deframer(limit)
    deframer.feed(encoded + b"\0")
    assert deframer.oversized == (length > limit)
    assert deframer.frames + deframer.bad_frames + deframer.oversized == 1


@given(st.lists(st.binary(max_size=3000), max_size=10))
def test_memory_stays_bounded(pieces: list[bytes]):
    deframer = Deframer(LIMIT)
    for piece in pieces:
        deframer.feed(piece.replace(b"\0", b"\1"))
        assert len(deframer._partial) <= LIMIT + LIMIT // 254 + 1


@given(st.binary(min_size=2, max_size=2000))
def test_no_frame_is_longer_than_announced(message: bytes):
    size = encoded_bytes(len(message) + CRC_BYTES)
    assert size - 1 - len(message) // 254 <= len(encode(message)) <= size
