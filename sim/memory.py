"""The words a host reads and writes, over the reference model.

Model and words hold the same elements; the words also hold the padding (`relaxon.layout`). Either
side is brought up to date when it is needed, not at every access.
"""

from __future__ import annotations

import copy

import numpy as np

from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.layout import Layout
from relaxon.protocol import BUILD_BYTES, COUNTERS, REGISTERS, SELF_TEST, Space
from relaxon.sim.model import Model

_HELD = {
    Space.WEIGHTS: ("input", "recurrent", "feedback"),
    Space.READOUT: ("readout",),
    Space.STATE: ("state",),
}
"""Arrays of each address space that holds arrays."""


class Memory:
    """Every address space of a board after power-up: couplings 0, states −1, counters 0, and the
    registers of `config`.

    Parameters
    ----------
    config
        The machine.
    about
        The text of BUILD.

    Attributes
    ----------
    self_test
        The word of SELF_TEST.
    counters
        Those counters of `relaxon.protocol.COUNTERS` that the model does not have.
    """

    def __init__(self, config: Config, about: bytes = b""):
        self._about = about.ljust(BUILD_BYTES, b"\0")
        self.self_test = bytes(SELF_TEST.size)
        self.layout = Layout(config)
        shape = self.layout.shape
        zero = {name: np.zeros(shape(name), np.int16) for name in Couplings.NAMES}
        self._model = Model(config, Couplings(**zero))
        self.counters = {c.name: 0 for c in COUNTERS if c.name not in self._model.counters}
        self._words = {
            space: np.zeros((self.layout.words(space), self.layout.word_bytes(space)), np.uint8)
            for space in _HELD
        }
        held = [name for names in _HELD.values() for name in names]
        self._element = {name: self._element_bytes(name) for name in held}
        self._model_is_new = self._words_are_new = False

    @property
    def model(self) -> Model:
        """The model, up to date; whoever trains it or infers with it then calls `moved`."""
        if self._words_are_new:
            for held in _HELD.values():
                for name in held:
                    array = self.layout.unpack(name, self._part(name).tobytes())
                    dtype = np.int8 if name == "state" else np.int64
                    setattr(self._model, name, array.astype(dtype))
            self._words_are_new = False
        return self._model

    def moved(self) -> None:
        """Say that the model's couplings or state changed."""
        self._model_is_new = True

    def count(self, counter: str) -> None:
        """Add 1, wrapping at the counter's width."""
        bits = next(c.bits for c in COUNTERS if c.name == counter)
        self.counters[counter] = (self.counters[counter] + 1) % (1 << bits)

    def read(self, space: Space, address: int, count: int) -> bytes:
        """Bytes of `count` words; the caller has checked that they exist."""
        if space is Space.BUILD:
            return self._about[address : address + count]
        if space is Space.SELF_TEST:
            return self.self_test
        if space is Space.REGISTERS:
            values = list(self._model.registers.as_dict().values())
        elif space is Space.COUNTERS:
            counters = {**self._model.counters, **self.counters}
            values = [counters[c.name] for c in COUNTERS]
        else:
            self._refresh_words()
            return self._words[space][address : address + count].tobytes()
        size = self.layout.word_bytes(space)
        words = values[address : address + count]
        return b"".join(int(word).to_bytes(size, "little", signed=word < 0) for word in words)

    def write(self, space: Space, address: int, data: bytes) -> None:
        """Store the words of `data`; the caller has checked that they exist."""
        words = np.frombuffer(data, np.uint8).reshape(-1, self.layout.word_bytes(space))
        if space is Space.REGISTERS:
            self._write_registers(address, words)
        elif space is Space.COUNTERS:
            for counter, word in zip(COUNTERS[address:], words):
                value = int.from_bytes(word.tobytes(), "little") % (1 << counter.bits)
                own = counter.name in self.counters
                (self.counters if own else self._model.counters)[counter.name] = value
        elif space in _HELD:
            self._refresh_words()
            self._words[space][address : address + len(words)] = self._truncate(space, words)
            self._words_are_new = True
        if space is not Space.COUNTERS:
            self._model.rebuild = True

    # ---- words and model --------------------------------------------------------------------

    def _part(self, name: str) -> np.ndarray:
        """The words that hold an array (a view)."""
        space, first, count = self.layout.place(name)
        return self._words[space][first : first + count]

    def _element_bytes(self, name: str) -> np.ndarray:
        """The bits of the array's words that belong to its elements, all others are padding."""
        every = np.full(self.layout.shape(name), 1 if name == "state" else -1, np.int8)
        packed = np.frombuffer(self.layout.pack(name, every), np.uint8)
        return packed.reshape(self._part(name).shape)

    def _refresh_words(self) -> None:
        """Bring the words up to date; the padding stays."""
        if not self._model_is_new:
            return
        for name, element in self._element.items():
            part = self._part(name)
            array = getattr(self._model, name)
            packed = np.frombuffer(self.layout.pack(name, array), np.uint8).reshape(part.shape)
            part[:] = (part & ~element) | packed
        self._model_is_new = False

    def _truncate(self, space: Space, words: np.ndarray) -> np.ndarray:
        """Words as the board keeps them: elements cut to their width and sign-extended."""
        if space is Space.STATE:
            return words
        config = self.layout.config
        readout = space is Space.READOUT
        bits = config.readout_bits if readout else self.layout.element_bits
        kind = "<i2" if readout or self.layout.element_bytes == 2 else "<i1"
        elements = np.ascontiguousarray(words).view(kind).astype(np.int32)
        half = 1 << (bits - 1)
        return ((elements + half) % (2 * half) - half).astype(kind).view(np.uint8)

    def _write_registers(self, address: int, words: np.ndarray) -> None:
        values = self._model.registers.as_dict()
        for register, word in zip(REGISTERS[address:], words):
            value = int.from_bytes(word.tobytes(), "little") % (1 << register.bits)
            values[register.name] = value - (1 << register.bits) * (value > register.high)
        # Only the host checks that fields fit these registers, so `Config.replace` is not for here.
        config = copy.copy(self._model.config)
        object.__setattr__(config, "registers", Registers(**values))
        self._model.config = config
