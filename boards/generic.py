"""The gateware as SystemVerilog for any other flow."""

from __future__ import annotations

from typing import Literal

from relaxon import __version__, build_info
from relaxon.boards.embedding import MEANING, ports
from relaxon.build_id import build_id
from relaxon.config import Config
from relaxon.hw.core import Core
from relaxon.hw.top import Top
from relaxon.hw.verilog import emit
from relaxon.sim.selftest import expected

LINE = {
    "rx": "serial line from the host, idle high; brought into step with the clock inside",
    "tx": "serial line to the host, idle high",
    "start_self_test": "its rising edge starts the self-test; brought into step with the clock inside",
}
"""Ports of `Top` that `Core` has not, or not so."""


def generic_verilog(
    config: Config, component: Literal["core", "top"], *, name: str, clock_hz: int, baud: int
) -> str:
    """A module and, at its head, what it is and what its ports are.

    Parameters
    ----------
    config
        The machine.
    component
        "core", with a stream of bytes each way, or "top", with a UART around it.
    name
        Of the module.
    clock_hz, baud
        Told to the host, and the UART's.

    Raises
    ------
    ConfigError
        The clock cannot make the line rate (top).
    ToolError
        As `relaxon.hw.verilog.emit`.
    """
    build = build_id(config)
    about = build_info.encode(build_info.describe("generic"))
    signature = expected(config).signature
    if component == "core":
        made: Core | Top = Core(
            config, build=build, clock_hz=clock_hz, about=about, self_test=signature
        )
        meaning, rate = MEANING, ""
    else:
        made = Top(
            config, clock_hz=clock_hz, baud=baud, build=build, about=about, self_test=signature
        )
        meaning, rate = MEANING | LINE, f", {baud:,} baud, 8 data bits, no parity"
    lines = [
        f"Relaxon {__version__}, {component}: {config.modules} x {config.neurons} neurons, "
        f"{config.inputs} inputs, {config.classes} classes, {config.lanes} lanes,",
        f"{config.store} store; clock {clock_hz / 1e6:g} MHz{rate}; build {build:08x}.",
        "The frames are in docs/protocol.md, an example of embedding in docs/embedding.md.",
        "",
        *(
            f"{port.name}{f'[{port.bits - 1}:0]' if port.bits > 1 else ''}".ljust(18)
            + f"{port.direction.ljust(8)}{meaning[port.name]}"
            for port in ports(made.signature)
        ),
    ]
    head = "".join(f"// {line}".rstrip() + "\n" for line in lines)
    return f"{head}\n{emit(made, name)}"
