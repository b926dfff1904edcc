"""A link that goes wrong: bytes and frames lost, repeated, changed and held back, in both directions.

::

    host ──▶ ChaosTransport ──request──▶ any other Transport
                  │      ◀────reply───────────┘
                  └── faults: `Chaos` (at random, so often), or `FaultAt` (one, there)

A frame meets its fault first, then each byte of what is left of it. A frame is what a delimiter
ends, so it goes on when it is whole.
"""

from __future__ import annotations

import contextlib
import random
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from relaxon.errors import ConfigError, LinkError
from relaxon.framing import DELIMITER_BYTE
from relaxon.sim.twin import Direction
from relaxon.transport import Transport

BYTE_KINDS = ("flip", "lose", "repeat", "insert")
"""What a byte may meet: one bit flipped, lost, sent twice, another one sent before it."""
FRAME_KINDS = ("drop", "duplicate", "reorder", "truncate", "stall", "reset", "disconnect")
"""What a frame may meet: lost, sent twice, sent after the next one, cut short (its delimiter is
lost), held back for `pause` seconds with all that follows, the board power-cycled when half of it
has passed, the link gone for good."""
KINDS = (*BYTE_KINDS, *FRAME_KINDS)

PAUSE = 0.05
"""Seconds that a stall lasts unless told otherwise."""
LONGEST = 1 << 16
"""Bytes without a delimiter that go on as if they were a frame."""

Met = tuple[str, int]
"""A kind of fault and its detail: which bit is flipped, the byte inserted, the length left."""


class Faults(ABC):
    """Which fault is met where."""

    pause: float
    seed: int

    @abstractmethod
    def met(
        self, direction: Direction, kinds: Sequence[str], position: int, rng: random.Random
    ) -> Met | None:
        """What meets the `position`th byte (`kinds` is `BYTE_KINDS`) or frame (`FRAME_KINDS`)."""

    @abstractmethod
    def possible(self, kind: str) -> bool:
        """Whether this kind of fault can come."""


@dataclass(frozen=True)
class Chaos(Faults):
    """Faults at random: of each of `KINDS`, its probability for each byte, or for each frame.

    Parameters
    ----------
    flip … disconnect
        Rates, 0 to 1; those for bytes, and those for frames, must not exceed 1 together.
    pause
        Seconds that a stall lasts.
    seed
        The same bytes meet the same faults.

    Raises
    ------
    ConfigError
        A rate, pause or seed that cannot be.
    """

    flip: float = 0.0
    lose: float = 0.0
    repeat: float = 0.0
    insert: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    truncate: float = 0.0
    stall: float = 0.0
    reset: float = 0.0
    disconnect: float = 0.0
    pause: float = PAUSE
    seed: int = 0

    def __post_init__(self) -> None:
        for kinds, what in ((BYTE_KINDS, "bytes"), (FRAME_KINDS, "frames")):
            rates = {kind: getattr(self, kind) for kind in kinds}
            for kind, rate in rates.items():
                if not 0 <= rate <= 1:
                    raise ConfigError(f"chaos: {kind} must be a rate from 0 to 1, not {rate}")
            if sum(rates.values()) > 1:
                raise ConfigError(f"chaos: the rates of {', '.join(kinds)} exceed 1 for {what}")
        if not 0 <= self.pause < float("inf"):
            raise ConfigError(f"chaos: pause must be a number of seconds, not {self.pause}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of a text such as ``flip=0.01,drop=0.02,seed=3``; of a plain number such as ``0.01``,
        that rate of byte flips, and of frames dropped and frames duplicated."""
        if "=" not in text:
            rate = _number("rate", text, float)
            return cls(flip=rate, drop=rate, duplicate=rate)
        given: dict[str, Any] = {}
        for part in text.split(","):
            name, equals, value = part.strip().partition("=")
            if name not in (field.name for field in fields(cls)) or not equals:
                raise ConfigError(
                    f"chaos: {part.strip()!r} is none of NAME=VALUE with a NAME of "
                    f"{', '.join(KINDS)} (rates), pause (seconds) or seed; a plain number is a "
                    "rate of flip, drop and duplicate"
                )
            if name in given:
                raise ConfigError(f"chaos: {name} is given twice")
            given[name] = _number(name, value, int if name == "seed" else float)
        return cls(**given)

    def __str__(self) -> str:
        rates = [f"{kind}={getattr(self, kind):g}" for kind in KINDS if getattr(self, kind)]
        pause = [f"pause={self.pause:g}"] if self.stall else []
        return ",".join([*rates, *pause, f"seed={self.seed}"])

    def met(
        self, direction: Direction, kinds: Sequence[str], position: int, rng: random.Random
    ) -> Met | None:
        """A kind drawn by its rate."""
        drawn = rng.random()
        for kind in kinds:
            drawn -= getattr(self, kind)
            if drawn < 0:
                return kind, rng.getrandbits(16)
        return None

    def possible(self, kind: str) -> bool:
        """Whether its rate is not 0."""
        return bool(getattr(self, kind))


@dataclass(frozen=True)
class FaultAt(Faults):
    """One fault: what the `position`th byte or frame of `direction` meets (HELLO's count)."""

    kind: str
    direction: Direction
    position: int
    detail: int = 0
    pause: float = PAUSE
    seed: int = 0

    def met(
        self, direction: Direction, kinds: Sequence[str], position: int, rng: random.Random
    ) -> Met | None:
        """The fault, at its place."""
        there = position == self.position and direction == self.direction and self.kind in kinds
        return (self.kind, self.detail) if there else None

    def possible(self, kind: str) -> bool:
        """Whether it is this one."""
        return kind == self.kind


class ChaosTransport(Transport):
    """Another transport, and faults on the way to and from it.

    Parameters
    ----------
    inner
        Closed by `close`. If there can be a reset, it must have a method `reset` that power-cycles
        the board, as the simulated one's has.
    faults
        `Chaos` or `FaultAt`.
    announce
        Told the faults at first, and at the first `close` the `summary`.

    Attributes
    ----------
    met
        How often each kind of fault happened in each direction: `met["request", "flip"]`.

    Raises
    ------
    ConfigError
        There can be a reset, but the other transport cannot do it.
    """

    def __init__(
        self, inner: Transport, faults: Faults, announce: Callable[[str], object] | None = None
    ):
        power_cycle: Callable[[], None] | None = getattr(inner, "reset", None)
        if power_cycle is None and faults.possible("reset"):
            raise ConfigError(
                f"chaos: {type(inner).__name__} cannot reset its board; a simulated board can"
            )
        self._power_cycle = power_cycle
        self.inner = inner
        self.faults = faults
        self.met: Counter[tuple[Direction, str]] = Counter()
        self._request = _Way("request", faults, self.met)
        self._reply = _Way("reply", faults, self.met)
        self._gone = False
        self._announce = announce
        if announce is not None:
            self._tell(announce, f"chaos: the link is faulty in both directions, {faults}")

    def write(self, data: bytes) -> None:
        """Send what the faults leave of `data`."""
        self._check()
        self._request.come(data)
        self._carry(self._request)
        self._forward()
        self._check()

    def read(self, timeout: float) -> bytes:
        """What the faults leave of what has arrived; like the other transport's read."""
        deadline = time.monotonic() + timeout
        while True:
            self._forward()
            if data := self._reply.arrived():
                return data
            self._check()
            left = max(0.0, deadline - time.monotonic())
            stalls = [way.until for way in (self._request, self._reply) if way.held]
            wait = min([left, *(max(0.0, until - time.monotonic()) for until in stalls)])
            if data := self.inner.read(wait):
                self._reply.come(data)
                self._carry(self._reply)
            elif not stalls or time.monotonic() >= deadline:
                return self._reply.arrived()
            else:  # a board that has nothing to say, until what is held back gets there
                time.sleep(max(0.0, min(deadline, *stalls) - time.monotonic()))

    @staticmethod
    def _tell(announce: Callable[[str], object], line: str) -> None:
        """A reader that has gone, or a full disk, changes nothing on the link."""
        with contextlib.suppress(OSError):
            announce(line)

    def close(self) -> None:
        """Close the other transport; twice is once."""
        self.inner.close()
        announce, self._announce = self._announce, None
        if announce is not None:
            self._tell(announce, self.summary)

    def passed(self, direction: Direction) -> tuple[int, int]:
        """How many frames and how many bytes (of those not dropped) went this way."""
        way = self._request if direction == "request" else self._reply
        return way.positions[FRAME_KINDS], way.positions[BYTE_KINDS]

    @property
    def summary(self) -> str:
        """One line on what passed and what it met."""
        kinds: Counter[str] = Counter()
        for (_, kind), count in self.met.items():
            kinds[kind] += count
        met = ", ".join(f"{kind} {kinds[kind]:,}" for kind in KINDS if kinds[kind])
        ways: tuple[tuple[Direction, str], ...] = (("request", "to the board"), ("reply", "back"))
        passed = ("{:,} frames ({:,} bytes) ".format(*self.passed(way)) + to for way, to in ways)
        return f"chaos: {', '.join(passed)}; met {met or 'no fault'}"

    def _carry(self, way: _Way) -> None:
        """Let each whole frame meet its fault. What came before a disconnection still arrives."""
        while way.whole:
            frame = way.whole.popleft()
            met = way.meet(FRAME_KINDS)
            kind = met[0] if met is not None else ""
            if kind == "disconnect":
                self._gone = True
                way.forget()
            elif kind == "reset":
                self._reset_within(way, frame)
            else:
                way.put(way.altered(frame, met))

    def _reset_within(self, way: _Way, frame: bytes) -> None:
        """Reset the board when half of a frame has passed.

        A request's other half reaches the new board. Of a reply nothing more comes.
        """
        half = len(frame) // 2
        way.put(frame[:half])
        self._forward()
        if way is self._request:
            while said := self.inner.read(0.0):  # what the board says until then
                self._reply.come(said)
            self._carry(self._reply)
        if self._power_cycle is not None:
            self._power_cycle()
        self._reply.forget()
        if way is self._request:
            way.put(frame[half:])

    def _forward(self) -> None:
        if data := self._request.arrived():
            self.inner.write(data)

    def _check(self) -> None:
        if self._gone:
            raise LinkError("the link is gone (chaos disconnected it): open a new one")


class _Way:
    """One direction.

    `whole` are frames that have come, `positions` how many frames and bytes have met their fate,
    `held` is what a stall holds back until the time `until`.
    """

    def __init__(self, direction: Direction, faults: Faults, counts: Counter[tuple[Direction, str]]):
        self.direction: Direction = direction
        self.faults = faults
        self.counts = counts
        self.rng = random.Random(f"{faults.seed} {direction}")
        self.positions: dict[Sequence[str], int] = {BYTE_KINDS: 0, FRAME_KINDS: 0}
        self.whole: deque[bytes] = deque()
        self.held = b""
        self.until = 0.0
        self._partial = b""
        self._bytes_at_risk = any(map(faults.possible, BYTE_KINDS))
        self._late = b""  # is sent after the next frame
        self._ready = b""

    def come(self, data: bytes) -> None:
        """Bytes have come to this end."""
        *whole, self._partial = (self._partial + data).split(DELIMITER_BYTE)
        self.whole.extend(frame + DELIMITER_BYTE for frame in whole)
        if len(self._partial) > LONGEST:
            self.whole.append(self._partial)
            self._partial = b""

    def meet(self, kinds: Sequence[str]) -> Met | None:
        """What the next byte or frame meets, counted."""
        position = self.positions[kinds]
        self.positions[kinds] = position + 1
        met = self.faults.met(self.direction, kinds, position, self.rng)
        if met is not None:
            self.counts[self.direction, met[0]] += 1
        return met

    def altered(self, frame: bytes, met: Met | None) -> bytes:
        """What its fault leaves of a frame, and the one it has overtaken."""
        kind, detail = met or ("", 0)
        if kind == "reorder":
            before, self._late = self._late, frame
            return before
        if kind == "stall":
            self.until = time.monotonic() + self.faults.pause
        copies = {"drop": 0, "duplicate": 2}.get(kind, 1)
        left = frame[: detail % len(frame)] if kind == "truncate" else frame * copies
        late, self._late = self._late, b""
        return left + late

    def put(self, data: bytes) -> None:
        """Send bytes on; each may meet a fault."""
        if self._bytes_at_risk:
            data = b"".join(self._spoiled(data[at : at + 1]) for at in range(len(data)))
        else:
            self.positions[BYTE_KINDS] += len(data)
        if self.until:
            self.held += data
        else:
            self._ready += data

    def arrived(self) -> bytes:
        """What has got to the other end."""
        if self.until and time.monotonic() >= self.until:
            self._ready += self.held
            self.held, self.until = b"", 0.0
        data, self._ready = self._ready, b""
        return data

    def forget(self) -> None:
        """What has not been sent on never will be."""
        self.whole.clear()
        self._partial = self._late = b""

    def _spoiled(self, byte: bytes) -> bytes:
        kind, detail = self.meet(BYTE_KINDS) or ("", 0)
        match kind:
            case "flip":
                return bytes((byte[0] ^ 1 << detail % 8,))
            case "lose":
                return b""
            case "repeat":
                return byte + byte
            case "insert":
                return bytes((detail % 256,)) + byte
        return byte


def _number(name: str, text: str, kind: type[int] | type[float]) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "an integer" if kind is int else "a number"
        raise ConfigError(f"chaos: {name} must be {what}, not {text!r}") from None
