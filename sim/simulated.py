"""A transport to a simulated board in this process.

The board's clock runs only while somebody reads. A read returns when half of the frames under way
are answered, so that the host can send more before the board has nothing left to do, and at once
where it has nothing more to say.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
import weakref
from collections import deque
from pathlib import Path

from relaxon.config import Config
from relaxon.errors import ConfigError, LinkError, ToolError
from relaxon.framing import DELIMITER_BYTE
from relaxon.sim import cache
from relaxon.sim.verilate import Progress, library
from relaxon.transport import Transport

OUTPUT_BYTES = 1 << 16
"""Most bytes one read returns."""
SLICE = 0.03
"""Seconds the clock runs at a stretch: the delay of Ctrl-C and of time-outs."""
FIRST_BUDGET = 20_000
"""Cycles of the first stretch, before the speed is known."""

_BUDGET, _FULL, _IDLE, _ANSWERED = range(4)
"""Why `relaxon_exchange` returned (harness.cpp)."""


class SimulatedTransport(Transport):
    """Bytes to and from the gateware of `config`, simulated.

    Parameters
    ----------
    config
        The machine; built first if the cache does not have it (`relaxon.sim.verilate.library`,
        which also has `progress`).
    path
        A library to load instead of building `config`'s.
    interval
        Clock cycles that a byte takes on the line, in each direction; a UART's byte takes
        10·clock/baud. By default the line is as fast as the board.

    Raises
    ------
    ToolError
        A tool the build needs is missing or failed, or the library cannot be loaded.
    """

    def __init__(
        self, config: Config | None = None, *, path: Path | None = None,
        interval: int = 1, progress: Progress | None = None,
    ):
        if interval < 1:
            raise ConfigError(f"a byte takes at least 1 cycle on the line, not {interval}")
        if path is None:
            if config is None:
                raise TypeError("SimulatedTransport needs a config or the path of a library")
            path = library(config, progress=progress)
        self._path, self._interval = path, interval
        self._library = _load(path)
        self._output = ctypes.create_string_buffer(OUTPUT_BYTES)
        self._budget = FIRST_BUDGET
        self._power_up()

    def _power_up(self) -> None:
        """A new board, and nothing under way."""
        self._board = self._library.relaxon_create(self._interval)
        if not self._board:
            raise ToolError(f"no memory for the simulated board {self._path}")
        self._free = weakref.finalize(self, self._library.relaxon_destroy, self._board)
        self._chunk = b""
        self._taken = ctypes.c_size_t(0)
        self._queue: deque[bytes] = deque()
        self._given = ctypes.c_size_t(0)
        self._unanswered = 0  # frames; those that get no answer are forgotten when the board rests
        self._cycles = 0

    @property
    def cycles(self) -> int:
        """Clock cycles since power-up."""
        return self._cycles

    def write(self, data: bytes) -> None:
        """Queue `data`; the board takes it while `read` runs."""
        self._check_open()
        if data:
            self._queue.append(bytes(data))
            self._unanswered += data.count(DELIMITER_BYTE)

    def read(self, timeout: float) -> bytes:
        """Run the clock until bytes come out or the board is at rest, `timeout` seconds at most.

        Returns ``b""`` before the time-out where all that was written has been taken and the
        board is idle, since nothing can come then.
        """
        self._check_open()
        deadline = time.monotonic() + timeout
        while True:
            idle = self._run()
            if self._given.value:
                data = ctypes.string_at(self._output, self._given.value)
                self._unanswered = max(0, self._unanswered - data.count(DELIMITER_BYTE))
                return data
            if idle or time.monotonic() >= deadline:
                return b""

    def reset(self) -> None:
        """Power-cycle the board: everything is as after power-up, bytes under way are lost."""
        self._check_open()
        self._free()
        self._power_up()

    def close(self) -> None:
        """Free the board."""
        self._free()

    def _run(self) -> bool:
        """Run the clock for a stretch; True if the board has come to rest."""
        if self._queue:
            self._chunk = b"".join((self._chunk[self._taken.value :], *self._queue))
            self._queue.clear()
            self._taken.value = 0
        started = time.perf_counter()
        reason = self._library.relaxon_exchange(
            self._board, self._chunk, len(self._chunk), self._taken,
            self._output, OUTPUT_BYTES, self._given, max(1, self._unanswered // 2), self._budget,
        )
        cycles = self._library.relaxon_cycles(self._board)
        if reason == _IDLE:
            self._unanswered = 0
        if reason == _BUDGET:  # a whole stretch: its time tells the speed
            speed = (cycles - self._cycles) / max(time.perf_counter() - started, 1e-6)
            self._budget = max(1000, int(speed * SLICE))
        self._cycles = cycles
        return reason == _IDLE

    def _check_open(self) -> None:
        if not self._free.alive:
            raise LinkError("the simulated board is closed; open another one")


def _load(path: Path) -> ctypes.CDLL:
    """The library, its functions declared as harness.cpp defines them."""
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        if not _may_not_run(path, error):
            raise ToolError(f"cannot load the simulated board {path}: {error}") from None
        loaded = _load_copy(path, error)
    size = ctypes.c_size_t
    loaded.relaxon_create.argtypes = [ctypes.c_uint64]
    loaded.relaxon_create.restype = ctypes.c_void_p
    loaded.relaxon_destroy.argtypes = [ctypes.c_void_p]
    loaded.relaxon_destroy.restype = None
    loaded.relaxon_cycles.argtypes = [ctypes.c_void_p]
    loaded.relaxon_cycles.restype = ctypes.c_uint64
    loaded.relaxon_exchange.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, size, ctypes.POINTER(size),
        ctypes.c_char_p, size, ctypes.POINTER(size), size, ctypes.c_uint64,
    ]
    loaded.relaxon_exchange.restype = ctypes.c_int
    return loaded


def _may_not_run(path: Path, error: OSError) -> bool:
    """Whether a library cannot be loaded because of where it lies."""
    told = any(text in str(error) for text in ("failed to map segment", os.strerror(errno.EPERM)))
    return told or (path.is_file() and cache.noexec(path))


_copies: dict[str, ctypes.CDLL] = {}
"""Libraries of which a copy was loaded, by their content."""


def _load_copy(path: Path, error: OSError) -> ctypes.CDLL:
    """A library that lies where nothing may be run: a copy in memory or in a temporary folder."""
    data = path.read_bytes()
    name = cache.key(data)
    if name not in _copies:
        try:
            _copies[name], where = _from_memory(data), "memory"
        except (OSError, AttributeError):  # AttributeError: this system has no such files
            try:
                copy = cache.temporary() / f"{name}.so"
                copy.write_bytes(data)
                _copies[name], where = ctypes.CDLL(str(copy)), str(copy.parent)
            except OSError as second:
                raise ToolError(
                    f"cannot load the simulated board {path}: {error}, nor a copy: {second}; set "
                    "XDG_CACHE_HOME to a folder from which programs may be run (not mounted noexec)"
                ) from None
        cache.say_once(
            "noexec",
            f"nothing may be run from {path.parent} (mounted noexec); boards are loaded from {where}",
        )
    return _copies[name]


def _from_memory(data: bytes) -> ctypes.CDLL:
    """A library that is in no folder.

    Its descriptor stays open: the loader would take another library that gets the same number, and so
    the same name, for this one.
    """
    opened = os.memfd_create("relaxon-board")
    try:
        with open(opened, "wb", closefd=False) as file:
            file.write(data)
        return ctypes.CDLL(f"/proc/self/fd/{opened}")
    except OSError:
        os.close(opened)
        raise
