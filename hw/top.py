"""The core with a UART: what goes on a board."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from relaxon.baud import cycles_per_bit
from relaxon.config import Config
from relaxon.hw.core import STATUS, Core
from relaxon.hw.uart import UartReceiver, UartTransmitter


class Top(wiring.Component):
    """A `Core` behind two UART pins.

    Parameters
    ----------
    config
        As for `Core`.
    clock_hz, baud
        Frequency of the `sync` clock, and of the line.
    build, about, self_test
        As for `Core`.

    Members
    -------
    rx : In(1), tx : Out(1)
        The UART's lines, idle high.
    idle : Out(1), status : Out(STATUS)
        As `Core`'s.
    start_self_test : In(1)
        A button: its rising edge starts the self-test.
    """

    def __init__(
        self, config: Config, *, clock_hz: int, baud: int, build: int = 0, about: bytes = b"",
        self_test: int | None = None,
    ):  # fmt: skip
        self.config = config
        self._core = Core(
            config, build=build, clock_hz=clock_hz, about=about, self_test=self_test
        )
        self.cycles_per_bit = cycles_per_bit(clock_hz, baud)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "idle": Out(1),
                "start_self_test": In(1),
                "status": Out(STATUS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._core
        m.submodules += FFSynchronizer(self.start_self_test, core.start_self_test)
        m.submodules.receiver = receiver = UartReceiver(self.cycles_per_bit)
        m.submodules.transmitter = transmitter = UartTransmitter(self.cycles_per_bit)
        wiring.connect(m, receiver.bytes, core.rx)
        wiring.connect(m, core.tx, transmitter.bytes)
        m.d.comb += [
            receiver.line.eq(self.rx),
            self.tx.eq(transmitter.line),
            self.idle.eq(core.idle),
            self.status.eq(core.status),
        ]
        return m
