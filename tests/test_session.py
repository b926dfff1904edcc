"""Commands are executed exactly once and in order, whatever happens to frames."""

from __future__ import annotations

import itertools
import statistics
import time

import numpy as np
import pytest
from faults import QUICK, Training, messages, quick_board
from recorded import random_samples

from relaxon import Config
from relaxon.errors import CommandError, IdentityError, LinkError, ResetError
from relaxon.framing import encode
from relaxon.layout import Layout
from relaxon.linkboard import LinkBoard
from relaxon.protocol import (
    ACCESS,
    CRC_BYTES,
    FRAME_OVERHEAD,
    HEADER_BYTES,
    IDENTITY,
    VERSION,
    WINDOW,
    Opcode,
    Space,
    Status,
)
from relaxon.session import Identity, Session
from relaxon.sim.chaos import Chaos, ChaosTransport
from relaxon.sim.twin import Direction, Twin, TwinTransport
from relaxon.transport import Transport

CONFIG = Config(modules=2, neurons=5, inputs=9, classes=3, lanes=4)


def read_command(space: Space, address: int, count: int) -> bytes:
    return bytes((Opcode.READ,)) + ACCESS.pack(space=space, address=address, count=count)


def write_command(space: Space, address: int, data: bytes) -> bytes:
    count = len(data) // Layout(CONFIG).word_bytes(space)
    return bytes((Opcode.WRITE,)) + ACCESS.pack(space=space, address=address, count=count) + data


def test_identity_has_the_fields_of_the_protocol():
    assert list(Identity.__dataclass_fields__) == list(IDENTITY.types)


def test_replies_come_in_the_order_of_the_commands():
    session = Session(TwinTransport(Twin(CONFIG)))
    values = [bytes([k, 0, 0, 0]) for k in range(8)]
    commands = [write_command(Space.REGISTERS, 2, value) for value in values]
    reads = [read_command(Space.REGISTERS, 2, 1)] * len(values)
    interleaved = itertools.chain.from_iterable(zip(commands, reads, strict=True))
    assert [body for body in session.run(interleaved) if body] == values


def test_sequence_numbers_go_round():
    session = Session(TwinTransport(Twin(CONFIG)))
    assert len(list(session.run(itertools.repeat(read_command(Space.STATE, 0, 1), 1000)))) == 1000
    assert session.statistics.retransmissions == 0


@pytest.mark.parametrize("rate", [0.01, 0.1])
@pytest.mark.parametrize("seed", range(4))
def test_training_is_exactly_once_under_random_faults(seed: int, rate: float):
    share = rate / 3
    chaos = Chaos(flip=share / 10, drop=share, duplicate=share, truncate=share, seed=seed)
    link = ChaosTransport(TwinTransport(Twin(CONFIG)), chaos)
    Training(CONFIG, 300 if rate < 0.1 else 60).carry_through(quick_board(link, CONFIG))
    assert link.met.total() > 3


class Meter(TwinTransport):
    """Measures what is under way: frames written whose replies have not been read."""

    def __init__(self, twin: Twin):
        super().__init__(twin)
        self.sizes: list[int] = []
        self.most_frames = self.most_bytes = 0

    def write(self, data: bytes) -> None:
        self.sizes += [len(message) + CRC_BYTES for message in messages(data)]
        self.most_frames = max(self.most_frames, len(self.sizes))
        self.most_bytes = max(self.most_bytes, sum(self.sizes))
        super().write(data)

    def read(self, timeout: float) -> bytes:
        data = super().read(timeout)
        del self.sizes[: data.count(0)]
        return data


def test_the_window_is_used_and_never_exceeded():
    meter = Meter(Twin(CONFIG))
    board = quick_board(meter, CONFIG)
    board.train(*random_samples(CONFIG, 200, seed=2))
    assert meter.most_frames == WINDOW == 15


def test_the_byte_credit_is_used_and_never_exceeded():
    config = Config(neurons=256, inputs=3, classes=2, lanes=256)
    layout = Layout(config)
    meter = Meter(Twin(config))
    board = LinkBoard(meter, config)
    board.write("recurrent", np.zeros((1, 256, 256), int))
    frame = FRAME_OVERHEAD + ACCESS.size + 256
    assert layout.rx_bytes - frame < meter.most_bytes <= layout.rx_bytes
    assert meter.most_frames < WINDOW


def test_a_frame_that_cannot_fit_is_refused_before_it_is_sent():
    session = Session(TwinTransport(Twin(CONFIG)))
    with pytest.raises(LinkError, match="does not fit the board's receive buffer"):
        session.call(bytes(5000))


class Silence(Transport):
    """Nobody is there; or somebody is, until `mute` is set."""

    def __init__(self, inner: Transport | None = None, noise: bytes = b""):
        self.inner, self.noise, self.mute = inner, noise, inner is None

    def write(self, data: bytes) -> None:
        if self.inner and not self.mute:
            self.inner.write(data)

    def read(self, timeout: float) -> bytes:
        if self.inner and not self.mute:
            return self.inner.read(timeout)
        time.sleep(min(timeout, 0.01))
        return self.noise

    def close(self) -> None: ...


def test_nobody_there_is_told_in_time():
    began = time.monotonic()
    with pytest.raises(LinkError, match=r"did not answer within 0\.2 s; is it powered"):
        Session(Silence(), timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 1


def test_a_board_that_hears_little_is_asked_often():
    """Eight time-outs fit into the time that one wait may take."""
    unheard = iter(range(6))

    def deaf(direction: Direction, frame: bytes) -> bytes:
        hello = direction == "request" and bool(messages(frame))
        return b"" if hello and next(unheard, None) is not None else frame

    session = Session(TwinTransport(Twin(CONFIG), deaf), timeout=0.8)
    assert session.call(read_command(Space.STATE, 0, 1)) == bytes(1)


def test_noise_for_ever_is_told_in_time():
    with pytest.raises(LinkError, match="broken frames arrived: is the baud rate right"):
        Session(Silence(noise=b"\x55\xaa\x00"), timeout=0.2)


def test_silence_in_the_middle_is_told_in_time_with_what_was_outstanding():
    transport = Silence(TwinTransport(Twin(CONFIG)))
    session = Session(transport, timeout=0.3)
    transport.mute = True
    began = time.monotonic()
    with pytest.raises(LinkError, match="3 commands outstanding, the oldest READ .* number 0"):
        list(session.run([read_command(Space.STATE, 0, 1)] * 3))
    assert 0.3 <= time.monotonic() - began < 1
    assert session.statistics.retransmissions >= 3
    transport.mute = False
    assert session.call(read_command(Space.STATE, 0, 1)) == bytes(1)


def test_a_refused_command_is_told_and_the_session_goes_on():
    session = Session(TwinTransport(Twin(CONFIG)))
    good = read_command(Space.STATE, 0, 1)
    with pytest.raises(CommandError, match=r"refused opcode 0x63: BAD_OPCODE \(the opcode"):
        list(session.run([good, b"\x63", good]))
    with pytest.raises(CommandError, match="refused READ: BAD_ADDRESS"):
        session.call(read_command(Space.STATE, 9, 1))
    assert session.call(good) == bytes(1)


@pytest.mark.parametrize("calls", [0, 1, 40, 255, 256])  # after 256 its next number is the board's
def test_a_board_that_was_reset_is_noticed(calls: int):
    transport = TwinTransport(Twin(CONFIG))
    session = Session(transport)
    assert session.fresh
    list(session.run([read_command(Space.STATE, 0, 1)] * calls))
    transport.twin = Twin(CONFIG)
    for _ in range(2):
        with pytest.raises(ResetError, match="powered up or reset since it was opened"):
            session.call(read_command(Space.STATE, 0, 1))
    session = Session(transport)
    assert session.fresh and not Session(transport).fresh
    assert session.call(read_command(Space.STATE, 0, 1)) == bytes(1)


def test_somebody_else_on_the_board_is_noticed():
    transport = TwinTransport(Twin(CONFIG))
    session = Session(transport)
    list(Session(transport).run([read_command(Space.STATE, 0, 1)] * 40))
    with pytest.raises(LinkError, match="lost its place: it expects sequence number 40"):
        session.call(read_command(Space.STATE, 0, 1))


def test_another_board_in_its_place_is_noticed():
    transport = TwinTransport(Twin(CONFIG))
    session = Session(transport)
    next(session.run([read_command(Space.STATE, 0, 1)] * 3))
    transport.twin = Twin(CONFIG, build=7)
    with pytest.raises(IdentityError, match="another board"):
        session.call(read_command(Space.STATE, 0, 1))


def test_a_new_session_goes_on_where_the_board_is():
    twin = Twin(CONFIG)
    for expected in (0, 3, 6):
        session = Session(TwinTransport(twin))
        assert session.identity.expected == expected
        list(session.run([read_command(Space.STATE, 0, 1)] * 3))


def test_copies_of_an_old_greeting_are_not_taken_for_replies():
    late: list[bytes] = []

    def hold_greetings(direction: Direction, frame: bytes) -> bytes:
        """Every HELLO is answered a second time with the next reply."""
        if direction == "request":
            return frame
        (message,) = messages(frame)
        if len(message) == HEADER_BYTES + IDENTITY.size:
            late.append(frame)
            return frame
        return b"".join(late) + frame

    session = Session(TwinTransport(Twin(CONFIG), hold_greetings))
    late.pop(0)  # the first greeting's answer passes before the second one's
    assert session.call(read_command(Space.STATE, 0, 1)) == bytes(1)
    assert session.statistics.stale == 1


def test_another_protocol_version_is_refused():
    def older(direction: Direction, frame: bytes) -> bytes:
        if direction == "request":
            return frame
        (message,) = messages(frame)
        at = HEADER_BYTES + IDENTITY.offsets()["version"][0]
        return encode(message[:at] + b"\x63" + message[at + 1 :])

    with pytest.raises(IdentityError, match=f"speaks protocol version 99, this host {VERSION}"):
        Session(TwinTransport(Twin(CONFIG), older))


def test_an_abandoned_stream_does_not_disturb_the_next():
    session = Session(TwinTransport(Twin(CONFIG)))
    stream = session.run([read_command(Space.REGISTERS, k % 3, 1) for k in range(100)])
    next(stream)
    assert session.call(read_command(Space.STATE, 0, 1)) == bytes(1)
    with pytest.raises(LinkError, match="given up"):
        list(stream)
    assert session.statistics.resynchronised == 1
    assert session.call(read_command(Space.STATE, 0, 1)) == bytes(1)


def test_a_command_source_that_fails_does_not_disturb_the_next():
    session = Session(TwinTransport(Twin(CONFIG)))

    def commands():
        yield read_command(Space.STATE, 0, 1)
        raise RuntimeError("no more data")

    with pytest.raises(RuntimeError):
        list(session.run(commands()))
    assert session.call(read_command(Space.STATE, 0, 1)) == bytes(1)


class Interrupting(TwinTransport):
    """Ctrl-C at the `countdown`th transport call, before or after it has done its work."""

    def __init__(self, twin: Twin, after: bool):
        super().__init__(twin)
        self.countdown, self.after = -1, after

    def write(self, data: bytes) -> None:
        self._strike(before=True)
        super().write(data)
        self._strike(before=False)

    def read(self, timeout: float) -> bytes:
        self._strike(before=True)
        data = super().read(timeout)
        self._strike(before=False)
        return data

    def _strike(self, before: bool) -> None:
        if before:
            self.countdown -= 1
        if self.countdown == 0 and before != self.after:
            self.countdown = -1
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [False, True])
def test_ctrl_c_anywhere_leaves_the_board_readable(after: bool):
    training = Training(CONFIG, 50, whole=True)
    x, y = training.x, training.y
    for countdown in itertools.count(1):
        transport, enough = Interrupting(Twin(CONFIG), after), False
        board = quick_board(transport, CONFIG)
        board.load(training.start)
        transport.countdown = countdown
        try:
            board.train(x, y)
            enough = transport.countdown > 0  # the whole training took fewer calls
            transport.countdown = -1
        except KeyboardInterrupt:
            samples = board.counters()["samples"]
            training.check(board, samples)
            board.train(x[samples:], y[samples:])
        training.check(board, training.n)
        if enough:
            break
    assert countdown > 6


def test_ctrl_c_in_the_middle_of_a_write_leaves_half_a_frame_and_no_harm():
    class Half(Interrupting):
        def write(self, data: bytes) -> None:
            if self.countdown == 1:
                self.countdown = -1
                super().write(data[: len(data) // 2 + 3])
                raise KeyboardInterrupt
            self.countdown -= self.countdown > 0
            super().write(data)

        def _strike(self, before: bool) -> None: ...

    training = Training(CONFIG, 50, whole=True)
    transport = Half(Twin(CONFIG), after=False)
    board = quick_board(transport, CONFIG)
    board.load(training.start)
    transport.countdown = 2
    with pytest.raises(KeyboardInterrupt):
        board.train(training.x, training.y)
    counters = board.counters()
    assert 0 < counters["samples"] < training.n and counters["bad_frames"] == 1
    training.check(board, counters["samples"])


def test_a_slow_board_is_asked_again_but_not_for_ever():
    """After it has been seen to take its time, it is given the time."""

    class Slow(TwinTransport):
        def __init__(self, twin: Twin):
            super().__init__(twin)
            self.delay = 0.0

        def read(self, timeout: float) -> bytes:
            if self._arrived and timeout < self.delay:
                time.sleep(timeout)
                return b""
            time.sleep(self.delay)
            first, zero, rest = self._arrived.partition(b"\0")
            self._arrived = rest
            return first + zero

    transport = Slow(Twin(CONFIG))
    session = Session(transport, timeout=2.0, retry=0.01)
    transport.delay = 0.03
    assert len(list(session.run([read_command(Space.STATE, 0, 1)] * 60))) == 60
    assert 1 <= session.statistics.time_outs <= 4
    assert session.statistics.stale > 0


def test_a_link_that_loses_much_is_not_waited_for_longer_and_longer():
    link = ChaosTransport(TwinTransport(Twin(CONFIG)), Chaos(drop=0.15))
    session = Session(link, timeout=5.0, retry=QUICK)
    patience = [session._patience for _ in session.run([read_command(Space.STATE, 0, 1)] * 600)]
    assert session.statistics.time_outs > 40
    assert statistics.mean(patience) < 20 * QUICK


def test_unknown_status_is_an_error_not_a_crash():
    def odd(direction: Direction, frame: bytes) -> bytes:
        if direction == "request":
            return frame
        (message,) = messages(frame)
        return frame if message[1] == Status.OK else encode(bytes((message[0], 0x77)))

    session = Session(TwinTransport(Twin(CONFIG), odd))
    with pytest.raises(CommandError, match="status 0x77"):
        session.call(b"\x63")
