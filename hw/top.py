"""The core with a UART: what goes on a board."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from relaxon.baud import cycles_per_bit
from relaxon.config import Config
from relaxon.hw.core import Core
from relaxon.hw.uart import UartReceiver, UartTransmitter


class Top(wiring.Component):
    """A `Core` behind two UART pins.

    Parameters
    ----------
    config
        As for `Core`.
    clock_hz, baud
        Frequency of the `sync` clock, and of the line.
    build
        As for `Core`.

    Members
    -------
    rx : In(1), tx : Out(1)
        The UART's lines, idle high.
    idle : Out(1)
        As `Core`'s.
    """

    def __init__(self, config: Config, *, clock_hz: int, baud: int, build: int = 0):
        self.config, self._build, self._clock_hz = config, build, clock_hz
        self.cycles_per_bit = cycles_per_bit(clock_hz, baud)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core(self.config, build=self._build, clock_hz=self._clock_hz)
        m.submodules.receiver = receiver = UartReceiver(self.cycles_per_bit)
        m.submodules.transmitter = transmitter = UartTransmitter(self.cycles_per_bit)
        wiring.connect(m, receiver.bytes, core.rx)
        wiring.connect(m, core.tx, transmitter.bytes)
        m.d.comb += [
            receiver.line.eq(self.rx),
            self.tx.eq(transmitter.line),
            self.idle.eq(core.idle),
        ]
        return m
