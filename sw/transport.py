"""Bytes to and from a board, whatever carries them."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from abc import ABC, abstractmethod

import serial  # type: ignore[import-untyped]

from relaxon.config import Config
from relaxon.errors import ConfigError, LinkError

DEFAULT_BAUD = 3_000_000
"""Rate of ``serial:PORT`` without ``@BAUD``, which FTDI adapters reach exactly; the rate is built
into the gateware, so a board made for another one needs ``@BAUD``."""

DEFAULT_TCP_PORT = 7411
"""Port of ``tcp:HOST`` without ``:PORT``, and of a board that is served."""

URL_FORMS = (
    "model (computes on this host), sim (simulates the gateware), serial:PORT[@BAUD] (such as "
    "serial:/dev/ttyUSB0 or serial:COM3@1000000), tcp:HOST[:PORT]"
)

_POLL = 0.05
"""Longest single wait inside pyserial, in seconds; `SerialTransport.read` repeats it."""

_LEAVING = 0.5
"""Seconds for which a serial port that is in use is tried again: whoever has it may be leaving."""


class Transport(ABC):
    """An ordered byte stream in each direction. Bytes may be lost or changed; that is the
    business of the layers above."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises `LinkError` if the other end is gone."""

    @abstractmethod
    def read(self, timeout: float) -> bytes:
        """Return the bytes that have arrived, at least one, waiting up to `timeout` seconds for
        the first; ``b""`` if none came. Raises `LinkError` if the other end is gone."""

    @abstractmethod
    def close(self) -> None:
        """Release the port; twice is once."""


class SerialTransport(Transport):
    """A serial port, real or pseudo-terminal, 8N1 without flow control, for this process alone.

    Parameters
    ----------
    port
        Device such as ``/dev/ttyUSB0`` or ``COM3``.
    baud
        Bits per second (a pseudo-terminal ignores it).
    timeout
        Longest time in seconds for one `write`.

    Raises
    ------
    LinkError
        No such port, no permission, in use by another program, or a rate it cannot do.
    """

    def __init__(self, port: str, baud: int = DEFAULT_BAUD, *, timeout: float = 5.0):
        self.port = port
        give_up = time.monotonic() + _LEAVING
        while True:
            try:
                self._serial = serial.Serial(
                    port, baud, timeout=_POLL, write_timeout=timeout, exclusive=True
                )
                return
            except (serial.SerialException, OSError, ValueError) as error:
                if not _in_use(error) or time.monotonic() > give_up:
                    raise LinkError(_why_not_opened(port, baud, error)) from error
            time.sleep(_POLL)

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            raise LinkError(
                f"{self.port} took no data for {self._serial.write_timeout} s: "
                "is the board powered and the port the right one?"
            ) from None
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error

    def read(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        try:
            while not (waiting := self._serial.in_waiting):
                if (left := deadline - time.monotonic()) <= 0:
                    return b""
                if left < _POLL:
                    time.sleep(min(left, 0.001))
                elif first := self._serial.read(1):
                    return bytes(first + self._serial.read(self._serial.in_waiting))
            return bytes(self._serial.read(waiting))
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: closed meanwhile
            raise self._lost(error) from error

    def close(self) -> None:
        with contextlib.suppress(serial.SerialException, OSError):
            self._serial.close()

    def _lost(self, error: Exception) -> LinkError:
        return LinkError(f"{self.port} is gone ({error}): was it unplugged or closed?")


class TcpTransport(Transport):
    """A board served on TCP, as ``relaxon serve`` does.

    Parameters
    ----------
    host, port
        Where it is served.
    timeout
        Longest time in seconds to connect, and for one `write`.

    Raises
    ------
    LinkError
        Nothing listens there, or the host is unknown or does not answer.
    """

    def __init__(self, host: str, port: int = DEFAULT_TCP_PORT, *, timeout: float = 5.0):
        self.where = f"tcp:{host}:{port}"
        self._timeout = timeout
        self._heard = False
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except TimeoutError:
            raise LinkError(f"{self.where} did not answer within {timeout} s") from None
        except ConnectionRefusedError:
            raise LinkError(
                f"nothing listens on {self.where}: is `relaxon serve` running there?"
            ) from None
        except (OSError, OverflowError, UnicodeError) as error:
            raise LinkError(f"{self.where} cannot be reached: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        except TimeoutError:
            raise LinkError(f"{self.where} took no data for {self._timeout} s") from None
        except OSError as error:
            raise self._lost(str(error)) from error

    def read(self, timeout: float) -> bytes:
        try:
            if not select.select([self._socket], [], [], max(0.0, timeout))[0]:
                return b""
            data = self._socket.recv(65536)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            raise self._lost(str(error)) from error
        if not data:
            raise self._lost("closed by the other end")
        self._heard = True
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _lost(self, reason: str) -> LinkError:
        hint = "is `relaxon serve` still running?" if self._heard else "is another client using it?"
        return LinkError(f"{self.where} is gone ({reason}): {hint}")


def open_transport(url: str, config: Config | None = None, *, timeout: float = 5.0) -> Transport:
    """The transport of ``sim`` (which needs `config`), ``serial:PORT[@BAUD]``, ``tcp:HOST[:PORT]``.

    Raises `ConfigError` for another URL, `LinkError` if it cannot be opened.
    """
    kind, _, rest = url.partition(":")
    if url == "sim":
        if config is None:
            raise ConfigError("board sim needs a configuration: say which machine to simulate")
        from relaxon.sim.simulated import SimulatedTransport

        simulated: Transport = SimulatedTransport(config)
        return simulated
    if kind == "serial" and rest:
        port, at, baud = rest.rpartition("@")
        if not at:
            return SerialTransport(rest, timeout=timeout)
        rate = _number(url, "baud rate", baud, 4_000_000_000)
        return SerialTransport(port, rate, timeout=timeout)
    if kind == "tcp" and rest:
        host, colon, port = rest.rpartition(":")
        if not colon or rest.endswith("]"):  # no port; [::1] is a bare IPv6 address
            host, port = rest, str(DEFAULT_TCP_PORT)
        number = _number(url, "TCP port", port, 65535)
        return TcpTransport(host.strip("[]"), number, timeout=timeout)
    raise ConfigError(f"no such board {url!r}; a board is one of: {URL_FORMS}")


def _number(url: str, what: str, text: str, most: int) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
        return int(text)
    raise ConfigError(f"the {what} of {url!r} must be a number from 1 to {most}, not {text!r}")


def _in_use(error: Exception) -> bool:
    return "lock port" in str(error) or getattr(error, "errno", None) == errno.EBUSY


def _why_not_opened(port: str, baud: int, error: Exception) -> str:
    """One sentence on why a serial port did not open, and what to do."""
    text, number = str(error), getattr(error, "errno", None)
    if number == errno.ENOENT or "FileNotFoundError" in text:
        return f"no serial port {port}: is the board plugged in, and is that its name?"
    if _in_use(error):
        return f"{port} is in use by another program: close that one first"
    if number == errno.EACCES or "PermissionError" in text:
        return (
            f"no permission to open {port}: on Linux add yourself to its group "
            "(`sudo usermod -aG dialout $USER`, then log in again); elsewhere, is it in use?"
        )
    if isinstance(error, ValueError):
        return f"{port} cannot run at {baud} baud: {error}"
    return f"{port} cannot be opened: {error}"
