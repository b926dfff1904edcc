"""Where every element lies: neurons on lanes, arrays in the board's words, words in bytes.

Lanes are arranged in *strips*, each with weight memory of its own; a *group* is the neurons computed
in one clock cycle, one on each lane.

* H ≥ P: one strip of P lanes. A module takes ``groups_per_module`` = ⌈H/P⌉ groups; the last may be
  padded.
* H < P: ⌊P/H⌋ strips of H lanes. A module takes one strip of one group; in the last group, strips
  that are left over are padding. Lanes left over (P mod H) are not built.

The weight store is one array of words, a word being what all lanes hold of one column::

    W[:, n]        word at                  γ·N + n
    J[m, :, j]     word at   groups·N     + γ·H + j
    F[:, c]        word at   groups·(N+H) + c·groups + γ

with γ the group. The readout store is strip after strip, a word holding the C elements of a neuron;
in a column store the elements lie behind the weights (`Layout.readout_base`).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from relaxon import protocol
from relaxon.config import FEEDBACK_BITS, Config
from relaxon.errors import DataError
from relaxon.protocol import Space

ROW_BINS = 64
"""Most bins of rows of modules …"""
SERIAL_ROW_BINS = 8
"""… and with a column store, where a bin has a power of two of rows."""
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
        self.strips = max(1, p // h)
        self.strip_lanes = min(h, p)
        """Lanes of a strip; a strip's group is that many neurons of one module."""
        self.lanes = self.strips * self.strip_lanes
        """Lanes that are built."""
        self.groups_per_module = -(-h // p)
        self.rows = -(-m // self.strips)
        """Rows of modules: a row is the modules that share their groups."""
        self.groups = self.rows * self.groups_per_module
        skewed = config.store == "skewed"
        rows_per_bin = -(-self.rows // ROW_BINS)
        if not skewed:
            rows_per_bin = _power_of_two(-(-self.rows // SERIAL_ROW_BINS))
        self.row_bins = -(-self.rows // rows_per_bin)
        """Rows are evaluated again bin by bin, where a neuron of the bin has changed."""
        self.groups_per_bin = rows_per_bin * self.groups_per_module
        self.slots = self.groups * self.lanes
        """Places for neurons, padding included."""

        self.element_bits = max(config.weight_bits, config.recurrent_bits, FEEDBACK_BITS)
        self.input_base = 0
        self.recurrent_base = self.groups * config.inputs
        self.feedback_base = self.groups * (config.inputs + config.neurons)
        self.weight_words = self.groups * (config.inputs + config.neurons + config.classes)

        self.serial = not skewed
        """Whether the readout is in the weight memory, and works class by class."""
        self.lone = self.serial and self.strips == 1
        """Whether there is a single strip that shares what it can."""
        self.columns = 2 if skewed else 1
        """Columns of couplings that the store reads in one cycle."""
        self.banks = max(8, _power_of_two(self.strip_lanes)) if skewed else self.strip_lanes
        """Elements of a strip's store that learn in one cycle."""
        self.input_word = max(8, _power_of_two(self.strip_lanes))
        """Inputs compared with the sample before in one cycle."""
        self.strip_bytes = self.strip_lanes * self.element_bytes
        """Bytes of a strip's word of weights."""
        # The column store keeps the readout behind the weights: a class after another, each from a
        # multiple of `readout_stride` words on, two bytes an element.
        pack = self.strip_lanes & -self.strip_lanes
        while 2 * pack > self.strip_bytes:
            pack //= 2
        self.readout_pack = pack
        """Slots whose elements are in one word; a power of two."""
        self.readout_stride = _power_of_two(self.groups * self.strip_lanes // pack)
        self.readout_base = -(-self.weight_words // self.readout_stride) * self.readout_stride
        self.store_words = self.readout_base + config.classes * self.readout_stride
        """Words of a column store."""
        self.readout_width = self._readout_width()
        """Slots of a strip whose readout learns at once."""

    def _readout_width(self) -> int:
        """Column store: a quarter of a strip's lanes, as far as a word holds elements, but 1 where they
        are few, for there logic cells are, too; skewed: wide enough that the readout learns in the
        time that 1/20 of the neurons take, with at most 4 slots over all strips. An element costs
        about 60 LUT."""
        width = self.strip_lanes
        if self.serial:
            return min(self.readout_pack, _power_of_two(width // 4)) if width >= 16 else 1
        wanted = 20 * width / (self.config.inputs + self.config.neurons)
        widths = (w for w in (4, 2) if width % w == 0 and w * self.strips <= 4)
        return next((w for w in widths if wanted >= 0.7 * w), 1)

    # ---- neurons ----------------------------------------------------------------------------

    @cached_property
    def strip(self) -> npt.NDArray[np.int64]:
        """Strip of neuron (m, i); shape (M, H)."""
        m, _ = np.indices((self.config.modules, self.config.neurons))
        return m % self.strips

    @cached_property
    def lane(self) -> npt.NDArray[np.int64]:
        """Lane of neuron (m, i); shape (M, H)."""
        _, i = np.indices((self.config.modules, self.config.neurons))
        return self.strip * self.strip_lanes + i % self.strip_lanes

    @cached_property
    def group(self) -> npt.NDArray[np.int64]:
        """Group of neuron (m, i); shape (M, H)."""
        m, i = np.indices((self.config.modules, self.config.neurons))
        return (m // self.strips) * self.groups_per_module + i // self.strip_lanes

    @cached_property
    def slot(self) -> npt.NDArray[np.int64]:
        """Readout word of neuron (m, i); shape (M, H)."""
        _, i = np.indices((self.config.modules, self.config.neurons))
        line = self.strip * self.groups + self.group
        return line * self.strip_lanes + i % self.strip_lanes

    def padding(self) -> tuple[int, int]:
        """Lane masks (bit p = lane p holds a neuron) of an ordinary group and of a tail group.

        The tail is the last group of each module where H ≥ P, else the very last group.
        """
        c = self.config
        if c.neurons >= c.lanes:
            tail = c.neurons - (self.groups_per_module - 1) * c.lanes
        else:
            tail = (c.modules - (self.rows - 1) * self.strips) * c.neurons
        return (1 << self.lanes) - 1, (1 << tail) - 1

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
            Space.BUILD: protocol.BUILD_BYTES,
            Space.SELF_TEST: 1,
        }[space]

    def word_bytes(self, space: Space) -> int:
        """Bytes of one word on the link."""
        return {
            Space.REGISTERS: protocol.REGISTER_BYTES,
            Space.COUNTERS: protocol.COUNTER_BYTES,
            Space.WEIGHTS: self.lanes * self.element_bytes,
            Space.READOUT: self.config.classes * 2,
            Space.STATE: -(-self.lanes // 8),
            Space.BUILD: 1,
            Space.SELF_TEST: protocol.SELF_TEST.size,
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

    @property
    def sample_payload(self) -> int:
        """Payload of a training sample's request, the largest of a sample."""
        return protocol.FRAME_OVERHEAD + protocol.TRAIN.size + self.input_bytes

    @cached_property
    def request_payload(self) -> int:
        """Largest payload of a request."""
        access = protocol.FRAME_OVERHEAD + protocol.ACCESS.size + self.reply_body
        return max(access, self.sample_payload)

    @cached_property
    def rx_bytes(self) -> int:
        """The board's receive buffer, which is the host's byte credit (a power of two).

        It has room for a whole window of samples.
        """
        samples = protocol.WINDOW * self.sample_payload
        requests = 4 * (self.request_payload + protocol.ENCODING_BYTES)
        return _power_of_two(max(512, samples, requests))

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
        group, lane = self.group, self.lane
        if name == "state":
            return group, lane
        if name == "readout":
            word = np.broadcast_to(self.slot, self.shape(name))
            return word, np.broadcast_to(np.arange(self.config.classes)[:, None, None], word.shape)
        columns = self.shape(name)[2]
        column = np.arange(columns)
        if name == "feedback":
            word = group[..., None] + column * self.groups
        else:
            word = group[..., None] * columns + column
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
        width = self.config.classes if space is Space.READOUT else self.lanes
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
