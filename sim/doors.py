"""Where a host can come in to a served board: a TCP port or a pseudo-terminal.

Nothing here ever waits: `Server` does, for the file descriptors that a door names.
"""

from __future__ import annotations

import contextlib
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from relaxon.errors import LinkError

CHUNK = 4096
"""Most bytes taken from a host at once."""
MOST_UNSENT = 1 << 20
"""Bytes kept for a host that does not read; one that lets more pile up has gone."""


class Door(ABC):
    """One way in. `notice` says how, `connected` whether a host is known to be inside."""

    notice: str
    connected = False
    knows_its_host = True
    """Whether `connected` means anything."""

    def __init__(self) -> None:
        self._unsent = bytearray()

    @abstractmethod
    def read_from(self) -> list[int]:
        """File descriptors on which a host may say something."""

    @abstractmethod
    def _raw_receive(self) -> bytes | None:
        """What the host says; None if it has left. Raises BlockingIOError if it says nothing."""

    @abstractmethod
    def _raw_send(self, data: bytearray) -> int:
        """Send some of `data`; how many bytes. Raises BlockingIOError if none can be sent."""

    @abstractmethod
    def taken(self) -> bool:
        """Whether a host is inside or holds the door."""

    @abstractmethod
    def turned_away(self, free: Callable[[], bool]) -> str | None:
        """Let a newcomer in if the board is free, else send it away; who was sent away."""

    def bar(self, barred: bool) -> None:
        """Let no newcomer try, or let them again; a door that turns them away need not."""
        return None

    @abstractmethod
    def leave(self) -> None:
        """Be rid of the host inside."""

    @abstractmethod
    def close(self) -> None:
        """Shut the door; twice is once."""

    def write_to(self) -> list[int]:
        """File descriptors on which there is something left to send."""
        return self.read_from()[-1:] if self._unsent else []

    def receive(self) -> bytes:
        """What the host says, up to `CHUNK` bytes."""
        try:
            data = self._raw_receive()
        except BlockingIOError:
            return b""
        except OSError:
            data = None
        if data is None:
            self.leave()
        return data or b""

    def send(self, data: bytes) -> None:
        """Send to the host, now or when it is ready."""
        self._unsent += data
        self.flush()

    def flush(self) -> None:
        """Send what is left, as far as the host is ready."""
        try:
            while self._unsent:
                del self._unsent[: self._raw_send(self._unsent)]
        except BlockingIOError:
            if len(self._unsent) > MOST_UNSENT:
                self.leave()
        except OSError:
            self.leave()


class TcpDoor(Door):
    """A TCP port; one client at a time, all others are disconnected at once.

    Raises `LinkError` if the port cannot be had. Port 0 takes any free one; `port` tells which.
    """

    def __init__(self, host: str, port: int):
        super().__init__()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family)
        except (OSError, OverflowError, UnicodeError) as error:
            raise LinkError(
                f"cannot listen on {host}, port {port}: {error}; is another `relaxon serve` "
                "running? Choose another port"
            ) from error
        self._listener.setblocking(False)
        self.host, self.port = host, int(self._listener.getsockname()[1])
        self._client: socket.socket | None = None
        local = host in ("localhost", "::1") or host.startswith("127.")
        whom = "this computer only" if local else "ANYONE who reaches this computer can use it"
        shown = f"[{host}]" if ":" in host else host
        self.notice = f"board at tcp:{shown}:{self.port} ({whom})"

    def read_from(self) -> list[int]:
        return [s.fileno() for s in (self._listener, self._client) if s is not None]

    def _raw_receive(self) -> bytes | None:
        if self._client is None:
            return b""
        return self._client.recv(CHUNK) or None

    def _raw_send(self, data: bytearray) -> int:
        if self._client is None:
            return len(data)
        return self._client.send(data)

    def taken(self) -> bool:
        return self.connected

    def turned_away(self, free: Callable[[], bool]) -> str | None:
        try:
            client, address = self._listener.accept()
        except OSError:  # nobody, or gone again
            return None
        if free():
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client, self.connected = client, True
            return None
        client.close()
        return f"{address[0]}, port {address[1]}"

    def leave(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client, self.connected = None, False
        self._unsent.clear()

    def close(self) -> None:
        self.leave()
        self._listener.close()


class PtyDoor(Door):
    """A pseudo-terminal, for programs that want a serial port; `device` is its path.

    It cannot know whether a program has it open, only whether one holds it locked, as the serial
    transport does; and it locks itself against such programs. Raises `LinkError` if it or the symbolic
    link to it cannot be made.
    """

    knows_its_host = False

    def __init__(self, link: Path | None = None):
        super().__init__()
        self._master = self._slave = -1
        self._link: Path | None = None
        self._barred = False
        try:
            import tty

            self._master, self._slave = os.openpty()  # kept open, so that the raw mode stays
            tty.setraw(self._slave)
        except (ImportError, AttributeError, OSError) as error:
            raise LinkError(
                f"cannot make a pseudo-terminal ({error}): they need Linux or macOS; use TCP"
            ) from error
        os.set_blocking(self._master, False)
        self.device = os.ttyname(self._slave)
        if link is not None:
            self._make_link(Path(link))
        self.notice = f"board at serial:{self._link or self.device}"

    def read_from(self) -> list[int]:
        return [self._master] if self._master >= 0 else []

    def _raw_receive(self) -> bytes | None:
        return os.read(self._master, CHUNK)

    def _raw_send(self, data: bytearray) -> int:
        return os.write(self._master, data)

    def taken(self) -> bool:
        if self._barred:
            return False
        self.bar(True)
        free = self._barred
        self.bar(False)
        return not free

    def bar(self, barred: bool) -> None:
        import fcntl

        if barred and not self._barred:
            with contextlib.suppress(OSError):  # a host was quicker
                fcntl.flock(self._slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._barred = True
        elif self._barred and not barred:
            fcntl.flock(self._slave, fcntl.LOCK_UN)
            self._barred = False

    def turned_away(self, free: Callable[[], bool]) -> str | None:
        return None

    def leave(self) -> None:
        self._unsent.clear()

    def close(self) -> None:
        if self._link is not None:
            with contextlib.suppress(OSError):
                if os.readlink(self._link) == self.device:
                    self._link.unlink()
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)
        self._master = self._slave = -1

    def _make_link(self, link: Path) -> None:
        """Make the link; one that a server left which was killed is replaced, no other."""
        try:
            if link.is_symlink():
                self._refuse_others_link(link)
                link.unlink()
            link.symlink_to(self.device)
        except OSError as error:
            self.close()
            raise LinkError(f"cannot make the link {link} to {self.device}: {error}") from error
        self._link = link

    def _refuse_others_link(self, link: Path) -> None:
        """`LinkError` unless a link points to a pseudo-terminal that is gone, or to this one."""
        target = os.readlink(link)
        left = os.path.dirname(target) == os.path.dirname(self.device) and not link.exists()
        if target != self.device and not left:
            self.close()
            raise LinkError(
                f"cannot make the link {link}: it is there already and points to {target}; remove it, "
                "or choose another name"
            )
