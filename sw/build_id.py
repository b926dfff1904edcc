"""Which gateware this is: a fingerprint of its sources and its configuration.

A board reports the `build_id` it was built with, so a host can tell whether the board runs the
gateware the host's own sources describe; the cache of simulated boards uses the long form. Needs
neither Amaranth nor an import of the gateware.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from relaxon.config import Config
from relaxon.sources import closure, contents, modules

GATEWARE = "relaxon.hw"
"""The package whose every module may become a part of a board."""
ASIDE = ("relaxon.transport",)
"""Left out where the model's twin is looked at, which has it for a host in the same process. It decides
nothing that is computed, and opens boards of every kind: all that this takes would come with it."""


def sources() -> dict[str, Path]:
    """The files that determine the gateware, by a name that is the same on every machine: its own, and
    all of the host's package that these import."""
    return closure(*modules(GATEWARE))


def fingerprint(config: Config) -> bytes:
    """All that determines the gateware: its `sources` and the structure."""
    structure = json.dumps(config.structure(), sort_keys=True).encode()
    return b"\0".join((structure, contents(*modules(GATEWARE))))


def build_id(config: Config) -> int:
    """CRC-32 of the `fingerprint`. The registers of `config` do not matter."""
    return zlib.crc32(fingerprint(config))


def expectation() -> bytes:
    """The sources that decide which signature a board's self-test must measure."""
    return contents("relaxon.sim.selftest", but=ASIDE)
