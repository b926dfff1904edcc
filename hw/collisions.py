"""Reads of a word that is being written: nobody uses what they give.

Amaranth promises the old word, which the block RAM of no family here keeps for two ports, so that
tools would build comparators and registers around it. No gateware here wants that word: a reader
that must have the new one says so (``transparent_for``), every other one looks elsewhere or looks
away. `unpromised` tells the tools. `spoiled` makes the same reads give rubbish in simulation, where
every test then compares with the model what was learned in spite of it.
"""

from __future__ import annotations

import re

_READ_PORT = re.compile(
    r"(parameter \\TRANSPARENCY_MASK (?P<width>\d+)'(?P<transparent>[01]+)\n"
    r"\s*parameter \\COLLISION_X_MASK )\d+'[01]+"
    r"(?=(?:\n\s*parameter [^\n]+)*?\n\s*parameter \\CLK_ENABLE 1\n)"
)
_UNKNOWN = re.compile(r"\b(\d+)'h[xX]+")
_OTHERS = str.maketrans("01", "10")


def unpromised(rtlil: str) -> str:
    """Amaranth's RTLIL, where a read of a word being written is undefined, if not transparent."""
    return _READ_PORT.sub(
        lambda port: f"{port[1]}{port['width']}'{port['transparent'].translate(_OTHERS)}", rtlil
    )


def spoiled(verilog: str) -> str:
    """Yosys' Verilog of `unpromised` RTLIL, with 1010… for what is undefined."""

    def rubbish(unknown: re.Match[str]) -> str:
        width = int(unknown[1])
        return f"{width}'h{int('10' * width, 2) >> width:x}"

    return _UNKNOWN.sub(rubbish, verilog)
