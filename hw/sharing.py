"""Verilog with modules of equal text kept once."""

from __future__ import annotations

import re

_MODULE = re.compile(r"(?m)^(?=module )")
_NAME = re.compile(r"module (\\\S+ |\w+)")
_INSTANCE = re.compile(r"(?m)^  (\\\S+ |\w+)(?= *\\?\S+ *\()")
_SERIAL = re.compile(r"(dump_module)\$\d+")
"""The one name by which Yosys tells modules apart."""


def share_modules(verilog: str) -> str:
    """The same Verilog with each set of equal modules (the lanes) reduced to the first.

    Amaranth writes one module for every instance; with 32 lanes, sharing halves the text that
    every tool after it has to read.
    """
    first: dict[str, str] = {}
    same: dict[str, str] = {}
    kept = []
    for module in _MODULE.split(verilog):
        match = _NAME.match(module)
        if match:
            body = _SERIAL.sub(r"\1", module[match.end() :])
            name = match[1].strip()
            if first.setdefault(body, name) != name:
                same[name] = first[body]
                continue
        kept.append(module)

    def rename(instance: re.Match[str]) -> str:
        name = instance[1].strip()
        return f"  {same[name]} " if name in same else instance[0]

    return _INSTANCE.sub(rename, "".join(kept))
