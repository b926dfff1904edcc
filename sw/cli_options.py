"""Options and helpers that several commands share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from relaxon import interrupts
from relaxon.config import Config
from relaxon.protocol import STORES
from relaxon.settings import PRESETS

DIFFERENT = 1
"""Exit code: a comparison failed."""
INTERRUPTED = interrupts.CODE
"""Exit code: Ctrl-C."""

PresetName = enum.Enum("PresetName", {name: name for name in PRESETS}, type=str)  # type: ignore[misc]

StoreName = enum.Enum("StoreName", {name: name for name in STORES}, type=str)  # type: ignore[misc]

PresetOption = Annotated[
    PresetName | None,
    typer.Option(
        help="Registers: one module (paper) or many small gated ones (modules, tuned). "
        "By default modules, unless --neurons is given without --modules."
    ),
]
BoardOption = Annotated[
    str, typer.Option(help="model, sim, serial:PORT[@BAUD] or tcp:HOST:PORT.", metavar="URL")
]
DataOption = Annotated[
    str, typer.Option(help="digits, mnist:DIR, fashion:DIR or FILE.npz.", metavar="SOURCE")
]
EntangleOption = Annotated[
    int | None, typer.Option(help="Project the samples to N bits.", metavar="N", min=1)
]
ModulesOption = Annotated[int | None, typer.Option(help="Modules; the preset's by default.")]
NeuronsOption = Annotated[int | None, typer.Option(help="Neurons per module.")]
LanesOption = Annotated[int | None, typer.Option(help="Neurons computed per clock cycle.")]
StoreOption = Annotated[
    StoreName | None,
    typer.Option(
        help="Weight store: skewed (the default; true dual-port memory, fast) or column "
        "(single-port memory). Results do not depend on it, cycles do."
    ),
]
ChaosOption = Annotated[
    str | None,
    typer.Option(
        help="Faults on the simulated board's link, to see them survived: 0.01 flips a bit in 1 % of "
        "bytes and drops and duplicates 1 % of frames; or such as flip=0.01,stall=0.002,seed=3.",
        metavar="SPEC",
    ),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures there, too.")]
CheckpointArgument = Annotated[Path, typer.Argument(help="A checkpoint, such as couplings.npz.")]


def preset_name(wanted: Any, modules: int | None, neurons: int | None) -> str:
    """The preset asked for; one module of so many neurons if that is all that was said."""
    if wanted is not None:
        return str(wanted.value)
    return "paper" if neurons is not None and modules is None else "modules"


def machine_of(
    preset: str, inputs: int, classes: int,
    modules: int | None, neurons: int | None, lanes: int | None, store: Any,
) -> Config:  # fmt: skip
    """The preset's configuration for these sizes; None leaves a size to the preset."""
    sizes = given(modules=modules, neurons=neurons, lanes=lanes, store=store)
    return Config.preset(preset, inputs=inputs, classes=classes, **sizes)


def given(**options: Any) -> dict[str, Any]:
    """Those options that were given, names of an enumeration as plain text."""
    return {
        name: value.value if isinstance(value, enum.Enum) else value
        for name, value in options.items()
        if value is not None
    }
