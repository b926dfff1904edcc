"""A served board is reached by the ordinary transports and keeps its state between hosts."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from recorded import Recorded, random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.board import Board
from relaxon.errors import LinkError
from relaxon.sim.doors import MOST_UNSENT, PtyDoor, TcpDoor
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.serve import serve_tcp
from relaxon.sim.server import Server
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.twin import Twin, TwinTransport
from relaxon.transport import Transport, open_transport

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals need Linux or macOS")
CONFIG = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)
NONE = dict.fromkeys(Couplings.NAMES, 0)


class Idle(TwinTransport):
    """A twin that, as the simulated board does, returns at once when nothing can come."""

    def read(self, timeout: float) -> bytes:
        return super().read(0)


class Served:
    """A board, by default a twin, behind both doors, in a thread."""

    def __init__(self, board: Transport | None = None):
        self.said: list[str] = []
        self.server = Server(board or Idle(Twin(CONFIG)), self.said.append)
        self.tcp, self.pty = TcpDoor("127.0.0.1", 0), PtyDoor()
        self.server.add(self.tcp)
        self.server.add(self.pty)
        self.thread = threading.Thread(target=self.server.run)
        self.urls = [f"tcp:127.0.0.1:{self.tcp.port}", f"serial:{self.pty.device}"]

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()
        self.server.close()
        self.server.close()


@pytest.fixture
def served():
    with Served() as served:
        yield served


@pytest.mark.parametrize("door", [0, 1], ids=["tcp", "pty"])
@pytest.mark.parametrize("transport", [Idle, TwinTransport])
def test_a_recorded_run_through_either_door(tiny: Recorded, door: int, transport):
    with (
        Served(transport(Twin(tiny.config))) as served,
        Board.open(served.urls[door], tiny.config) as board,
    ):
        board.load(tiny.before)
        assert (board.train(tiny.x, tiny.y).prediction == tiny.prediction).all()
        assert board.couplings().differences(tiny.after) == NONE


def test_the_simulated_board_through_both_doors():
    config = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)
    model = ModelBoard(config)
    model.load(random_couplings(config, seed=1))
    x, y = random_samples(config, 400, seed=2)
    with Served(SimulatedTransport(config)) as served:
        with Board.open(served.urls[0], config) as board:
            board.load(model.couplings())
        for url, part in zip(served.urls, (slice(0, 200), slice(200, 400)), strict=True):
            with Board.open(url) as board:
                board.train(x[part], y[part])
                model.train(x[part], y[part])
                assert board.couplings().differences(model.couplings()) == NONE


def test_the_board_keeps_its_state_between_hosts_and_doors(served: Served):
    model = ModelBoard(CONFIG)
    model.load(random_couplings(CONFIG, seed=1))
    x, y = random_samples(CONFIG, 60, seed=2)
    with Board.open(served.urls[0], CONFIG) as board:
        board.load(model.couplings())
    for turn in range(6):
        part = slice(10 * turn, 10 * turn + 10)
        model.train(x[part], y[part])
        with Board.open(served.urls[turn % 2]) as board:
            assert board.config == CONFIG
            board.train(x[part], y[part])
            assert board.couplings().differences(model.couplings()) == NONE


def test_a_second_host_is_turned_away(served: Served):
    with Board.open(served.urls[0], CONFIG) as board:
        with pytest.raises(LinkError, match="is another client using it"):
            Board.open(served.urls[0], CONFIG, timeout=2)
        assert any("turned away 127.0.0.1" in line for line in served.said)
        board.counters()
        with pytest.raises(LinkError, match="in use by another program"):
            Board.open(served.urls[1], CONFIG)
        board.counters()
    with Board.open(served.urls[1], CONFIG) as board:
        with pytest.raises(LinkError, match="is another client using it"):
            Board.open(served.urls[0], CONFIG, timeout=2)
        with pytest.raises(LinkError, match="in use by another program"):
            Board.open(served.urls[1], CONFIG)
        board.counters()
    Board.open(served.urls[0], CONFIG).close()


def test_a_host_that_leaves_in_the_middle_does_no_harm(served: Served):
    x, y = random_samples(CONFIG, 200, seed=2)
    with Board.open(served.urls[0], CONFIG) as board:
        board.load(random_couplings(CONFIG, seed=1))
    for turn in range(10):
        board = Board.open(served.urls[turn % 2], CONFIG)
        transport = board.session.transport  # type: ignore[attr-defined]
        stream = board.session.run(board._commands(4, x, y))  # type: ignore[attr-defined]
        next(stream)
        transport.write(b"\x09half a frame")
        transport.close()
    with Board.open(served.urls[0]) as board:
        assert board.counters()["samples"] >= 10
        board.load(random_couplings(CONFIG, seed=1))
        board.train(x, y)
        model = ModelBoard(CONFIG)
        model.load(random_couplings(CONFIG, seed=1))
        model.train(x, y)
        assert board.couplings().differences(model.couplings()) == NONE


def test_garbage_and_a_host_that_does_not_read_do_no_harm(served: Served):
    rng = np.random.default_rng(0)
    for url in served.urls:
        transport = open_transport(url)
        for _ in range(20):
            transport.write(rng.bytes(1000))
        transport.close()
    Board.open(served.urls[0], CONFIG).close()


def test_what_is_not_read_does_not_pile_up():
    door = PtyDoor()
    for _ in range(3):
        door.send(bytes(MOST_UNSENT // 2))
    assert len(door._unsent) <= MOST_UNSENT
    door.close()


def test_the_notice_says_who_can_come_in():
    for host, whom in (("127.0.0.1", "this computer only"), ("0.0.0.0", "ANYONE who reaches")):
        door = TcpDoor(host, 0)
        assert f"tcp:{host}:{door.port}" in door.notice and whom in door.notice
        door.close()


def test_a_port_that_is_taken_is_told():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(LinkError, match="cannot listen on 127.0.0.1.*Choose another port"),
    ):
        serve_tcp(CONFIG, port=taken.getsockname()[1], board=lambda: TwinTransport(Twin(CONFIG)))


def test_the_link_points_to_the_device_and_goes_with_it(tmp_path: Path):
    link = tmp_path / "board"
    link.symlink_to("/dev/pts/987654")  # as a server left it that was killed
    door = PtyDoor(link)
    assert os.readlink(link) == door.device and str(link) in door.notice
    assert stat.S_ISCHR(link.stat().st_mode)
    door.close()
    assert not link.is_symlink()
    link.write_text("not ours")
    with pytest.raises(LinkError, match="cannot make the link"):
        PtyDoor(link)
    assert link.read_text() == "not ours"


PROGRAM = textwrap.dedent("""
    from pathlib import Path
    from relaxon import Config
    from relaxon.sim.serve import serve
    from relaxon.sim.twin import Twin, TwinTransport

    config = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)
    serve(config, tcp=("127.0.0.1", 0), link=Path("board"),
          board=lambda: TwinTransport(Twin(config)),
          announce=lambda line: print(line, flush=True))
""")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_both_doors_in_a_program_and_a_clean_end(tmp_path: Path, ending: signal.Signals):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        url = program.stdout.readline().split()[2]
        assert program.stdout.readline() == "board at serial:board\n"
        for where in (url, f"serial:{tmp_path / 'board'}"):
            with Board.open(where, CONFIG) as board:
                board.train(*random_samples(CONFIG, 20, seed=0))
        board = Board.open(url, CONFIG)
        assert board.counters()["samples"] == 40
        began = time.monotonic()
        program.send_signal(ending)
        assert program.communicate(timeout=20)[0] == "stopped\n"
        assert program.wait(5) == 0 and time.monotonic() - began < 3
        with pytest.raises(LinkError, match="is gone"):
            board.counters()
        board.close()
        assert not (tmp_path / "board").is_symlink()
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
