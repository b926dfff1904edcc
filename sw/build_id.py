"""Which gateware this is: a fingerprint of its sources and its configuration.

A board reports the `build_id` it was built with, so a host can tell whether the board runs the
gateware the host's own sources describe; the cache of simulated boards uses the long form. Needs
neither Amaranth nor an import of the gateware.
"""

from __future__ import annotations

import importlib.util
import json
import zlib
from pathlib import Path

from relaxon.config import Config
from relaxon.errors import ToolError

HOST_SOURCES = ("baud.py", "config.py", "layout.py", "protocol.py", "selftest.py")
"""Modules of the host package that the gateware is made from."""


def sources() -> dict[str, Path]:
    """The files that determine the gateware, by a name that is the same on every machine."""
    here = Path(__file__).parent
    found = {f"sw/{name}": here / name for name in HOST_SOURCES}
    spec = importlib.util.find_spec("relaxon.hw")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("the gateware (relaxon.hw) is not installed; reinstall relaxon")
    hw = Path(spec.submodule_search_locations[0])
    found |= {f"hw/{p.relative_to(hw).as_posix()}": p for p in hw.rglob("*.py")}
    return dict(sorted(found.items()))


def fingerprint(config: Config) -> bytes:
    """All that determines the gateware: its sources (line ends made equal) and the structure."""
    parts = [json.dumps(config.structure(), sort_keys=True).encode()]
    for name, path in sources().items():
        parts += [name.encode(), path.read_bytes().replace(b"\r\n", b"\n")]
    return b"\0".join(parts)


def build_id(config: Config) -> int:
    """CRC-32 of the `fingerprint`. The registers of `config` do not matter."""
    return zlib.crc32(fingerprint(config))
