"""A board at the end of a link: the interface of `relaxon.board.Board` over a `Session`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from relaxon import build_info, protocol
from relaxon.board import (
    Board,
    Outcomes,
    Progress,
    SelfTested,
)
from relaxon.build_id import build_id
from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.errors import ConfigError, DataError, IdentityError, LinkError
from relaxon.layout import ARRAYS, Layout
from relaxon.protocol import (
    ACCESS,
    COUNTERS,
    OUTCOME,
    REGISTERS,
    Feature,
    Opcode,
    Space,
    Verdict,
)
from relaxon.samples import codes, signs
from relaxon.selftest import Script
from relaxon.session import Identity, Session
from relaxon.transport import Transport

CHUNK = 1024
"""Samples whose commands are prepared at once."""
REPORT_EVERY = 0.1
"""Seconds between two calls of `progress`."""
SIMULATED_HZ = 50_000
"""A simulated board is faster than that."""

_TYPES = {"u8": "u1", "u16": "<u2", "u32": "<u4", "i32": "<i4"}
_OUTCOME = [(name, _TYPES[kind]) for name, kind in OUTCOME.types.items()]


_NEUTRAL = Registers(
    input_shift=0, feedback_shift=0, self_coupling=0, margin=0,
    readout_margin_true=0, readout_margin_false=0,
)
"""Registers that every board can hold, until its own are read."""


class BuildWarning(UserWarning):
    """The board speaks the protocol and has the sizes, but was built from other sources."""


class LinkBoard(Board):
    """A real, simulated or served board.

    Parameters
    ----------
    transport
        The link to it; closed by `close`, and here if opening fails.
    config
        The machine wanted; its registers are written. None takes the board's own.
    url
        What to call it.
    timeout
        Seconds without any progress after which every call gives up with `LinkError`.

    Attributes
    ----------
    identity
        What the board said it is. Another `build` than the gateware installed here only causes a
        `BuildWarning` (0 is a board that does not know); `clock_hz` is not compared.
    session
        The transaction layer, with its `statistics`.

    Raises
    ------
    IdentityError
        The board is not the machine wanted; every difference is listed.
    LinkError
        It does not answer; of a later call, too, as `ResetError` where the board was reset meanwhile.
    """

    def __init__(
        self, transport: Transport, config: Config | None = None, *,
        url: str = "", timeout: float = 5.0,
    ):
        self.url = url or type(transport).__name__
        try:
            self.session = Session(transport, timeout=timeout)
            self.identity, self.fresh = self.session.identity, self.session.fresh
            self.config = _agreed(self.identity, config)
            self._layout = Layout(self.config)
            self._compare_build()  # before anything is written: a warning may be made an error
            if config is None:
                self.config = self._own_config()
            else:
                self.registers = config.registers
        except BaseException:
            transport.close()
            raise

    def _compare_build(self) -> None:
        """Warn where the board says it was built from other gateware than is installed here."""
        theirs, ours = self.identity.build, build_id(self.config)
        if theirs in (0, ours):
            return
        try:
            told = self.build_info()
            here = build_info.describe(told.get("board", ""))
            differ = build_info.differences(told, here) or ["nothing it tells of its build"]
        except DataError as error:
            differ = [str(error)]
        warnings.warn(
            f"{self.url} runs gateware of another build ({theirs:#010x}) than the one installed "
            f"here ({ours:#010x}); what differs: {'; '.join(differ)}; build and flash it again if "
            "results differ",
            BuildWarning,
            stacklevel=3,
        )

    # ---- samples ----------------------------------------------------------------------------

    def train(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, progress: Progress | None = None
    ) -> Outcomes:
        """Train on the samples in order. `DataError` for inputs or labels that do not fit.

        An interrupt leaves the board readable; `counters` tells how many samples it has trained.
        """
        x = signs(self.config, x)
        y = codes(self.config, y, len(x))
        return self._outcomes(self._stream(Opcode.TRAIN, x, y, _OUTCOME, progress))

    def infer(self, x: npt.ArrayLike, *, progress: Progress | None = None) -> Outcomes:
        """Relax and read out each sample. `DataError` for inputs that do not fit."""
        x = signs(self.config, x)
        return self._outcomes(self._stream(Opcode.INFER, x, None, _OUTCOME, progress))

    def scores(
        self, x: npt.ArrayLike, *, progress: Progress | None = None
    ) -> npt.NDArray[np.int32]:
        """Class scores (n, C) of an inference of each sample."""
        x = signs(self.config, x)
        kind = [*_OUTCOME, ("scores", "<i4", (self.config.classes,))]
        replies = self._stream(Opcode.SCORE, x, None, kind, progress)
        scores: npt.NDArray[np.int32] = replies["scores"].astype(np.int32)
        limit = self.config.total_neurons << (self.config.readout_bits - 1)
        self._refuse(np.abs(scores.astype(np.int64)) > limit, "a score")
        return scores

    def _stream(
        self, opcode: Opcode, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8] | None,
        kind: list, progress: Progress | None,
    ) -> np.ndarray:
        """Run one command per sample; the replies, decoded as records of `kind`."""
        record = np.dtype(kind)
        replies = bytearray()
        run = self.session.run(self._commands(opcode, x, y))
        done, reported = 0, time.monotonic()
        for body in run:
            if len(body) != record.itemsize:
                raise LinkError(
                    f"{self.url} answered {opcode.name} with {len(body)} bytes, not "
                    f"{record.itemsize}: it runs other gateware than it says"
                )
            replies += body
            if progress is not None and (now := time.monotonic()) - reported >= REPORT_EVERY:
                count = len(replies) // record.itemsize
                progress(count - done)
                done, reported = count, now
        if progress is not None and done < len(x):
            progress(len(x) - done)
        return np.frombuffer(bytes(replies), record)

    def _commands(
        self, opcode: Opcode, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8] | None
    ) -> Iterator[bytes]:
        """One command per sample, prepared `CHUNK` at a time."""
        for start in range(0, len(x), CHUNK):
            part = slice(start, start + CHUNK)
            columns = [self._layout.pack_inputs(x[part])]
            if y is not None:
                columns.insert(0, y[part, None])
            columns.insert(0, np.full((len(columns[0]), 1), opcode, np.uint8))
            table = np.concatenate(columns, axis=1)
            size, data = table.shape[1], table.tobytes()
            for at in range(0, len(data), size):
                yield data[at : at + size]

    def _outcomes(self, replies: np.ndarray) -> Outcomes:
        """Checked results of a stream."""
        self._refuse(replies["prediction"] >= self.config.classes, "a prediction")
        self._refuse(replies["learned"] > 1, "`learned`")
        self._refuse(replies["unstable"] > self.config.total_neurons, "`unstable`")
        return Outcomes(**{name: np.ascontiguousarray(replies[name]) for name in OUTCOME.types})

    def _refuse(self, wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            raise LinkError(
                f"{self.url} answered {what} out of range for sample {np.argwhere(wrong)[0][0]}: "
                "the board computes something else than it says"
            )

    # ---- words ------------------------------------------------------------------------------

    def read(self, name: str) -> npt.NDArray[np.int16]:
        """One of `relaxon.layout.ARRAYS`. `LinkError` if what is read is out of range."""
        data = self.read_words(*self._layout.place(_known(name)))
        array: npt.NDArray[np.int16] = self._layout.unpack(name, data)
        if name != "state":
            try:
                self._check(name, array)
            except DataError as error:
                raise LinkError(
                    f"read from {self.url}: {error}; load the couplings again"
                ) from None
        return array

    def write(self, name: str, array: npt.ArrayLike) -> None:
        """Write a coupling array or the state. `DataError` if it does not fit."""
        space, first, _ = self._layout.place(_known(name))
        self.write_words(space, first, self._layout.pack(name, self._check(name, array)))

    @property
    def registers(self) -> Registers:
        """The registers, read from the board."""
        data = self.read_words(Space.REGISTERS, 0, len(REGISTERS))
        values = np.frombuffer(data, "<i4").tolist()
        try:
            return Registers(**{r.name: v for r, v in zip(REGISTERS, values, strict=True)})
        except ConfigError as error:
            raise LinkError(f"read from {self.url}: {error}; write the registers again") from None

    @registers.setter
    def registers(self, registers: Registers) -> None:
        """Write all registers and read them back. `ConfigError` if the fields cannot hold them."""
        self.config.check_registers(registers)
        values = list(registers.as_dict().values())
        self.write_words(Space.REGISTERS, 0, np.array(values, "<i4").tobytes())
        back = self.registers
        if back != registers:
            wrong = [n for n, v in registers.as_dict().items() if getattr(back, n) != v]
            raise LinkError(f"{self.url} did not keep the registers {', '.join(wrong)}")
        self.config = self.config.replace(registers=registers)

    def counters(self) -> dict[str, int]:
        """Every counter of the machine and of its end of the link."""
        data = self.read_words(Space.COUNTERS, 0, len(COUNTERS))
        values = np.frombuffer(data, "<u8").tolist()
        return {c.name: v for c, v in zip(COUNTERS, values, strict=True)}

    def set_counters(self, values: Mapping[str, int]) -> None:
        """Set every counter, those that are not named to 0."""
        words = [values.get(counter.name, 0) for counter in COUNTERS]
        self.write_words(Space.COUNTERS, 0, np.array(words, "<u8").tobytes())

    def build_info(self) -> dict[str, str]:
        """What the board tells of its build. `DataError` if that is no such text."""
        return build_info.decode(self.read_words(Space.BUILD, 0, protocol.BUILD_BYTES))

    def self_test(self, *, timeout: float | None = None) -> SelfTested:
        """Let the board test itself; see `Board.self_test`.

        An interrupt leaves couplings, state and registers to the test.
        """
        if not self.identity.features & Feature.SELF_TEST:
            raise ConfigError(f"{self.url} was built without a self-test: build it with one")
        if timeout is None:
            clock_hz = self.identity.clock_hz or SIMULATED_HZ
            timeout = self.session.timeout + 2 * Script(self.config).cycles() / clock_hz
        read = bytes((Opcode.READ,)) + ACCESS.pack(space=Space.SELF_TEST, address=0, count=1)
        usual, self.session.timeout = self.session.timeout, timeout
        try:
            _, word = self.session.run([bytes((Opcode.SELF_TEST,)), read])
        except LinkError as error:
            raise type(error)(f"the self-test of {self.url} gave no verdict: {error}") from None
        finally:
            self.session.timeout = usual
        whole = len(word) == protocol.SELF_TEST.size
        verdict = protocol.SELF_TEST.unpack(word) if whole else {"result": Verdict.NEVER}
        if verdict["result"] not in (Verdict.PASSED, Verdict.FAILED):
            raise LinkError(f"{self.url} answered no verdict of its self-test, but {word.hex()}")
        self.registers = self.config.registers
        return SelfTested(verdict["result"] == Verdict.PASSED, verdict["signature"])

    def close(self) -> None:
        """Close the link; twice is once."""
        self.session.close()

    def read_words(self, space: Space, first: int, count: int) -> bytes:
        """Bytes of `count` words from word `first` (`relaxon.layout` says what they hold)."""
        most, size = self._layout.words_per_frame(space), self._layout.word_bytes(space)
        spans = [(at, min(most, first + count - at)) for at in range(first, first + count, most)]
        commands = (
            bytes((Opcode.READ,)) + ACCESS.pack(space=space, address=at, count=n) for at, n in spans
        )
        data = b"".join(self.session.run(commands))
        if len(data) != count * size:
            raise LinkError(
                f"{self.url} answered {len(data)} bytes where {count} words of {space.name} take "
                f"{count * size}: it runs other gateware than it says"
            )
        return data

    def write_words(self, space: Space, first: int, data: bytes) -> None:
        """Write whole words from word `first` on, padding included; nothing is checked."""
        most, size = self._layout.words_per_frame(space), self._layout.word_bytes(space)
        parts = (data[at : at + most * size] for at in range(0, len(data), most * size))
        commands = (
            bytes((Opcode.WRITE,))
            + ACCESS.pack(space=space, address=first + number * most, count=len(part) // size)
            + part
            for number, part in enumerate(parts)
        )
        for _ in self.session.run(commands):
            pass

    def _check(self, name: str, array: npt.ArrayLike) -> np.ndarray:
        """The array, checked alone. `DataError` names what does not fit."""
        values, shape = np.asarray(array), self._layout.shape
        if name == "state":
            if values.shape != shape(name) or not np.isin(values, (-1, 1)).all():
                raise DataError(f"state must hold -1 and +1 in the shape {shape(name)}")
            return values
        others = {other: np.zeros(shape(other), np.int8) for other in Couplings.NAMES}
        checked = Couplings(**{**others, name: values}).check(self.config)
        array_checked: np.ndarray = getattr(checked, name)
        return array_checked

    def _own_config(self) -> Config:
        """The board's configuration with the registers it has now."""
        try:
            return self.config.replace(registers=self.registers)
        except (ConfigError, LinkError) as error:
            raise LinkError(
                f"the registers of {self.url} make no sense ({error}): open it with a configuration"
            ) from None


def _known(name: str) -> str:
    if name not in ARRAYS:
        raise DataError(f"array must be one of {', '.join(ARRAYS)}, not {name!r}")
    return name


def _agreed(identity: Identity, wanted: Config | None) -> Config:
    """The configuration that board and caller share; `IdentityError` lists what differs."""
    if wanted is not None:
        differences = [
            f"{name}: board {getattr(identity, name)}, wanted {value}"
            for name, value in wanted.identity().items()
            if getattr(identity, name) != value
        ]
        if differences:
            raise IdentityError(
                f"the board is another machine ({'; '.join(differences)}): open it without a "
                "configuration, or build and flash the one wanted"
            )
        return wanted
    structure: dict[str, Any] = {name: getattr(identity, name) for name in Config().structure()}
    try:
        structure["store"] = protocol.STORES[identity.store]
        return Config(**structure, registers=_NEUTRAL)
    except (ConfigError, IndexError) as error:
        raise IdentityError(f"the board says it is a machine that cannot be: {error}") from None
