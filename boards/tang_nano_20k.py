"""Sipeed Tang Nano 20K: Gowin GW2AR-18. Pins as on Sipeed's schematic (TANG_NANO_20K_3921)."""

from __future__ import annotations

from relaxon.boards.parts import GW2AR_18C
from relaxon.boards.target import LAMPS, Network, Pin, Target


def _platform():
    from amaranth.build import Attrs, Clock, Pins, Resource
    from amaranth.vendor import GowinPlatform
    from amaranth_boards.resources import ButtonResources, LEDResources, UARTResource

    class TangNano20KPlatform(GowinPlatform):
        part = "GW2AR-LV18QN88C8/I7"
        family = "GW2AR-18C"
        default_clk = "clk27"
        resources = [
            Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), Attrs(IO_TYPE="LVCMOS33")),
            *LEDResources(pins="15 16 17 18 19 20", invert=True, attrs=Attrs(IO_TYPE="LVCMOS33")),
            # to 3.3 V when pressed
            *ButtonResources(pins="88 87", attrs=Attrs(PULL_MODE="DOWN", IO_TYPE="LVCMOS33")),
            UARTResource(0, rx="70", tx="69", attrs=Attrs(PULL_MODE="UP", IO_TYPE="LVCMOS33")),
        ]
        connectors = []

    return TangNano20KPlatform()


BOARDS = [
    Target(
        name="tang-nano-20k",
        title="Sipeed Tang Nano 20K",
        part=GW2AR_18C,
        platform=_platform,
        clock_mhz=81,
        margin=0.2,
        link="USB serial port (BL616)",
        baud=1_000_000,
        leds={lamp: Pin("led", number) for number, lamp in enumerate(LAMPS)},
        button=Pin("button"),
        store="column",
        networks={
            "modules": Network(modules=15, lanes=8),
            "single": Network(modules=1, neurons=224, lanes=8),
            "mnist": Network(modules=3, inputs=784, lanes=8),
        },
        programmer=("--board", "tangnano20k"),
    )
]
