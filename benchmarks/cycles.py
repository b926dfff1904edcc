"""Clock cycles per sample, by phase, and how busy the weight memory is.

Machines of both shapes with either weight store, on 8 to 128 lanes, in training and in inference;
then those that have a target beside the foundation, measured in the same run. The model counts them:
its cycles are the gateware's (`tests/test_gateware.py`). Fields are evaluated P at a time, so every
phase is counted for the machine as it is, padding included.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from common import (
    QUICK,
    SEED,
    Machine,
    Means,
    Samples,
    Span,
    busy,
    console,
    measure,
    parser,
    samples,
    sign_off,
    table,
)
from foundation import Foundation
from rich.table import Table

from relaxon.protocol import PHASES, STORES

SHAPES = [(1, 128), (1, 256), (1, 512), (8, 32), (16, 32), (32, 32)]
LANES = (8, 16, 32, 64, 128)
TARGETS = {
    Machine(1, 256, 32): 1600,
    Machine(1, 256, 64): 900,
    Machine(1, 512, 64): 2500,
    Machine(32, 32, 32): 2700,
    Machine(32, 32, 64): 1600,
}
"""Cycles per training sample that the schedule with surviving fields set out to reach."""


@dataclass(frozen=True)
class Case:
    """A machine, its weight store and what it takes per sample."""

    machine: Machine
    store: str
    means: Means
    busy: tuple[float, float]


def measured(machine: Machine, store: str, data: Samples, span: Span) -> Case:
    """Run the model."""
    means = measure(machine.board(data, store), data, span)
    config = machine.config(data, store)
    return Case(machine, store, means, (busy(config, means.train), busy(config, means.infer)))


def by_phase(title: str, cases: list[Case], part: int) -> Table:
    """Cycles of all cases in training (part 0) or in inference (part 1)."""
    made = table(title, ("machine", "lanes", "store"), ("cycles", *PHASES, "memory busy"))
    for shape, group in itertools.groupby(cases, lambda case: case.machine.shape):
        made.add_section()
        for case in group:
            means = case.means[part]
            phases = (f"{means[f'cycles_{phase}']:,.0f}" for phase in PHASES)
            made.add_row(
                shape, str(case.machine.lanes), case.store, f"{means['cycles']:,.0f}", *phases,
                f"{case.busy[part]:.1%}",
            )  # fmt: skip
    return made


def comparison(cases: list[Case], targets: dict[Machine, int], data: Samples, span: Span) -> Table:
    """The foundation, the target and today's skewed store."""
    made = table(
        "cycles per training sample against the foundation, skewed store", ("machine", "lanes"),
        ("foundation", "target", "now", "now / target", "foundation / now", "memory busy"),
    )  # fmt: skip
    for case in cases:
        machine = case.machine
        if case.store != "skewed" or machine not in targets:
            continue
        with Foundation("model", machine.preset, machine.sizes(data), SEED) as foundation:
            before = measure(foundation, data, span).train["cycles"]
        now, target = case.means.train["cycles"], targets[machine]
        made.add_row(
            machine.shape, str(machine.lanes), f"{before:,.0f}", f"{target:,}", f"{now:,.0f}",
            f"{now / target:.2f}", f"{before / now:.2f}", f"{case.busy[0]:.1%}",
        )  # fmt: skip
    return made


def main() -> None:
    """Print the three tables."""
    options = parser(__doc__).parse_args()
    shapes, lanes, targets, span = SHAPES, LANES, TARGETS, Span()
    if options.quick:
        shapes, lanes, span = [(1, 16), (2, 8)], (8, 16), QUICK
        targets = {Machine(1, 16, 8): 1000}
    data = samples(options.data)
    cases = [
        measured(Machine(*shape, p), store, data, span)
        for shape, p, store in itertools.product(shapes, lanes, STORES[::-1])
    ]
    console.print(f"{options.data}, {data.x.shape[1]} bits; means over {span}")
    console.print(by_phase("cycles per training sample", cases, 0))
    console.print(by_phase("cycles per inference", cases, 1))
    console.print(comparison(cases, targets, data, span))
    sign_off()


if __name__ == "__main__":
    main()
