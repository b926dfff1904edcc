"""Sipeed Tang Nano 9K: Gowin GW1NR-9."""

from __future__ import annotations

from relaxon.boards.parts import GW1NR_9C
from relaxon.boards.target import LAMPS, Network, Nextpnr, Pin, Target


def _platform():
    from amaranth_boards.tang_nano_9k import TangNano9kPlatform

    return TangNano9kPlatform()


BOARDS = [
    Target(
        name="tang-nano-9k",
        title="Sipeed Tang Nano 9K",
        part=GW1NR_9C,
        platform=_platform,
        clock_mhz=54,
        margin=0.2,  # the open timing model of Gowin's parts is optimistic
        link="USB serial port (BL702), the second of its two",
        baud=1_000_000,
        leds={lamp: Pin("led", number) for number, lamp in enumerate(LAMPS)},
        button=Pin("button"),
        store="column",
        networks={
            # RAM of LUTs fits few places, and where cells may not lie densely, too few are free
            "modules": Network(modules=7, lanes=4, nextpnr=Nextpnr(density=0.95)),
            "single": Network(modules=1, neurons=128, lanes=4),
            "mnist": Network(modules=1, inputs=784, lanes=4),
        },
        programmer=("--board", "tangnano9k"),
    )
]
