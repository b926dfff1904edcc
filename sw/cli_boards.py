"""The commands for FPGA boards: ``relaxon build``, ``report``, ``flash``, ``verilog``, ``boards``.

What they do is in `relaxon.boards`, which is imported when one of them runs.
"""

from __future__ import annotations

import enum
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from relaxon import files
from relaxon import report as show
from relaxon.errors import ConfigError, DataError, ToolError
from relaxon.protocol import STORES

if TYPE_CHECKING:
    from relaxon.boards.design import Design
    from relaxon.boards.flow import Build
    from relaxon.boards.target import Target

StoreName = enum.Enum("StoreName", {name: name for name in STORES}, type=str)  # type: ignore[misc]
ComponentName = enum.Enum("ComponentName", {n: n for n in ("core", "top")}, type=str)  # type: ignore[misc]

Board = Annotated[
    str, typer.Argument(help="A board (relaxon boards lists them), or ./my_board.py.", metavar="BOARD")
]
NetworkOption = Annotated[
    str | None, typer.Option(help="A size of the board's own; modules by default.", metavar="NAME")
]
Modules = Annotated[int | None, typer.Option(help="Modules.")]
Neurons = Annotated[int | None, typer.Option(help="Neurons per module.")]
Inputs = Annotated[int | None, typer.Option(help="Inputs.")]
Classes = Annotated[int | None, typer.Option(help="Classes.")]
Lanes = Annotated[int | None, typer.Option(help="Neurons computed per clock cycle.")]
Store = Annotated[StoreName | None, typer.Option(help="Weight store; the board's by default.")]
Clock = Annotated[float | None, typer.Option(help="Of the core, in MHz; the board's by default.")]
Baud = Annotated[int | None, typer.Option(help="Of the link; the board's by default.")]
Seed = Annotated[int | None, typer.Option(help="Of the placement; the board's by default.", min=0)]
Seeds = Annotated[int, typer.Option(help="Try so many seeds and keep the fastest.", min=1)]


def build(
    board: Board,
    network: NetworkOption = None,
    modules: Modules = None,
    neurons: Neurons = None,
    inputs: Inputs = None,
    classes: Classes = None,
    lanes: Lanes = None,
    store: Store = None,
    clock: Clock = None,
    baud: Baud = None,
    seed: Seed = None,
    seeds: Seeds = 1,
    allow_timing_failure: Annotated[
        bool,
        typer.Option("--allow-timing-failure", help="Hand out a bitstream that misses timing."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where the files go; build/BOARD by default.", metavar="DIR")
    ] = None,
) -> None:
    """Make the bitstream of a machine for a board.

    Refuses a machine that cannot fit before it starts, and a bitstream that misses timing.
    """
    design = _design(board, network, modules, neurons, inputs, classes, lanes, store, clock, baud)
    folder = out if out is not None else Path("build") / design.target.name
    files.probe(folder / "report.json")
    made = _build(design, seed, seeds)
    _describe(made)
    if not made.timing_met and not allow_timing_failure:
        raise ToolError(_missed(made))
    for file in sorted(made.folder.iterdir()):
        files.copy(file, folder)
    show.out.say(f"written to {folder}/: {made.bitstream.name}, report.json, nextpnr.log, about.json")
    show.out.kept = f"the bitstream is in {folder}"


def report(
    board: Board,
    network: NetworkOption = None,
    modules: Modules = None,
    neurons: Neurons = None,
    inputs: Inputs = None,
    classes: Classes = None,
    lanes: Lanes = None,
    store: Store = None,
    clock: Clock = None,
    baud: Baud = None,
    seed: Seed = None,
    seeds: Seeds = 1,
    data: Annotated[
        str,
        typer.Option(
            help="Samples whose cycles are counted, projected to the machine's inputs: digits, "
            "mnist:DIR, fashion:DIR or FILE.npz.",
            metavar="SOURCE",
        ),
    ] = "digits",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures there, too.")
    ] = None,
) -> None:
    """Say what a build uses of the FPGA, how fast it is, and what limits it; build it if need be."""
    from relaxon.boards import report as board_report
    from relaxon.boards.speed import Workload

    design = _design(board, network, modules, neurons, inputs, classes, lanes, store, clock, baud)
    if json_file is not None:
        files.probe(json_file)
    made = _build(design, seed, seeds)
    with show.status("counting cycles"):
        figures = board_report.figures(made, Workload(data))
    show.show_figures(f"{figures['title']}, {figures['part']}", board_report.rows(figures))
    if json_file is not None:
        files.write_json(json_file, figures)


def flash(
    board: Board,
    network: NetworkOption = None,
    modules: Modules = None,
    neurons: Neurons = None,
    inputs: Inputs = None,
    classes: Classes = None,
    lanes: Lanes = None,
    store: Store = None,
    clock: Clock = None,
    baud: Baud = None,
    seed: Seed = None,
    bitstream: Annotated[
        Path | None, typer.Option(help="Program this file instead.", metavar="FILE")
    ] = None,
    permanent: Annotated[
        bool, typer.Option("--permanent", help="Write the flash: it survives power-off.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the command, and do nothing.")
    ] = False,
    allow_timing_failure: Annotated[
        bool, typer.Option("--allow-timing-failure", help="Program it even if it misses timing.")
    ] = False,
) -> None:
    """Program a board with the bitstream that `relaxon build` made for it."""
    from relaxon.boards import flash as programmer
    from relaxon.boards import flow, registry

    target = registry.find(board)
    built = bitstream is None or bitstream.is_file()
    if bitstream is None:
        design = _design(board, network, modules, neurons, inputs, classes, lanes, store, clock, baud)
        made = flow.Build(design, _seed(target, seed), flow.place_of(design, _seed(target, seed)))
        bitstream, built = made.bitstream, made.bitstream.is_file()
        if built and not made.timing_met and not allow_timing_failure:
            raise ToolError(_missed(made))
    if dry_run:
        show.out.say(shlex.join(programmer.command(target, bitstream, permanent=permanent)))
        if not built:
            show.err.say(f"{bitstream} is not there yet: make it with relaxon build {board}")
        return
    if not built:
        raise DataError(f"{bitstream} is not there: make it with relaxon build {board}")
    with _step(f"programming {target.title}"):
        show.out.say(programmer.flash(target, bitstream, permanent=permanent).strip())


def verilog(
    board: Annotated[
        str | None, typer.Option(help="Sizes, clock and line rate of this board.", metavar="BOARD")
    ] = None,
    network: NetworkOption = None,
    modules: Modules = None,
    neurons: Neurons = None,
    inputs: Inputs = None,
    classes: Classes = None,
    lanes: Lanes = None,
    store: Store = None,
    clock: Clock = None,
    baud: Baud = None,
    component: Annotated[
        ComponentName,
        typer.Option(help="core: bytes in, bytes out, as streams; top: with a UART around it."),
    ] = ComponentName.core,  # type: ignore[attr-defined]
    name: Annotated[str, typer.Option(help="Of the module.")] = "relaxon",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File; else it is printed.")] = None,
) -> None:
    """Write the gateware as SystemVerilog for any other flow; the ports are explained at its head."""
    from relaxon.boards.generic import generic_verilog
    from relaxon.boards.target import Network

    if board is None:
        chosen = Network(modules=32, lanes=32)
        sizes = _network(chosen, network, modules, neurons, inputs, classes, lanes, store)
        config = sizes.config("skewed")
        clock_hz, rate = round((clock or 50) * 1e6), baud or 1_000_000
    else:
        design = _design(board, network, modules, neurons, inputs, classes, lanes, store, clock, baud)
        config, clock_hz, rate = design.config, design.clock_hz, design.baud
    if out is not None:
        files.probe(out)
    with _step("gateware to Verilog"):
        text = generic_verilog(config, component.value, name=name, clock_hz=clock_hz, baud=rate)
    if out is None:
        sys.stdout.write(text)
        return
    files.write_text(out, text)
    show.out.kept = f"the module is in {out}"
    show.out.say(f"{out}: module {name}, {len(text.splitlines()):,} lines")


def boards() -> None:
    """List the boards, their networks and what is built."""
    from relaxon.boards import registry

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("board", "FPGA", "MHz", "network", "machine", "built"):
        table.add_column(heading, no_wrap=heading != "built")
    for target in registry.targets().values():
        for number, (name, network) in enumerate(target.networks.items()):
            first = number == 0
            table.add_row(
                target.name if first else "", target.part.name if first else "",
                f"{network.clock_mhz or target.clock_mhz:g}", name, str(network),
                _state(target, name),
            )  # fmt: skip
    show.out.print(table)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (build, report, flash, verilog, boards):
        app.command()(command)


# ---- helpers ------------------------------------------------------------------------------------


def _network(
    chosen: Any, name: str | None, modules: int | None, neurons: int | None, inputs: int | None,
    classes: int | None, lanes: int | None, store: Any,
) -> Any:  # fmt: skip
    """A network with what was given; one module where only its neurons were."""
    from dataclasses import replace

    if neurons is not None and modules is None and name is None:
        modules = 1
    given = dict(modules=modules, neurons=neurons, inputs=inputs, classes=classes, lanes=lanes,
                 store=store.value if store is not None else None)  # fmt: skip
    return replace(chosen, **{key: value for key, value in given.items() if value is not None})


def _design(
    board: str, network: str | None, modules: int | None, neurons: int | None,
    inputs: int | None, classes: int | None, lanes: int | None, store: Any,
    clock: float | None, baud: int | None,
) -> Design:  # fmt: skip
    """What the options ask for."""
    from relaxon.boards import registry
    from relaxon.boards.design import Design
    from relaxon.boards.target import DEFAULT

    target = registry.find(board)
    chosen = target.network(network or DEFAULT)
    sizes = _network(chosen, network, modules, neurons, inputs, classes, lanes, store)
    return Design.of(target, sizes, clock, baud)


def _seed(target: Target, seed: int | None) -> int:
    return target.seed if seed is None else seed


def _build(design: Design, seed: int | None, seeds: int) -> Build:
    """The build, from the cache or made now."""
    from relaxon.boards import fit, flow

    first = _seed(design.target, seed)
    wanted = range(first, first + seeds)
    if not all(flow.cached(design, each) for each in wanted):
        with _step("checking that it can fit"):
            needs = fit.check(design.target, design.config)
        show.err.say("it needs " + ", ".join(map(str, needs)))
    return flow.best(design, wanted, _step)


def _describe(made: Build) -> None:
    design = made.design
    available = design.target.part.available
    used = ", ".join(
        f"{name} {count:,} of {available[name]:,}"
        for name, count in made.used.items()
        if name in available
    )
    show.out.say(
        f"{design.target.title}: {used}\nrouted Fmax {made.fmax_mhz:.1f} MHz, clock "
        f"{design.clock_hz / 1e6:g} MHz, seed {made.seed}, build {made.about['build_id']}"
    )


def _missed(made: Build) -> str:
    design = made.design
    margin = design.target.margin
    with_margin = f" (with {margin:.0%} margin, {made.needed_mhz:.1f} MHz)" if margin else ""
    slower = made.fmax_mhz / (1 + margin)
    return (
        f"timing is missed: the routed Fmax is {made.fmax_mhz:.1f} MHz, the clock "
        f"{design.clock_hz / 1e6:g} MHz{with_margin}. Try --seeds 8, --clock {slower * 0.97:.0f} or "
        "fewer lanes; --allow-timing-failure hands the bitstream out as it is"
    )


def _state(target: Target, network: str) -> str:
    """What is known of a network's build."""
    from relaxon.boards import flow
    from relaxon.boards.design import Design

    try:
        design = Design.of(target, target.network(network))
        made = flow.cached(design, target.seed)
    except (ConfigError, ToolError) as error:
        return str(error).splitlines()[0]
    if made is None:
        return "no"
    return f"yes, {made.fmax_mhz:.1f} MHz" + ("" if made.timing_met else ": misses timing")


@contextmanager
def _step(what: str) -> Iterator[None]:
    """A line with the time that has passed, which stays when it is done."""
    text = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(finished_text="✓"), text, TimeElapsedColumn())
    with Progress(*columns, console=show.err) as progress:
        if not show.err.is_terminal:
            show.err.say(f"{what} …")
        task = progress.add_task(what, total=1)
        yield
        progress.advance(task)


__all__ = ["register"]
