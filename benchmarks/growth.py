"""How cycles per training sample grow with the machine at a fixed number of lanes.

One module of H neurons and M modules of 32, today's skewed store beside the foundation; the exponent
is the slope of the straight line through log(cycles) over log(size) by least squares. Recomputing
every field would give 2 for one module (H² couplings) and 1 for modules.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import (
    QUICK,
    ROOT,
    SEED,
    Machine,
    Samples,
    Span,
    console,
    measure,
    parser,
    samples,
    sign_off,
    table,
)
from foundation import Foundation

from relaxon.figures import Figure, FigureCanvasSVG, matplotlib

LANES = 32
NEURONS = (64, 128, 256, 512)
MODULES = (4, 8, 16, 32, 64)
CURVES = ("foundation", "now")


Sizes = tuple[int, ...]


def exponent(sizes: Sizes, cycles: list[float]) -> float:
    """Slope of log(cycles) over log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(cycles), 1)[0])


def plot(panels: dict[str, tuple[Sizes, dict[str, list[float]]]], lanes: int, path: Path) -> None:
    """One panel a family of machines, one curve a gateware, on logarithmic scales."""
    matplotlib.rcParams["svg.hashsalt"] = "growth"  # the same picture is the same file
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    every = figure.subplots(1, len(panels), sharey=True)
    for axes, (family, (sizes, found)) in zip(every, panels.items()):
        for (name, cycles), color in zip(found.items(), ("grey", "C0")):
            label = f"{name}: size$^{{{exponent(sizes, cycles):.2f}}}$"
            axes.plot(sizes, cycles, "o-", ms=4, color=color, label=label)
        axes.set(xscale="log", yscale="log", xlabel=family, xticks=sizes, xticklabels=sizes)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", frameon=False)
    every[0].set_ylabel(f"cycles per training sample, {lanes} lanes")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def curves(machines: list[Machine], data: Samples, span: Span) -> dict[str, list[float]]:
    """Cycles per training sample of these machines, by gateware (`CURVES`)."""
    before, now = [], []
    for machine in machines:
        with Foundation("model", machine.preset, machine.sizes(data), SEED) as foundation:
            before.append(measure(foundation, data, span).train["cycles"])
        now.append(measure(machine.board(data), data, span).train["cycles"])
    return dict(zip(CURVES, (before, now)))


def main() -> None:
    """Print the table and draw the curves."""
    options = parser(__doc__)
    options.add_argument("--plot", type=Path, default=ROOT / "docs" / "growth.svg", metavar="SVG")
    options = options.parse_args()
    lanes, neurons, modules, side, span = LANES, NEURONS, MODULES, 32, Span()
    if options.quick:
        lanes, neurons, modules, side, span = 8, (8, 16), (2, 4), 8, QUICK
    data = samples(options.data)
    families = [
        ("neurons of one module", neurons, [Machine(1, h, lanes) for h in neurons]),
        (f"modules of {side}", modules, [Machine(m, side, lanes) for m in modules]),
    ]

    made = table(
        f"cycles per training sample on {lanes} lanes", ("machine",), (*CURVES, "foundation / now")
    )
    panels = {}
    for family, sizes, machines in families:
        made.add_section()
        found = curves(machines, data, span)
        for machine, before, now in zip(machines, *found.values()):
            made.add_row(machine.shape, f"{before:,.0f}", f"{now:,.0f}", f"{before / now:.2f}")
        fits = [f"{exponent(sizes, cycles):.2f}" for cycles in found.values()]
        made.add_row(f"exponent in {family.split()[0]}", *fits, "", style="bold")
        panels[family] = sizes, found
    console.print(f"{options.data}, {data.x.shape[1]} bits; means over {span}")
    console.print(made)
    plot(panels, lanes, options.plot)
    sign_off()


if __name__ == "__main__":
    main()
