"""A simulated board offered to other programs, on TCP and on a pseudo-terminal.

::

    tcp:HOST:PORT ──┐
                    ├──▶ Server ──▶ board (any Transport)
    /dev/pts/N ─────┘

One host at a time uses the board, whichever way it came; the board keeps its state between hosts.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from relaxon.config import Config
from relaxon.sim.chaos import Chaos, ChaosTransport
from relaxon.sim.doors import PtyDoor, TcpDoor
from relaxon.sim.server import Server
from relaxon.transport import DEFAULT_TCP_PORT, Transport

OpenBoard = Callable[[], Transport]
"""Makes the board that is served."""
Announce = Callable[[str], object]
"""Gets lines for whoever started the server."""


def serve_tcp(
    config: Config, host: str = "127.0.0.1", port: int = DEFAULT_TCP_PORT, *,
    board: OpenBoard | None = None, announce: Announce = print,
) -> None:
    """Offer the simulated board of `config` on TCP until Ctrl-C or SIGTERM (see `serve`)."""
    serve(config, tcp=(host, port), board=board, announce=announce)


def serve_pty(
    config: Config, link: Path | None = None, *,
    board: OpenBoard | None = None, announce: Announce = print,
) -> None:
    """Offer the simulated board of `config` on a pseudo-terminal until Ctrl-C or SIGTERM."""
    serve(config, pty=True, link=link, board=board, announce=announce)


def serve(
    config: Config, *, tcp: tuple[str, int] | None = None, pty: bool = False,
    link: Path | None = None, board: OpenBoard | None = None, chaos: Chaos | None = None,
    announce: Announce = print,
) -> None:
    """Offer one board on TCP, on a pseudo-terminal, or on both, until Ctrl-C or SIGTERM.

    Parameters
    ----------
    config
        The machine to simulate.
    tcp
        Host and port to listen on (port 0: any free one); no TCP where None.
    pty, link
        Whether to open a pseudo-terminal, and a symbolic link to make to it.
    board
        Opens what is served instead of the simulated board of `config`.
    chaos
        Faults between hosts and board; a disconnection ends it all.
    announce
        Told where the board can be reached, who is turned away, and what faults there were.

    Raises
    ------
    LinkError
        The port is taken or the pseudo-terminal or its link cannot be made.
    """
    opened = _simulated(config) if board is None else board()
    if chaos is not None:
        opened = ChaosTransport(opened, chaos, announce)
    with Server(opened, announce) as server:
        if tcp is not None:
            server.add(TcpDoor(*tcp))
        if pty or link is not None:
            server.add(PtyDoor(link))
        main = threading.current_thread() is threading.main_thread()
        # SIGINT too: a program started in the background comes with it ignored.
        ends = (signal.SIGINT, signal.SIGTERM) if main else ()
        before = {end: signal.signal(end, lambda *_: server.stop()) for end in ends}
        try:
            server.run()
        except KeyboardInterrupt:
            pass
        finally:
            for end, handler in before.items():
                signal.signal(end, handler)
        server.announce("stopped")


def _simulated(config: Config) -> Transport:
    from relaxon.sim.simulated import SimulatedTransport

    return SimulatedTransport(config)
