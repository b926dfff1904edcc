"""iCEBreaker: iCE40UP5K, weights in its four SPRAMs."""

from __future__ import annotations

from relaxon.boards.parts import ICE40_UP5K
from relaxon.boards.target import Network, Pin, Target


def _platform():
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


BOARDS = [
    Target(
        name="icebreaker",
        title="1BitSquared iCEBreaker",
        part=ICE40_UP5K,
        platform=_platform,
        clock_mhz=30,
        link="USB serial port (FT2232H, interface B)",
        baud=3_000_000,
        leds={"passed": Pin("led", 1), "error": Pin("led", 0)},  # green, red
        button=Pin("button"),
        store="column",
        networks={
            "modules": Network(modules=24, lanes=8),
            # its fields have 18 bits, for which 8 lanes have no room in block RAM
            "single": Network(modules=1, neurons=296, lanes=4),
        },
        programmer=("--board", "ice40_generic"),
        permanent=None,
    )
]
