"""OrangeCrab r0.2: an ECP5 on a Feather. It has no USB serial bridge: the link is on its pins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from relaxon.boards.ecp5_networks import ON_25F, ON_85F
from relaxon.boards.parts import ECP5_25F, ECP5_85F, Part
from relaxon.boards.target import Network, Pin, Target


def _platform(size: str):
    from amaranth.build import Attrs
    from amaranth_boards import orangecrab_r0_2 as orangecrab
    from amaranth_boards.resources import UARTResource

    platform = getattr(orangecrab, f"OrangeCrabR0_2_{size}Platform")()
    uart = UARTResource(
        0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
    )
    platform.add_resources([uart])
    return platform


def _board(size: str, part: Part, networks: Mapping[str, Network]) -> Target:
    return Target(
        name=f"orangecrab-{size.lower()}",
        title=f"OrangeCrab r0.2 {size}",
        part=part,
        platform=partial(_platform, size),
        clock_mhz=40,
        link="a 3.3 V serial adapter: its TX on pin 0, its RX on pin 1",
        baud=1_000_000,
        leds={"passed": Pin("rgb_led", 0, "g"), "learning": Pin("rgb_led", 0, "b"),
              "error": Pin("rgb_led", 0, "r")},
        button=Pin("button"),
        networks=networks,
        programmer=("--board", "orangeCrab"),
        permanent=None,
        advice="hold the button while plugging it in: that starts its boot loader",
    )


BOARDS = [
    _board("25F", ECP5_25F, ON_25F),
    _board("85F", ECP5_85F, ON_85F),
]
