"""The simulated board behind a line of a given rate: of line and machine, the slower never waits."""

from __future__ import annotations

import numpy as np
import pytest
from recorded import random_samples

from relaxon import Config, Couplings
from relaxon.errors import ConfigError
from relaxon.framing import encode
from relaxon.linkboard import LinkBoard
from relaxon.protocol import Opcode
from relaxon.session import Session
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.simulated import SimulatedTransport

CLOCK_HZ = 48_000_000
CONFIG = Config(modules=1, neurons=32, inputs=100, lanes=16)
LARGE = Config(modules=1, neurons=16, inputs=784, lanes=16)
SLOW = CONFIG.replace(lanes=4, store="column")
"""Its samples take longer than their frames do on a line of 12 Mbaud."""
SAMPLES = 1000


class Meter(SimulatedTransport):
    """A simulated board that tells how many bytes were sent each way, and in how many cycles."""

    def __init__(self, config: Config, *, interval: int):
        super().__init__(config, interval=interval)
        self.interval = interval
        self.clear()

    def clear(self) -> None:
        """From now on."""
        self.sent = self.received = 0
        self._since = self.cycles

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        super().write(data)

    def read(self, timeout: float) -> bytes:
        data = super().read(timeout)
        self.received += len(data)
        return data

    @property
    def passed(self) -> int:
        """Cycles."""
        return self.cycles - self._since

    def use(self) -> tuple[float, float]:
        """The shares of the time in which a byte was on the line to, and from, the board."""
        return tuple(n * self.interval / self.passed for n in (self.sent, self.received))


def interval(baud: int) -> int:
    """Cycles that a UART takes for a byte."""
    return 10 * CLOCK_HZ // baud


@pytest.mark.parametrize(
    "config, baud, samples", [(CONFIG, 3_000_000, SAMPLES), (LARGE, 12_000_000, SAMPLES // 4)],
    ids=["100-inputs-3M", "784-inputs-12M"],
)  # fmt: skip
def test_a_slow_line_is_used_all_the_time(config: Config, baud: int, samples: int) -> None:
    x, y = random_samples(config, samples, seed=1)
    start = Couplings.fresh(config, 1)
    meter = Meter(config, interval=interval(baud))
    with LinkBoard(meter, config, timeout=60) as board, ModelBoard(config) as model:
        board.load(start)
        model.load(start)
        board.clear_counters()
        meter.clear()
        got = board.train(x, y)
        there, back = meter.use()
        cycles = meter.passed
        counters = board.counters()
        assert np.array_equal(got.prediction, model.train(x, y).prediction)
        assert not any(board.couplings().differences(model.couplings()).values())
    computing = counters["cycles"] / cycles
    print(
        f"\n{baud} baud, N={config.inputs}: {there:.2%} of the line to the board, {back:.2%} back, "
        f"{computing:.2%} of the time computing, {cycles / samples:.0f} cycles a sample"
    )
    assert there > 0.95
    assert board.session.statistics.retransmissions == 0


def test_the_machine_never_waits_for_a_fast_line() -> None:
    x, y = random_samples(SLOW, SAMPLES, seed=2)
    with LinkBoard(Meter(SLOW, interval=interval(12_000_000)), SLOW) as board:
        board.load(Couplings.fresh(SLOW, 2))
        waits = []
        for part in (slice(1), slice(1, None)):
            board.clear_counters()
            board.train(x[part], y[part])
            waits.append(board.counters()["cycles_link"])
    print(f"\ncycles_link: {waits[0]} for one sample, {waits[1]} for {len(x) - 1} more")
    assert waits[1] == waits[0]


def test_the_line_carries_a_byte_in_so_many_cycles_each_way() -> None:
    slow, quick = (SimulatedTransport(CONFIG, interval=n) for n in (100, 1))
    taken = []
    for transport in (slow, quick):
        session = Session(transport)
        before = transport.cycles
        session.call(bytes([Opcode.INFER]) + bytes([0x55] * 13))
        taken.append(transport.cycles - before)
    request = encode(bytes([session._next, Opcode.INFER]) + bytes([0x55] * 13))
    answer = 1 + 2 + 6 + 4 + 1
    line = 99 * (len(request) + answer - 1)
    assert abs(taken[0] - taken[1] - line) < 110


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 cycle"):
        SimulatedTransport(CONFIG, interval=0)
