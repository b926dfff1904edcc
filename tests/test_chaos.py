"""A faulty link does to bytes and frames what it says, and training over one is exactly right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from faults import QUICK, Training, quick_board
from typer.testing import CliRunner

from relaxon import Config, Couplings, cli
from relaxon.board import Board
from relaxon.errors import ConfigError, LinkError
from relaxon.linkboard import LinkBoard
from relaxon.sim.chaos import BYTE_KINDS, KINDS, Chaos, ChaosTransport, FaultAt
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.twin import Twin, TwinTransport
from relaxon.transport import Transport

CONFIG = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)  # as test_conformance.py's


class Loop(Transport):
    """Whatever is written comes back."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = 0

    def write(self, data: bytes) -> None:
        self.data += data

    def read(self, timeout: float) -> bytes:
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        self.closed += 1


# ---- what is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0.01", Chaos(flip=0.01, drop=0.01, duplicate=0.01)),
        ("0", Chaos()),
        ("flip=0.5", Chaos(flip=0.5)),
        ("drop=1e-3, seed=7", Chaos(drop=0.001, seed=7)),
        ("stall=.1,pause=.5,reset=.2", Chaos(stall=0.1, pause=0.5, reset=0.2)),
    ],
)
def test_a_text_says_which_faults(text: str, meant: Chaos):
    assert Chaos.parse(text) == meant
    assert Chaos.parse(str(meant)) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rate must be a number, not ''"),
        ("much", "rate must be a number, not 'much'"),
        ("flip=many", "flip must be a number, not 'many'"),
        ("seed=1.5", "seed must be an integer, not '1.5'"),
        ("flap=1", "'flap=1' is none of NAME=VALUE with a NAME of flip, lose,.* seed"),
        ("flip=0.1,,drop=0.1", "'' is none of"),
        ("0.01,seed=3", "'0.01' is none of"),
        ("flip=0.1,flip=0.2", "flip is given twice"),
        ("flip=-0.1", "flip must be a rate from 0 to 1, not -0.1"),
        ("stall=1.1", "stall must be a rate"),
        ("flip=nan", "flip must be a rate"),
        ("drop=0.6,stall=0.6", "the rates of drop, duplicate, .* exceed 1 for frames"),
        ("pause=-1", "pause must be a number of seconds"),
    ],
)
def test_a_text_that_says_none_is_refused(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        Chaos.parse(text)


# ---- what happens -------------------------------------------------------------------------------

FRAMES = (b"first\0", b"second\0", b"third\0")


@pytest.mark.parametrize("direction", ["request", "reply"])
@pytest.mark.parametrize(
    ("kind", "position", "detail", "arrives"),
    [
        ("flip", 6, 2, b"first\0wecond\0third\0"),
        ("lose", 5, 0, b"firstsecond\0third\0"),
        ("repeat", 0, 0, b"ffirst\0second\0third\0"),
        ("insert", 2, 0x100, b"fi\0rst\0second\0third\0"),
        ("drop", 1, 0, b"first\0third\0"),
        ("duplicate", 1, 0, b"first\0second\0second\0third\0"),
        ("reorder", 0, 0, b"second\0first\0third\0"),
        ("truncate", 1, 3, b"first\0secthird\0"),
        ("truncate", 1, 6, b"first\0secondthird\0"),
    ],
)
def test_one_fault_happens_there_and_nowhere_else(kind, direction, position, detail, arrives):
    link = ChaosTransport(Loop(), FaultAt(kind, direction, position, detail))
    link.write(b"".join(FRAMES))
    assert link.read(0) == arrives
    assert link.met == {(direction, kind): 1}
    assert link.passed("request")[0] == 3
    assert f"met {kind} 1" in link.summary


def test_frames_that_all_wait_for_the_next_come_one_later():
    link = ChaosTransport(Loop(), Chaos(reorder=1))
    heard = []
    for frame in (*FRAMES, b"\0", b"\0"):
        link.write(frame)
        heard.append(link.read(0))
    assert heard == [b"", b"", *FRAMES]


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_stall_holds_back_all_that_follows(direction):
    link = ChaosTransport(Loop(), FaultAt("stall", direction, 1, pause=0.1))
    began = time.monotonic()
    link.write(b"".join(FRAMES))
    assert link.read(0) == FRAMES[0]
    assert link.read(0.01) == b""
    assert link.read(5.0) == b"".join(FRAMES[1:])
    assert 0.1 <= time.monotonic() - began < 1
    link.write(FRAMES[0])
    assert link.read(0) == FRAMES[0]


def test_parts_of_frames_wait_for_their_end_unless_there_is_none():
    link = ChaosTransport(Loop(), Chaos())
    link.write(b"fir")
    assert link.read(0) == b""
    link.write(b"st\0sec")
    assert link.read(0) == FRAMES[0]
    endless = b"x" * 70_000
    link.write(endless)
    assert link.read(0) == b"sec" + endless


def test_random_faults_come_as_often_as_said_and_the_same_for_the_same_seed():
    rates = dict.fromkeys(KINDS[:-2], 0.02)
    texts = [b"%032d\0" % k for k in range(3000)]

    def run(seed: int) -> tuple[Counter, bytes, tuple[int, int]]:
        link = ChaosTransport(Loop(), Chaos(**rates, pause=0.0, seed=seed))
        heard = b""
        for text in texts:
            link.write(text)
            heard += link.read(0)
        return link.met, heard, link.passed("request")

    met, heard, (frames, data) = run(1)
    assert frames == len(texts)
    for kind in rates:
        trials = data if kind in BYTE_KINDS else frames
        assert met["request", kind] == pytest.approx(0.02 * trials, abs=5 * (0.02 * trials) ** 0.5)
    assert run(1)[:2] == (met, heard)
    assert run(2)[1] != heard


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_link_that_is_gone_stays_gone(direction):
    link = ChaosTransport(Loop(), FaultAt("disconnect", direction, 1))
    link.write(FRAMES[0])
    assert link.read(0) == FRAMES[0]
    with pytest.raises(LinkError, match="the link is gone"):
        link.write(FRAMES[1])
        link.read(0)
    with pytest.raises(LinkError, match="the link is gone"):
        link.write(b"\0")
    with pytest.raises(LinkError, match="the link is gone"):
        link.read(0)


def test_it_says_what_it_does_and_what_it_did_once():
    inner, said = Loop(), []
    link = ChaosTransport(inner, Chaos(drop=1.0, seed=4), said.append)
    assert said == ["chaos: the link is faulty in both directions, drop=1,seed=4"]
    link.write(FRAMES[0] + FRAMES[1])
    link.close()
    link.close()
    assert inner.closed == 2
    assert said[1:] == [
        "chaos: 2 frames (0 bytes) to the board, 0 frames (0 bytes) back; met drop 2"
    ]


# ---- a board that is reset ----------------------------------------------------------------------


def test_a_board_that_cannot_be_reset_is_told():
    with pytest.raises(ConfigError, match="Loop cannot reset its board"):
        ChaosTransport(Loop(), Chaos(reset=0.1))


@pytest.mark.parametrize(
    "make", [lambda: SimulatedTransport(CONFIG), lambda: TwinTransport(Twin(CONFIG))],
    ids=["simulated", "twin"],
)  # fmt: skip
def test_a_reset_board_is_as_after_power_up(make):
    transport = make()
    with LinkBoard(transport, CONFIG) as board:
        fresh = {name: board.read(name) for name in Couplings.NAMES}
        training = Training(CONFIG, 20)
        training.carry_through(board)
        transport.write(b"\x09half a frame, and")
        transport.reset()
        assert transport.read(0) == b""
        with pytest.raises(LinkError):
            list(board.session.run([b"\x02\0\0\0\0\0\x01"] * 20))
    other = make()
    other.reset()
    with LinkBoard(other, CONFIG) as board:
        assert board.counters()["samples"] == 0
        for name in Couplings.NAMES:
            assert np.array_equal(board.read(name), fresh[name])
        training.carry_through(board)


# ---- training over it ---------------------------------------------------------------------------


def test_training_over_a_bad_link_is_exactly_right(long: bool):
    """1 % of bytes have a bit flipped, 1 % of frames are dropped, 1 % come twice, both ways."""
    training = Training(CONFIG, 10_000 if long else 1_000)
    link = ChaosTransport(SimulatedTransport(CONFIG), Chaos.parse("0.01"))
    with quick_board(link, CONFIG, timeout=5.0) as board:
        began = time.monotonic()
        training.carry_through(board)
        seconds = time.monotonic() - began
        sent = board.session.statistics
    frames, data = map(sum, zip(link.passed("request"), link.passed("reply"), strict=True))
    for direction in ("request", "reply"):
        for kind in ("flip", "drop", "duplicate"):
            assert link.met[direction, kind] > training.n / 1000
    print(
        f"\n{training.n:,} samples over a bad link: equal to the model; {link.summary}; "
        f"{sent.frames:,} commands, {sent.retransmissions:,} frames sent again after "
        f"{sent.time_outs:,} time-outs, {sent.gaps:,} gaps, {sent.lost_replies:,} lost replies; "
        f"{sum(link.met.values()):,} faults in {data:,} bytes and {frames:,} frames; {seconds:.1f} s"
    )


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_fault_at_once_is_survived(seed: int):
    rates = {kind: 0.002 if kind in BYTE_KINDS else 0.02 for kind in KINDS[:-2]}
    link = ChaosTransport(TwinTransport(Twin(CONFIG)), Chaos(**rates, pause=2 * QUICK, seed=seed))
    with quick_board(link, CONFIG) as board:
        Training(CONFIG, 200).carry_through(board)
    assert {kind for _, kind in link.met} == set(rates)


# ---- the command line ---------------------------------------------------------------------------

TRAIN = ("train", "--modules", "3", "--neurons", "5", "--lanes", "8", "--entangle", "11",
         "--samples", "40", "--epochs", "1")  # fmt: skip


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and all output of a command."""
    result = CliRunner().invoke(cli.app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_train_over_a_bad_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("relaxon.plots.plot_accuracy", lambda *_: None)
    monkeypatch.setattr("relaxon.plots.plot_couplings", lambda *_: None)
    monkeypatch.setattr(
        "relaxon.sim.simulated.SimulatedTransport", lambda config: TwinTransport(Twin(config))
    )
    code, output = run(
        *TRAIN, "--board", "sim", "--chaos", "0.002", "--check", "--out", str(tmp_path / "o")
    )
    assert code == 0 and "EQUAL, bit for bit" in output
    lines = [line for line in output.splitlines() if line.startswith("chaos: ")]
    assert lines[0].endswith("flip=0.002,drop=0.002,duplicate=0.002,seed=0")
    assert "met flip " in lines[1] and len(lines) == 2


@pytest.mark.parametrize("board", ["model", "tcp:localhost", "serial:/dev/null"])
def test_only_the_simulated_board_has_it(board: str):
    code, output = run(*TRAIN, "--board", board, "--chaos", "0.01")
    assert code == ConfigError.exit_code
    assert "--chaos is for the simulated board" in output


@pytest.mark.parametrize("command", ["serve", "train"])
def test_a_wrong_specification_is_told_before_anything_starts(command: str, monkeypatch):
    monkeypatch.setattr(
        "relaxon.sim.simulated.SimulatedTransport", lambda config: pytest.fail("built a board")
    )
    arguments = (*TRAIN, "--board", "sim") if command == "train" else ("serve",)
    code, output = run(*arguments, "--chaos", "flap=1")
    assert code == ConfigError.exit_code and "none of NAME=VALUE" in output.replace("\n", " ")


@pytest.mark.skipif(os.name != "posix", reason="needs Linux or macOS")
def test_a_served_board_over_a_bad_link(tmp_path: Path):
    sizes = ("--preset", "paper", "--modules", "3", "--neurons", "5", "--inputs", "11",
             "--classes", "4", "--lanes", "8")  # fmt: skip
    command = (sys.executable, "-m", "relaxon.cli", "serve", *sizes, "--tcp", "0")
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    faults = "flip=0.002,drop=0.01,stall=0.01,pause=0.01"
    program = subprocess.Popen(
        [*command, "--chaos", faults], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    try:
        assert program.stdout is not None
        told = program.stdout.readline()
        assert told == f"chaos: the link is faulty in both directions, {faults},seed=0\n"
        url = program.stdout.readline().split()[2]
        config = Config.preset("paper", modules=3, neurons=5, inputs=11, classes=4, lanes=8)
        training = Training(config, 300)
        with Board.open(url, config) as board:
            training.carry_through(board)
        program.send_signal(signal.SIGTERM)
        *_, stopped, summary = program.communicate(timeout=20)[0].splitlines()
        assert stopped == "stopped"
        assert summary.startswith("chaos: ") and "flip" in summary and "stall" in summary
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
