"""Where every element lies: neurons on lanes, arrays in the board's words, words in bytes.

Lane p holds one neuron of each *group*; a group is the P neurons computed in one clock cycle.

* H ≥ P: a module takes ``groups_per_module`` = ⌈H/P⌉ groups; the last may be padded.
* H < P: ``modules_per_group`` = ⌊P/H⌋ modules share a group, each on H lanes of its own (a
  *block*); lanes and, in the last group, blocks that are left over are padding.

The weight store is one array of words of P elements, a column of couplings being the words
that one event reads::

    W[:, n]        groups words at              n·groups + γ
    J[m, :, j]     groups_per_module words at   groups·N + (row·H + j)·groups_per_module + g
    F[:, c]        groups words at              groups·(N + H) + c·groups + γ

with γ = row·groups_per_module + g the group and row = ⌊m / modules_per_group⌋.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from relaxon import protocol
from relaxon.config import FEEDBACK_BITS, Config
from relaxon.errors import DataError
from relaxon.protocol import Space

ARRAYS = ("recurrent", "input", "feedback", "readout", "state")
"""Arrays a board holds, by their names in checkpoints."""


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


class Layout:
    """The geometry of one configuration.

    Parameters
    ----------
    config
        Any `relaxon.Config`; registers and `field_bits` do not matter here.
    """

    def __init__(self, config: Config):
        self.config = config
        m, h, p = config.modules, config.neurons, config.lanes
        self.modules_per_group = max(1, p // h)
        self.groups_per_module = -(-h // p)
        self.rows = -(-m // self.modules_per_group)
        """Rows of modules: a row is the modules that share their groups."""
        self.groups = self.rows * self.groups_per_module
        self.slots = self.groups * p
        """Places for neurons, padding included: slot = group·P + lane."""

        self.element_bits = max(config.weight_bits, FEEDBACK_BITS)
        self.input_base = 0
        self.recurrent_base = self.groups * config.inputs
        self.feedback_base = self.groups * (config.inputs + config.neurons)
        self.weight_words = self.groups * (config.inputs + config.neurons + config.classes)

    # ---- neurons ----------------------------------------------------------------------------

    @cached_property
    def lane(self) -> npt.NDArray[np.int64]:
        """Lane of neuron (m, i); shape (M, H)."""
        m, i = np.indices((self.config.modules, self.config.neurons))
        return (m % self.modules_per_group) * self.config.neurons + i % self.config.lanes

    @cached_property
    def group(self) -> npt.NDArray[np.int64]:
        """Group of neuron (m, i); shape (M, H)."""
        m, i = np.indices((self.config.modules, self.config.neurons))
        return (m // self.modules_per_group) * self.groups_per_module + i // self.config.lanes

    @cached_property
    def slot(self) -> npt.NDArray[np.int64]:
        """Slot of neuron (m, i); shape (M, H)."""
        return self.group * self.config.lanes + self.lane

    def block_of_lane(self, lane: int) -> tuple[int, int]:
        """Which module of its group a lane belongs to, and its place among that module's lanes.

        Lanes left over count on in the last block.
        """
        if self.modules_per_group == 1:
            return 0, lane
        block = min(lane // self.config.neurons, self.modules_per_group - 1)
        return block, lane - block * self.config.neurons

    def padding(self) -> tuple[int, int]:
        """Lane masks (bit p = lane p holds a neuron) of an ordinary group and of a tail group.

        The tail is the last group of each module where H ≥ P, else the very last group.
        """
        c = self.config
        if self.modules_per_group == 1 and c.neurons >= c.lanes:
            return (1 << c.lanes) - 1, (1 << (c.neurons - (self.groups_per_module - 1) * c.lanes)) - 1
        tail_modules = c.modules - (self.rows - 1) * self.modules_per_group
        return (1 << self.modules_per_group * c.neurons) - 1, (1 << tail_modules * c.neurons) - 1

    @property
    def tail_period(self) -> int:
        """A group γ is a tail group where (γ + 1) divides by this."""
        whole = self.config.neurons >= self.config.lanes
        return self.groups_per_module if whole else self.groups

    # ---- words and bytes --------------------------------------------------------------------

    def words(self, space: Space) -> int:
        """Number of words in an address space."""
        return {
            Space.REGISTERS: len(protocol.REGISTERS),
            Space.COUNTERS: len(protocol.COUNTERS),
            Space.WEIGHTS: self.weight_words,
            Space.READOUT: self.slots,
            Space.STATE: self.groups,
        }[space]

    def word_bytes(self, space: Space) -> int:
        """Bytes of one word on the link."""
        return {
            Space.REGISTERS: protocol.REGISTER_BYTES,
            Space.COUNTERS: protocol.COUNTER_BYTES,
            Space.WEIGHTS: self.config.lanes * self.element_bytes,
            Space.READOUT: self.config.classes * 2,
            Space.STATE: -(-self.config.lanes // 8),
        }[space]

    @property
    def element_bytes(self) -> int:
        """Bytes of one element of J, W or F on the link."""
        return -(-self.element_bits // 8)

    @property
    def input_bytes(self) -> int:
        """Bytes of one packed input vector."""
        return -(-self.config.inputs // 8)

    @cached_property
    def reply_body(self) -> int:
        """Largest body of a reply; READ and WRITE carry at most this many bytes of words."""
        words = max(self.word_bytes(space) for space in Space)
        scores = protocol.OUTCOME.size + self.config.classes * protocol.SCORE_BYTES
        return max(words, scores, protocol.IDENTITY.size, 48)

    @cached_property
    def slot_bytes(self) -> int:
        """Room for one encoded reply in the board's reply cache (a power of two)."""
        payload = self.reply_body + protocol.FRAME_OVERHEAD
        return _power_of_two(payload + payload // 254 + protocol.ENCODING_BYTES)

    @cached_property
    def request_payload(self) -> int:
        """Largest payload of a request."""
        access = protocol.ACCESS.size + self.reply_body
        sample = protocol.TRAIN.size + self.input_bytes
        return protocol.FRAME_OVERHEAD + max(access, sample)

    @cached_property
    def rx_bytes(self) -> int:
        """The board's receive buffer, which is the host's byte credit (a power of two)."""
        return _power_of_two(max(512, 4 * (self.request_payload + protocol.ENCODING_BYTES)))

    def words_per_frame(self, space: Space) -> int:
        """Words a READ or WRITE may move at once."""
        return min(255, self.reply_body // self.word_bytes(space))

    # ---- arrays to words and back -----------------------------------------------------------

    def place(self, name: str) -> tuple[Space, int, int]:
        """Address space, first word and number of words of an array."""
        c = self.config
        return {
            "input": (Space.WEIGHTS, self.input_base, self.groups * c.inputs),
            "recurrent": (Space.WEIGHTS, self.recurrent_base, self.groups * c.neurons),
            "feedback": (Space.WEIGHTS, self.feedback_base, self.groups * c.classes),
            "readout": (Space.READOUT, 0, self.slots),
            "state": (Space.STATE, 0, self.groups),
        }[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array: M, H, N and C as in `relaxon.Couplings`."""
        m, h, n, c = (getattr(self.config, k) for k in ("modules", "neurons", "inputs", "classes"))
        return {
            "recurrent": (m, h, h), "input": (m, h, n), "feedback": (m, h, c),
            "readout": (c, m, h), "state": (m, h),
        }[name]

    def _index(self, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Word (from the array's first) and element within the word, for every array element."""
        c, group, lane = self.config, self.group, self.lane
        if name == "state":
            return group, lane
        if name == "readout":
            word = np.broadcast_to(self.slot, self.shape(name))
            return word, np.broadcast_to(np.arange(c.classes)[:, None, None], word.shape)
        column = np.arange(self.shape(name)[2])
        if name == "recurrent":
            row, g = np.divmod(group, self.groups_per_module)
            word = (row[..., None] * c.neurons + column) * self.groups_per_module + g[..., None]
        else:
            word = column * self.groups + group[..., None]
        return word, np.broadcast_to(lane[..., None], word.shape)

    def pack(self, name: str, array: npt.ArrayLike) -> bytes:
        """Bytes of all words of an array, padding zero.

        Raises `DataError` for a wrong shape. `state` elements are −1 or +1 (packed to bits).
        """
        values = np.asarray(array)
        if values.shape != self.shape(name):
            raise DataError(f"{name} must have shape {self.shape(name)}, not {values.shape}")
        space, _, words = self.place(name)
        index = self._index(name)
        if space is Space.STATE:
            bits = np.zeros((words, self.word_bytes(space) * 8), np.uint8)
            bits[index] = values > 0
            return np.packbits(bits, axis=1, bitorder="little").tobytes()
        kind = "<i2" if space is Space.READOUT or self.element_bytes == 2 else "<i1"
        width = self.config.classes if space is Space.READOUT else self.config.lanes
        store = np.zeros((words, width), kind)
        store[index] = values
        return store.tobytes()

    def unpack(self, name: str, data: bytes) -> npt.NDArray[np.int16]:
        """The array (int16; `state` int8 of ±1) from the bytes of all its words."""
        space, _, words = self.place(name)
        if len(data) != words * self.word_bytes(space):
            raise DataError(
                f"{name} takes {words * self.word_bytes(space)} bytes, not {len(data)}"
            )
        index = self._index(name)
        if space is Space.STATE:
            raw = np.frombuffer(data, np.uint8).reshape(words, -1)
            bits = np.unpackbits(raw, axis=1, bitorder="little").astype(np.int8)
            return (2 * bits[index] - 1).astype(np.int8)
        kind = "<i2" if space is Space.READOUT or self.element_bytes == 2 else "<i1"
        return np.frombuffer(data, kind).reshape(words, -1)[index].astype(np.int16)

    def pack_inputs(self, x: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
        """Packed inputs (n, input_bytes) of ±1 vectors (n, N): bit 1 where x = +1."""
        return np.packbits(x > 0, axis=1, bitorder="little")
