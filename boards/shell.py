"""What goes into a board's FPGA: the core with its UART, a clock, lamps and a button."""

from __future__ import annotations

from amaranth import ClockDomain, Elaboratable, Module

from relaxon.boards import pll
from relaxon.boards.clocking import Clocking
from relaxon.boards.lights import Lights
from relaxon.boards.target import Pin, Target
from relaxon.config import Config
from relaxon.hw.top import Top


class Shell(Elaboratable):
    """`Top` on the pins of a board.

    ::

        clock pin ─▶ PLL ─▶ sync
                      └─ locked ─┐
        uart pins ◀──────────────┴▶ Top ─▶ lights ─▶ LEDs
        button ───────────────────▲

    Parameters
    ----------
    target
        The board.
    config
        The machine.
    setting
        Of the PLL.
    baud
        Of the link.
    build, about, self_test
        As for `relaxon.hw.core.Core`.
    """

    def __init__(
        self, target: Target, config: Config, *, setting: pll.Setting, baud: int, build: int,
        about: bytes, self_test: int | None,
    ):  # fmt: skip
        self._target, self._setting = target, setting
        self._top = Top(
            config, clock_hz=setting.output_hz, baud=baud, build=build, about=about,
            self_test=self_test,
        )  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        target = self._target
        pins = _Pins(platform)
        m.domains.sync = ClockDomain(reset_less=True)
        m.submodules.clocking = clocking = Clocking(target.part, self._setting)
        m.submodules.top = top = self._top
        m.submodules.lights = lights = Lights(self._setting.output_hz)
        uart = pins.of(target.uart)
        m.d.comb += [
            top.rx.eq(uart.rx.i | ~clocking.ready),
            uart.tx.o.eq(top.tx),
            lights.idle.eq(top.idle),
            lights.status.eq(top.status),
        ]
        if target.button is not None:
            m.d.comb += top.start_self_test.eq(pins.of(target.button).i & clocking.ready)
        for lamp, pin in target.leds.items():
            m.d.comb += pins.of(pin).o.eq(getattr(lights, lamp))
        return m


class _Pins:
    """Requests every resource of a platform once, for all of its parts."""

    def __init__(self, platform):
        self._platform, self._made = platform, {}

    def of(self, pin: Pin):
        key = (pin.name, pin.number)
        if key not in self._made:
            self._made[key] = self._platform.request(*key)
        return self._made[key] if pin.part is None else getattr(self._made[key], pin.part)
