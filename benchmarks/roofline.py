"""How much of the weight memory's bandwidth the rule gets, and what that is worth.

*Weights touched* are the couplings that a training sample must read, or read and write, once fields
survive from sample to sample:

* a column of W for every input that differs from the sample before (M·H weights),
* a column of J for every neuron that differs from the sample before after the free sweep, or flips
  in a later sweep (H weights of its own module),
* the row of W and of J of every unstable neuron (N + H weights),
* the label's column of F, once for every sample that is clamped (M·H weights).

Divided by lanes · cycles this says how many of these weights the machine moves per lane and cycle.
The column store could at best reach one. The skewed store adds two columns at once, hence at best
two in events, and one where it learns. *Memory busy* counts cycles, whatever was moved in them.

*Dense-equivalent operations* are the synaptic operations of a machine that recomputes everything:
N·M·H for W x, M·H² for J s of every sweep but the free one, and M·H·(N+H) updates for every sample
that is learned. At the clock they give operations per second.
"""

from __future__ import annotations

from common import (
    QUICK,
    Machine,
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

from relaxon import Config
from relaxon.protocol import STORES

MACHINES = [
    *(Machine(1, 256, lanes) for lanes in (32, 64)),
    *(Machine(1, 512, lanes) for lanes in (32, 64)),
    *(Machine(32, 32, lanes) for lanes in (32, 64)),
]
CLOCK_MHZ = 50.0
"""A clock that the routed machine of 32 lanes reaches on an ECP5."""


def touched(config: Config, means: dict[str, float]) -> float:
    """Weights that a training sample touches; `means` are the counters per sample."""
    neurons, size = config.total_neurons, config.neurons
    columns = means["input_changes"] * neurons + (means["moves"] + means["flips"]) * size
    rows = means["updates"] * (config.inputs + size)
    return columns + rows + means["learned"] * neurons


def dense(config: Config, means: dict[str, float]) -> float:
    """Synaptic operations of a training sample where everything is recomputed."""
    neurons, size = config.total_neurons, config.neurons
    fields = config.inputs * neurons + (means["sweeps"] - 1) * neurons * size
    return fields + means["learned"] * neurons * (config.inputs + size)


def row(machine: Machine, store: str, data: Samples, span: Span, mhz: float) -> list[str]:
    """A line of the table."""
    config = machine.config(data, store)
    means = measure(machine.board(data, store), data, span).train
    weights, operations = touched(config, means), dense(config, means)
    return [
        machine.shape, str(machine.lanes), store, f"{means['cycles']:,.0f}", f"{weights:,.0f}",
        f"{weights / (machine.lanes * means['cycles']):.2f}", f"{busy(config, means):.1%}",
        f"{operations:,.0f}", f"{operations / means['cycles']:,.0f}",
        f"{operations / means['cycles'] * mhz / 1000:.1f}",
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("--mhz", type=float, default=CLOCK_MHZ, help="clock, in MHz")
    options = options.parse_args()
    machines, span = (MACHINES, Span()) if not options.quick else ([Machine(2, 8, 8)], QUICK)
    data = samples(options.data)
    made = table(
        f"per training sample: weights touched, dense-equivalent operations (at {options.mhz:g} MHz)",
        ("machine", "lanes", "store"),
        ("cycles", "weights", "/lane/cycle", "memory busy", "operations", "/cycle", "10⁹/s"),
    )
    for machine in machines:
        for store in STORES[::-1]:
            made.add_row(*row(machine, store, data, span, options.mhz))
    console.print(f"{options.data}, {data.x.shape[1]} bits; means over {span}")
    console.print(made)
    sign_off()


if __name__ == "__main__":
    main()
