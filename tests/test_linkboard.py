"""A board at the end of a link does what the model does, and refuses what does not fit."""

from __future__ import annotations

import itertools
import time
import warnings

import numpy as np
import pytest
from recorded import Recorded, random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.board import Board
from relaxon.build_id import build_id
from relaxon.errors import ConfigError, DataError, IdentityError, LinkError
from relaxon.framing import encode
from relaxon.layout import ARRAYS
from relaxon.linkboard import BuildWarning, LinkBoard
from relaxon.protocol import COUNTERS, Status
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.twin import Twin, TwinTransport
from relaxon.transport import Transport

CONFIG = Config(modules=3, neurons=6, inputs=11, classes=4, lanes=8)
NONE = dict.fromkeys(Couplings.NAMES, 0)


@pytest.fixture
def board() -> LinkBoard:
    board = LinkBoard(TwinTransport(Twin(CONFIG)), CONFIG, timeout=0.5)
    board.load(random_couplings(CONFIG, seed=5))
    return board


def test_golden_couplings_come_back_identical(golden: Recorded):
    board = LinkBoard(TwinTransport(Twin(golden.config)), golden.config)
    board.load(golden.before)
    assert board.couplings().differences(golden.before) == NONE


def test_a_recorded_run_comes_out_the_same(tiny: Recorded):
    with LinkBoard(TwinTransport(Twin(tiny.config)), tiny.config) as board:
        board.load(tiny.before)
        assert (board.train(tiny.x, tiny.y).prediction == tiny.prediction).all()
        assert (board.read("state") == tiny.state).all()
        assert board.couplings().differences(tiny.after) == NONE
        after = board.infer(tiny.x[: len(tiny.prediction_after)])
        assert (after.prediction == tiny.prediction_after).all()


@pytest.mark.parametrize(
    "config",
    [
        Config(modules=5, neurons=3, inputs=17, classes=5, lanes=8, weight_bits=6),
        Config(modules=2, neurons=9, inputs=8, classes=2, lanes=4, weight_bits=10, readout_bits=16),
        Config.preset("modules", modules=4, neurons=8, inputs=20, classes=3, lanes=32),
        Config(modules=3, neurons=7, inputs=9).with_registers(chain_coupling=60, gate_enable=1),
    ],
    ids=["narrow", "wide", "gated", "chain"],
)
def test_everything_equals_the_model(config: Config):
    link, model = LinkBoard(TwinTransport(Twin(config)), config), ModelBoard(config)
    x, y = random_samples(config, 150, seed=3)
    for machine in (link, model):
        machine.load(random_couplings(config, seed=4))
    for run in (lambda b: b.train(x, y), lambda b: b.infer(x)):
        one, other = run(link), run(model)
        for name in vars(one):
            a, b = getattr(one, name), getattr(other, name)
            assert a.dtype == b.dtype and (a == b).all(), name
    assert (link.scores(x) == model.scores(x)).all()
    for name in ARRAYS:
        assert (link.read(name) == model.read(name)).all(), name
    counters = link.counters()
    assert {name: counters[name] for name in model.counters()} == model.counters()
    assert list(counters) == [c.name for c in COUNTERS]


def test_outcome_arrays_can_be_written_to(board: LinkBoard):
    board.infer(random_samples(CONFIG, 3, seed=0)[0]).prediction[0] = 1


def test_no_samples_are_no_samples(board: LinkBoard):
    none = np.zeros((0, 11), int)
    assert board.train(none, []).prediction.shape == (0,)
    assert board.scores(none).shape == (0, 4)


def test_progress_adds_up_to_the_samples(board: LinkBoard):
    told: list[int] = []
    board.train(*random_samples(CONFIG, 300, seed=1), progress=told.append)
    assert sum(told) == 300 and all(count > 0 for count in told)


def test_counters_can_be_cleared(board: LinkBoard):
    board.infer(random_samples(CONFIG, 5, seed=1)[0])
    board.clear_counters()
    counters = board.counters()
    assert counters.pop("frames") < 8
    assert set(counters.values()) == {0}


def test_without_a_configuration_the_boards_own_is_taken():
    twin = Twin(CONFIG.with_registers(margin=99, gate_enable=1))
    board = LinkBoard(TwinTransport(twin))
    assert board.config == twin.config


def test_registers_of_the_configuration_are_written():
    twin = Twin(CONFIG)
    wanted = CONFIG.replace(registers=CONFIG.registers.replace(margin=7, sweeps_infer=5))
    assert LinkBoard(TwinTransport(twin), wanted).registers == wanted.registers
    board = LinkBoard(TwinTransport(twin))
    assert board.config == wanted
    board.registers = CONFIG.registers
    assert board.registers == CONFIG.registers == board.config.registers


def test_registers_that_the_fields_cannot_hold_are_refused(board: LinkBoard):
    before = board.registers
    with pytest.raises(ConfigError, match="field_bits"):
        board.registers = before.replace(self_coupling=2**23 - 1)
    assert board.registers == before == board.config.registers


def test_every_difference_to_the_machine_wanted_is_listed():
    wanted = CONFIG.replace(neurons=64, lanes=32, weight_bits=9, field_bits=20)
    with pytest.raises(IdentityError) as caught:
        LinkBoard(TwinTransport(Twin(CONFIG)), wanted)
    for difference in ("neurons: board 6, wanted 64", "lanes: board 8, wanted 32",
                       "weight_bits: board 8, wanted 9", "field_bits: board 16, wanted 20"):
        assert difference in str(caught.value)
    assert "modules" not in str(caught.value)


def test_another_build_is_warned_of_and_told():
    with pytest.warns(BuildWarning, match="another build .0x0000004d."):
        board = LinkBoard(TwinTransport(Twin(CONFIG, build=77)), CONFIG, timeout=0.5)
    assert board.identity.build == 77


def test_the_same_build_and_an_unknown_one_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for build in (0, build_id(CONFIG)):
            LinkBoard(TwinTransport(Twin(CONFIG, build=build)), CONFIG, timeout=0.5)


def test_opening_fails_with_the_transport_closed():
    transport = TwinTransport(Twin(CONFIG))
    with pytest.raises(IdentityError):
        LinkBoard(transport, CONFIG.replace(classes=9))
    with pytest.raises(LinkError, match="closed"):
        transport.read(0)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("weights", np.zeros(3), "array must be one of"),
        ("input", np.zeros((3, 6, 10), int), r"input must have shape \(3, 6, 11\)"),
        ("input", np.full((3, 6, 11), 128), "input must lie in -127"),
        ("recurrent", np.ones((3, 6, 6), int), "zero diagonal"),
        ("readout", np.zeros((4, 3, 6)), "readout must hold integers"),
        ("state", np.zeros((3, 6), int), "state must hold -1 and"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_written(board: LinkBoard, name, wrong, message):
    with pytest.raises(DataError, match=message):
        board.write(name, wrong)
    assert board.couplings().differences(random_couplings(CONFIG, seed=5)) == NONE


def test_the_state_can_be_written(board: LinkBoard):
    state = np.random.default_rng(0).choice([-1, 1], (3, 6))
    board.write("state", state)
    assert (board.read("state") == state).all()


def test_unknown_arrays_and_samples_that_do_not_fit_are_refused(board: LinkBoard):
    with pytest.raises(DataError, match="array must be one of"):
        board.read("weights")
    with pytest.raises(DataError, match="x must hold"):
        board.infer(np.zeros((2, 11), int))
    with pytest.raises(DataError, match="y must lie in 0 to 3"):
        board.train(np.ones((1, 11), int), [4])


def test_a_board_that_holds_nonsense_is_not_believed():
    config = CONFIG.replace(weight_bits=5)
    twin = Twin(config)
    board = LinkBoard(TwinTransport(twin), config)
    twin.memory.model.input[0, 0, 0] = 100
    twin.memory.moved()
    with pytest.raises(LinkError, match="read from TwinTransport: input must lie in -15"):
        board.read("input")


def test_a_board_that_answers_nonsense_is_not_believed(board: LinkBoard):
    def instead(direction, frame):
        body = bytes([200, 0, 0, 0, 0, 0])
        return frame if direction == "request" else encode(bytes((sequence, Status.OK)) + body)

    sequence = board.session._next
    board.session.transport.alter = instead  # type: ignore[attr-defined]
    with pytest.raises(LinkError, match="a prediction out of range for sample 0"):
        board.infer(np.ones((1, 11), int))
    sequence = board.session._next
    with pytest.raises(LinkError, match="SCORE with 6 bytes, not 22"):
        board.scores(np.ones((1, 11), int))


def test_every_call_gives_up_in_time():
    class Deaf(TwinTransport):
        deaf = False

        def write(self, data: bytes) -> None:
            if not self.deaf:
                super().write(data)

    transport = Deaf(Twin(CONFIG))
    x, y = random_samples(CONFIG, 2, seed=0)
    board = LinkBoard(transport, CONFIG, timeout=0.1)
    transport.deaf = True
    calls = [
        lambda: board.train(x, y), lambda: board.infer(x), lambda: board.scores(x),
        lambda: board.read("state"), lambda: board.write("state", np.ones((3, 6))),
        lambda: board.registers, lambda: setattr(board, "registers", CONFIG.registers),
        board.counters, board.clear_counters, lambda: board.set_counters({"samples": 1}),
        board.build_info, board.couplings, lambda: board.load(random_couplings(CONFIG, seed=5)),
        board.session.resynchronise, lambda: LinkBoard(transport, CONFIG, timeout=0.1),
    ]
    for call in calls:
        began = time.monotonic()
        with pytest.raises(LinkError, match=r"0\.1 s"):
            call()
        assert time.monotonic() - began < 0.6


def test_ctrl_c_in_training_leaves_the_board_readable(board: LinkBoard):
    x, y = random_samples(CONFIG, 400, seed=3)
    left = itertools.count(100, -1)

    def strike(direction, frame):
        if next(left) == 0:
            raise KeyboardInterrupt
        return frame

    board.session.transport.alter = strike  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        board.train(x, y)
    done = board.counters()["samples"]
    assert 0 < done < 400
    model = ModelBoard(CONFIG)
    model.load(random_couplings(CONFIG, seed=5))
    model.train(x[:done], y[:done])
    assert board.couplings().differences(model.couplings()) == NONE
    board.train(x[done:], y[done:])
    model.train(x[done:], y[done:])
    assert board.couplings().differences(model.couplings()) == NONE


class Canned(Transport):
    """A board that answers every sample at once and computes nothing; the rest does a twin."""

    def __init__(self, config: Config):
        self.twin = TwinTransport(Twin(config))
        body = bytes([1, 1, 4, 0, 5, 0])
        self.replies = [encode(bytes((k, Status.OK)) + body) for k in range(256)]
        self.sequence = -1
        self.waiting = b""

    def write(self, data: bytes) -> None:
        if self.sequence < 0:
            return self.twin.write(data)
        for _ in range(data.count(0)):
            self.waiting += self.replies[self.sequence]
            self.sequence = (self.sequence + 1) & 0xFF

    def read(self, timeout: float) -> bytes:
        if self.sequence < 0:
            return self.twin.read(timeout)
        data, self.waiting = self.waiting, b""
        return data

    def close(self) -> None: ...


def test_the_host_is_not_the_bottleneck():
    """60 000 to 130 000 samples a second were measured; a busy machine must not fail the test."""
    config = Config(inputs=100)
    transport = Canned(config)
    board = LinkBoard(transport, config)
    transport.sequence = board.session._next
    x, y = random_samples(config, 20_000, seed=0)
    rates = []
    for _ in range(3):
        began = time.process_time()
        assert (board.train(x, y).prediction == 1).all()
        rates.append(len(x) / (time.process_time() - began))
    assert max(rates) > 20_000


@pytest.mark.parametrize("url", ["", "modle", "serial", "serial:", "tcp:", "usb:1", "sim:x"])
def test_unknown_urls_name_the_known_forms(url: str):
    with pytest.raises(ConfigError, match=r"no such board .*serial:PORT\[@BAUD\]"):
        Board.open(url, CONFIG)


@pytest.mark.parametrize("url", ["model", "sim"])
def test_computed_boards_need_a_configuration(url: str):
    with pytest.raises(ConfigError, match=f"board {url} needs a configuration"):
        Board.open(url)


def test_the_model_is_opened():
    with Board.open("model", CONFIG) as board:
        assert board.config == CONFIG
