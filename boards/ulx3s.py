"""Radiona ULX3S with any of its four ECP5."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from relaxon.boards.ecp5_networks import ON_25F, ON_45F, ON_85F
from relaxon.boards.parts import ECP5_12F, ECP5_25F, ECP5_45F, ECP5_85F, Part
from relaxon.boards.target import LAMPS, Network, Pin, Target


def _platform(size: str):
    from amaranth_boards import ulx3s

    return getattr(ulx3s, f"ULX3S_{size}_Platform")()


def _board(
    size: str, part: Part, networks: Mapping[str, Network], store: str = "skewed"
) -> Target:
    return Target(
        name=f"ulx3s-{size.lower()}",
        title=f"Radiona ULX3S-{size}",
        part=part,
        platform=partial(_platform, size),
        clock_mhz=60,
        store=store,
        link="USB serial port US1 (FT231X)",
        baud=3_000_000,
        leds={lamp: Pin("led", number) for number, lamp in enumerate(LAMPS)},
        button=Pin("button_fire"),
        networks=networks,
        programmer=("--board", "ulx3s"),
    )


ON_12F = {
    "modules": Network(modules=8, lanes=8),
    "single": Network(modules=1, neurons=160, lanes=8),
    "mnist": Network(modules=1, inputs=784, lanes=8),
}
BOARDS = [
    _board("12F", ECP5_12F, ON_12F, "column"),
    _board("25F", ECP5_25F, ON_25F),
    _board("45F", ECP5_45F, ON_45F),
    _board("85F", ECP5_85F, ON_85F),
]
