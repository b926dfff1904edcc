"""At which self-coupling does plain relaxation reach fixed points, and how fast?

Random couplings, no input, no learning: the part of random starts that reach a fixed point within
100 sweeps, against J_D in units of the field's spread, for networks of 100 to 1000 neurons, all
neurons at once (synchronous) and two at a time (the fewest that lanes allow); with couplings of 8
bits, and of 4.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.relaxation import SWEEPS, SYNCHRONOUS, Network, random_state
from relaxon.figures import Figure

COUPLINGS = (0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 1.0)
TWO = 2
KINDS = {
    "synchronous": dict(block=SYNCHRONOUS, weight_bits=8),
    "two at a time": dict(block=TWO, weight_bits=8),
    "synchronous, 4 bits": dict(block=SYNCHRONOUS, weight_bits=4),
}


def points(form: Form) -> list[Point]:
    """Every kind, size and J_D; a point has several networks, and as many starts of each."""
    sizes = form.of((20,), (100, 200), (100, 200, 500, 1000))
    values = form.of((0.3, 1.0), (0.3, 0.5, 0.6, 0.7), COUPLINGS)
    draws = form.of(dict(networks=1, starts=4), dict(networks=10, starts=10), None)
    found = []
    for size in reversed(sizes):
        # At 500 neurons and more a start takes long, and the mean over starts says more by itself.
        many = dict(networks=20, starts=20) if size <= 200 else dict(networks=10, starts=10)
        for name, kind in list(KINDS.items())[: form.of(2, 2, None)]:
            if name == "synchronous, 4 bits" and size != 200:
                continue
            for value in values:
                told = dict(kind=name, neurons=size, self_coupling=value, seed=0)
                found.append(told | kind | (draws or many))
    return found


def measure(point: Point, lab: Lab) -> list[Figures]:
    """Of every network: the starts, how many of them reached a fixed point, and their sweeps to it."""
    figures = []
    for network in range(point["networks"]):
        rng = np.random.default_rng([point["seed"], network])
        with Network.open(
            lab, neurons=point["neurons"], seed=int(rng.integers(2**31)), block=point["block"],
            self_coupling=point["self_coupling"], weight_bits=point["weight_bits"],
        ) as net:  # fmt: skip
            starts = (random_state(rng, net.shape) for _ in range(point["starts"]))
            taken = [sweeps for _, sweeps in map(net.relax, starts) if sweeps is not None]
            figures.append(
                {"network": network, "reached": len(taken), "sweeps": sum(taken), **net.recorded()}
            )
    return figures


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """The part that reached one, with its standard error over networks, and the mean sweeps to it."""
    groups = frame.assign(part=frame["reached"] / frame["starts"]).groupby(
        ["kind", "neurons", "self_coupling"]
    )
    found = groups["part"].agg(fraction="mean", error="sem", networks="count")
    sums = groups[["starts", "reached", "sweeps"]].sum()
    found = found.assign(
        relaxations=sums["starts"], mean_sweeps=(sums["sweeps"] / sums["reached"]).round(1)
    )
    return found.reset_index()


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """The part that reaches one, and how long it takes, against J_D."""
    part, sweeps = figure.subplots(1, 2)
    found = table(frame)
    colors = {size: f"C{at}" for at, size in enumerate(sorted(found["neurons"].unique()))}
    marks = dict(zip(KINDS, ("o-", "s--", "^:"), strict=True))
    for (kind, size), rows in found.groupby(["kind", "neurons"], sort=False):
        style = dict(fmt=marks[kind], color=colors[size], lw=1)
        label = f"N = {size}, {kind}"
        part.errorbar(rows["self_coupling"], rows["fraction"], rows["error"], label=label, **style)
        sweeps.plot(rows["self_coupling"], rows["mean_sweeps"], marks[kind], color=colors[size], lw=1)
    part.set(xlabel="J_D / (spread of J · √N)", ylabel=f"reach a fixed point in {SWEEPS} sweeps")
    sweeps.set(xlabel="J_D / (spread of J · √N)", ylabel="mean sweeps to it", yscale="log")
    part.legend(fontsize=6)


def counts(frame: pd.DataFrame) -> str:
    """How many networks and starts."""
    many = frame[["networks", "starts"]].drop_duplicates().itertuples(index=False)
    told = " or ".join(f"{networks} networks, {starts} starts of each" for networks, starts in many)
    return f"{told}; error bars: standard error over networks"


def verdict(frame: pd.DataFrame) -> str:
    """The curve of N = 200 (or the largest below), synchronous."""
    found = table(frame)
    size = found.loc[found["neurons"] <= 200, "neurons"].max()
    rows = found[(found["neurons"] == size) & (found["kind"] == "synchronous")]
    values = ", ".join(f"{r.self_coupling:g}: {r.fraction:.3f}" for r in rows.itertuples())
    return f"N = {size}, synchronous, part that reaches a fixed point, by J_D: {values}"
