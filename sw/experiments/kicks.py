"""How far can a state be kicked and still go where it would have gone, above the transition and below?

Random couplings, no input, no learning. A part of the neurons of a state is turned, drawn at random;
kicked and not kicked, it relaxes for the same 102 sweeps, and the two ends are compared: an overlap of
1 says that the kick was forgotten, 0 that the ends have nothing in common, more than the kick itself
left that it healed, less that it grew. Once it is the random start
that is kicked, once the state that a start has come to within as many sweeps: a fixed point, above the
transition.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.relaxation import Network, random_state
from relaxon.figures import Figure

COUPLINGS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 1.0, 1.5)
PARTS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Of the neurons that are turned."""
KICKED = ("start", "end")


def points(form: Form) -> list[Point]:
    """Both kinds of kick, every J_D; a point has several networks, starts, and all sizes of kick."""
    values = form.of((0.2, 1.0), (0.2, 0.6, 0.8, 1.0), COUPLINGS)
    much = form.of(
        dict(neurons=40, networks=1, starts=2), dict(neurons=200, networks=4, starts=5),
        dict(neurons=200, networks=20, starts=20),
    )  # fmt: skip
    return [
        dict(kicked=kicked, self_coupling=value, seed=0) | much
        for kicked in KICKED
        for value in values
    ]


def measure(point: Point, lab: Lab) -> list[Figures]:
    """Of every network and size of kick: the starts, the neurons that agree at both ends, summed over
    them; in how many both ends are fixed points, and in how many of these they are the same one."""
    neurons, figures = point["neurons"], []
    for network in range(point["networks"]):
        rng = np.random.default_rng([point["seed"], network])
        with Network.open(
            lab, neurons=neurons, seed=int(rng.integers(2**31)),
            self_coupling=point["self_coupling"],
        ) as net:  # fmt: skip
            turned = [max(1, round(part * neurons)) for part in PARTS]
            rows = [dict(network=network, turned=n, agreeing=0, fixed=0, same=0) for n in turned]
            for _ in range(point["starts"]):
                state = random_state(rng, net.shape)
                if point["kicked"] == "end":
                    state, _ = net.relax(state)
                end, sweeps = net.relax(state)
                for row in rows:
                    kicked = state.copy()
                    kicked[0, rng.permutation(neurons)[: row["turned"]]] *= -1
                    other, others = net.relax(kicked)
                    fixed = sweeps is not None and others is not None
                    row["agreeing"] += int((other == end).sum())
                    row["fixed"] += fixed
                    row["same"] += fixed and bool((other == end).all())
            figures += [row | net.recorded() for row in rows]
    return figures


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean overlap with its standard error over networks, and the part `returned` of the pairs of
    fixed points that are one and the same."""
    overlap = 2 * frame["agreeing"] / (frame["starts"] * frame["neurons"]) - 1
    frame = frame.assign(kick=frame["turned"] / frame["neurons"], overlap=overlap)
    groups = frame.groupby(["kicked", "self_coupling", "kick"])
    found = groups["overlap"].agg(overlap="mean", error="sem")
    sums = groups[["same", "fixed", "starts"]].sum()
    found["returned"] = sums["same"] / sums["fixed"]
    return found.assign(fixed_pairs=sums["fixed"], starts=sums["starts"]).round(4).reset_index()


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """The overlap against the size of the kick, for both kinds, and how many fixed points return."""
    found = table(frame)
    figure.set_size_inches(12, 4.5)
    *panels, returned = figure.subplots(1, 3)
    colors = {value: f"C{at}" for at, value in enumerate(sorted(found["self_coupling"].unique()))}
    for value, rows in found[found["kicked"] == "end"].groupby("self_coupling"):
        if (rows["fixed_pairs"] > 0).any():
            returned.plot(
                rows["kick"], rows["returned"], "o-", lw=1, color=colors[value], label=f"J_D = {value:g}"
            )
    returned.set(xlabel="part of the neurons turned", title="fixed points kicked", xscale="log",
                 ylabel="part that comes back to the same one")  # fmt: skip
    returned.legend(fontsize=7)
    for axes, kicked in zip(panels, KICKED):
        for value, rows in found[found["kicked"] == kicked].groupby("self_coupling"):
            axes.errorbar(
                rows["kick"], rows["overlap"], rows["error"], fmt="o-", lw=1, color=colors[value],
                label=f"J_D = {value:g}",
            )  # fmt: skip
        untouched = np.linspace(0, 0.5, 2)
        axes.plot(untouched, 1 - 2 * untouched, ":", color="grey", lw=1, label="the kick itself")
        axes.set(xlabel="part of the neurons turned", title=f"{kicked} kicked")
    figure.axes[0].set_ylabel("overlap of the two ends")
    figure.axes[0].legend(fontsize=7)


def counts(frame: pd.DataFrame) -> str:
    """How many networks and starts."""
    networks, starts = frame[["networks", "starts"]].iloc[0]
    return f"{networks} networks, {starts} starts of each; error bars: standard error over networks"


def verdict(frame: pd.DataFrame) -> str:
    """How many fixed points return after the smallest kick; the overlap after a kick of a tenth, which
    by itself leaves 0.8."""
    found, said = table(frame), []
    least = found["kick"].min()
    rows = found[(found["kicked"] == "end") & (found["kick"] == least) & (found["fixed_pairs"] > 0)]
    values = ", ".join(f"{r.self_coupling:g}: {r.returned:.1%}" for r in rows.itertuples())
    said.append(f"of fixed points with {least:.1%} of the neurons turned come back, by J_D: {values}")
    nearest = found["kick"].iloc[(found["kick"] - 0.1).abs().argmin()]
    for kicked, rows in found[found["kick"] == nearest].groupby("kicked", sort=False):
        values = ", ".join(f"{r.self_coupling:g}: {r.overlap:.2f}" for r in rows.itertuples())
        said.append(f"overlap of the ends after {kicked}s lost {nearest:.0%}, by J_D: {values}")
    return "; ".join(said)
