"""Everything that crosses the link, described once.

Gateware, host, the model's twin, tests and the table in ``docs/protocol.md`` are all made from
this module; it depends on nothing but the standard library.

A frame is COBS(payload) followed by a zero byte; every number is little-endian::

    host to board   sequence u8 | opcode u8 | body … | CRC-32 u32
    board to host   sequence u8 | status u8 | body … | CRC-32 u32

CRC-32 is CRC-32/ISO-HDLC (zlib's), taken over everything before it.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

VERSION = 5
"""Protocol version; a host refuses a board that speaks another one."""

SLOTS = 16
"""Replies the board keeps. A frame whose sequence number was executed among the last
``SLOTS - 1`` is answered from here and never executed again."""

WINDOW = SLOTS - 1
"""Frames a host may have in flight (one slot stays free for an out-of-sequence answer)."""

DELIMITER = 0x00
HEADER_BYTES = 2
CRC_BYTES = 4
FRAME_OVERHEAD = HEADER_BYTES + CRC_BYTES
"""Payload bytes beside the body."""
ENCODING_BYTES = 2
"""COBS code byte and delimiter of a payload of up to 254 bytes."""


class Opcode(enum.IntEnum):
    """What a host asks. HELLO and OPEN are answered whatever their sequence numbers; all others in
    order, once the board was opened."""

    HELLO = 0x01
    READ = 0x02
    WRITE = 0x03
    TRAIN = 0x04
    INFER = 0x05
    SCORE = 0x06
    SELF_TEST = 0x07
    OPEN = 0x08


GREETINGS = (Opcode.HELLO, Opcode.OPEN)


class Status(enum.IntEnum):
    """How a board answers."""

    OK = 0x00
    BAD_OPCODE = 0x01
    BAD_LENGTH = 0x02
    BAD_ADDRESS = 0x03
    BAD_LABEL = 0x04
    OUT_OF_SEQUENCE = 0x05
    CLOSED = 0x06


STATUS_HELP = {
    Status.OK: "done",
    Status.BAD_OPCODE: "the opcode is unknown",
    Status.BAD_LENGTH: "the body has the wrong length for the opcode, the space or the inputs",
    Status.BAD_ADDRESS: "a word outside the space, or an unknown space",
    Status.BAD_LABEL: "the label is not below `classes`",
    Status.OUT_OF_SEQUENCE: "a frame went missing; the body says which sequence number is expected",
    Status.CLOSED: "the board was powered up or reset and not opened since",
}


class Space(enum.IntEnum):
    """Address spaces of READ and WRITE; `relaxon.layout` says what lies at which word."""

    REGISTERS = 0
    COUNTERS = 1
    WEIGHTS = 2
    READOUT = 3
    STATE = 4
    BUILD = 5
    SELF_TEST = 6


class Feature(enum.IntFlag):
    """What a board may have been built with or without: the bits of `features` in IDENTITY."""

    SELF_TEST = 1


class Verdict(enum.IntEnum):
    """How the last self-test ended. None is reported while one runs: it is waited for."""

    NEVER = 0
    PASSED = 1
    FAILED = 2


class Fields:
    """A packed sequence of named little-endian integers, for host (`pack`, `unpack`) and gateware.

    Parameters are ``name="u8" | "u16" | "u32" | "u64" | "i32"``.
    """

    _CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i"}

    def __init__(self, **types: str):
        self.types = types
        self._struct = struct.Struct("<" + "".join(self._CODES[t] for t in types.values()))
        self.size = self._struct.size

    def pack(self, **values: int) -> bytes:
        """Bytes of the named values; every name must be given."""
        return self._struct.pack(*(values[name] for name in self.types))

    def unpack(self, body: bytes) -> dict[str, int]:
        """The named values at the start of `body`."""
        return dict(zip(self.types, self._struct.unpack_from(body), strict=True))

    def offsets(self) -> dict[str, tuple[int, int]]:
        """Name → (first byte, bytes)."""
        result, at = {}, 0
        for name, kind in self.types.items():
            size = int(kind[1:]) // 8
            result[name] = (at, size)
            at += size
        return result


HELLO = Fields(nonce="u32")
"""The body of HELLO, and of OPEN."""
ACCESS = Fields(space="u8", address="u32", count="u8")
"""READ's body; WRITE's body is this followed by `count` words."""
TRAIN = Fields(label="u8")
"""TRAIN's body is this followed by the input bits; INFER's and SCORE's are the bits alone.
Bit n%8 of byte n//8 is 1 where x[n] = +1; unused bits are ignored."""

IDENTITY = Fields(
    nonce="u32", version="u8", expected="u8", opened="u8", build="u32", modules="u16",
    neurons="u16", inputs="u16", classes="u16", weight_bits="u8", recurrent_bits="u8",
    readout_bits="u8", lanes="u16",
    store="u8", field_bits="u8", rx_bytes="u16", slot_bytes="u16", clock_hz="u32",
    features="u8",
)
"""HELLO's answer, and OPEN's: the caller's nonce, the protocol version, the sequence number the board
expects next, whether it was opened since power-up, the build, the configuration, the receive buffer
(the byte credit), the largest encoded reply, the clock (0 in simulation) and what else it has
(`Feature`). `store` is a place in `STORES`."""
STORES = ("column", "skewed")
"""Kinds of weight store. `column`: words of one column, learned by columns; one access per cycle; the
readout in the same memory, compact lanes without chain coupling.
`skewed`: any column or row of couplings per cycle, two columns at a time; true dual-port memory."""
OUTCOME = Fields(prediction="u8", learned="u8", sweeps="u16", unstable="u16")
"""TRAIN's and INFER's answer; SCORE's is this followed by `classes` scores of 4 bytes (i32)."""
EXPECTED = Fields(expected="u8")
"""The body of an OUT_OF_SEQUENCE answer, and of CLOSED."""
SELF_TEST = Fields(result="u8", signature="u32")
"""The word of Space.SELF_TEST: a `Verdict`, and the signature that was measured."""
BUILD_BYTES = 256
"""Bytes of Space.BUILD: UTF-8 text, a line ``key=value`` for each thing known of the build
(`relaxon.build_info`), and zeros."""
SCORE_BYTES = 4
REGISTER_BYTES = 4
COUNTER_BYTES = 8


@dataclass(frozen=True)
class Register:
    """A run-time parameter of the machine; its address is its place in `REGISTERS`."""

    name: str
    bits: int
    signed: bool
    doc: str

    @property
    def low(self) -> int:
        """Smallest value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest value."""
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True)
class Counter:
    """A figure the machine counts; its address is its place in `COUNTERS`. It wraps at `bits`."""

    name: str
    bits: int
    doc: str


REGISTERS = (
    Register("input_shift", 3, False, "b: the input field is (W x) << b"),
    Register("feedback_shift", 3, False, "f: the label's field is F[:, y] << f"),
    Register("self_coupling", 24, True, "J_D, in field LSB"),
    Register("chain_coupling", 24, True, "λ between corresponding neurons of neighbouring modules"),
    Register("margin", 24, True, "κ: a neuron with s·h ≤ κ learns"),
    Register("readout_margin_true", 24, True, "κ₊: the true class learns where r ≤ κ₊"),
    Register("readout_margin_false", 24, True, "κ₋: another class learns where −r ≤ κ₋"),
    Register("readout_step_true", 8, False, "step of the true class's readout"),
    Register("readout_step_false", 8, False, "step of the other classes' readout"),
    Register("sweeps_clamped", 8, False, "largest number of sweeps with the label clamped"),
    Register("sweeps_released", 8, False, "largest number of sweeps after the label's release"),
    Register("sweeps_infer", 8, False, "largest number of sweeps of an inference"),
    Register("gate_enable", 1, False, "1: a sample already right by more than `gate` is not learned"),
    Register("gate", 24, True, "r[y] − max r[c≠y] above which a sample ends"),
    Register("learn_recurrent", 1, False, "1: J learns"),
    Register("learn_input", 1, False, "1: W learns"),
    Register("learn_readout", 1, False, "1: O learns"),
    Register(
        "keep_state", 1, False,
        "1: a sample starts from the state as it is, not from rest: its free sweep turns no neuron",
    ),
    Register(
        "sequential", 1, False,
        "1: the groups of a sweep (what the lanes compute in one cycle) are updated in turn, each from "
        "the newest state; so what is computed depends on the lanes",
    ),
    Register("recurrent_shift", 3, False, "r: the recurrent field is (J s) << r"),
)

COUNTERS = (
    Counter("samples", 32, "samples relaxed, trained or inferred"),
    Counter("learned", 32, "training samples that reached the learning step"),
    Counter("sweeps", 40, "sweeps run, the free one of each sample included"),
    Counter("flips", 40, "neurons that changed sign, the free sweeps not counted"),
    Counter("moves", 40, "neurons that a free sweep left with another sign than before"),
    Counter("input_changes", 40, "inputs that differed from the sample before"),
    Counter("updates", 40, "unstable neurons at learning steps"),
    Counter("saturations", 40, "elements of J and W whose update was cut at the range's end"),
    Counter("readout_saturations", 40, "elements of O whose update was cut"),
    Counter(
        "field_envelope", 32,
        "bitwise or of h (of ~h where h < 0) over the fields of all sweeps; 0 with a column store",
    ),
    Counter("weight_accesses", 48, "cycles in which the weight memory was used, summed over strips"),
    Counter("cycles", 48, "clock cycles spent on samples: the sum of the phases below"),
    Counter("cycles_input", 48, "… adding the columns of inputs that changed"),
    Counter("cycles_sweep", 48, "… evaluating fields"),
    Counter("cycles_event", 48, "… adding the columns of neurons that changed"),
    Counter("cycles_decide", 48, "… comparing the scores, nothing else to do"),
    Counter("cycles_learn", 48, "… learning"),
    Counter("frames", 32, "frames received whole (right CRC)"),
    Counter("bad_frames", 32, "frames dropped: broken encoding, too short, wrong CRC"),
    Counter("overflows", 32, "frames dropped: no room in the receive buffer"),
    Counter("duplicates", 32, "frames answered from the reply cache"),
    Counter("out_of_sequence", 32, "frames refused because an earlier one is missing"),
    Counter("refused", 32, "commands answered with an error"),
    Counter("cycles_link", 48, "cycles of fetching or answering samples with nothing to compute"),
)

LINK_COUNTERS = (
    "frames", "bad_frames", "overflows", "duplicates", "out_of_sequence", "refused", "cycles_link",
)  # fmt: skip
"""Counters of the machine's end of the link."""
CHIP_COUNTERS = tuple(c.name for c in COUNTERS if c.name not in LINK_COUNTERS)
"""Counters of the machine itself, which the reference model has too."""

PHASES = ("input", "sweep", "event", "decide", "learn")
"""Phases of a sample, each with a counter ``cycles_<phase>``."""
