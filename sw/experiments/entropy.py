"""How many fixed points are there?

Every state of a small random network is written to the machine, which makes one sweep: fixed points
are the states that none of their neurons leaves. Their mean number over networks is compared with
the annealed entropy, in closed form: the field of neuron i in state s is J_D s_i plus a Gaussian of
variance (N − 1)/N, in units of the couplings' spread times √N, so ⟨number⟩ = 2^N Φ(J_D √(N/(N−1)))^N.
For two modules of H coupled by λ, each pair of corresponding neurons has two aligned and two opposed
states: ⟨number⟩ = (2[Φ((J_D + λ) c)² + Φ((J_D − λ) c)²])^H with c = √(H/(H−1)).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.relaxation import Network
from relaxon.figures import Figure

COUPLINGS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


def points(form: Form) -> list[Point]:
    """One module at several J_D, and two modules at several λ with J_D = 0."""
    neurons = form.of(4, 8, 12)
    networks = form.of(2, 20, 200)
    values = form.of((0.5,), (0.0, 0.5, 1.0), COUPLINGS)
    common = dict(networks=networks, seed=0)
    one = [dict(modules=1, neurons=neurons, self_coupling=v, chain_coupling=0.0) for v in values]
    two = [
        dict(modules=2, neurons=neurons // 2, self_coupling=0.0, chain_coupling=v) for v in values
    ]
    return [shape | common for shape in one + two]


def measure(point: Point, lab: Lab) -> list[Figures]:
    """The fixed points of every network."""
    size = point["modules"] * point["neurons"]
    codes = np.arange(2**size)[:, None] >> np.arange(size) & 1
    states = (2 * codes - 1).astype(np.int8)
    figures = []
    for network in range(point["networks"]):
        seed = int(np.random.default_rng([point["seed"], network]).integers(2**31))
        with Network.open(
            lab, neurons=point["neurons"], modules=point["modules"], seed=seed,
            self_coupling=point["self_coupling"], chain_coupling=point["chain_coupling"], sweeps=1,
        ) as net:  # fmt: skip
            count = sum(net.is_fixed(state.reshape(net.shape)) for state in states)
            figures.append({"network": network, "fixed_points": count, **net.recorded()})
    return figures


def annealed(self_coupling: float, chain_coupling: float, modules: int, neurons: int) -> float:
    """ln⟨number of fixed points⟩ / (M·H) of one or two modules, after this module's docstring."""
    scale = np.sqrt(neurons / (neurons - 1))
    if modules == 1:
        return float(np.log(2) + norm.logcdf(self_coupling * scale))
    aligned, opposed = (
        norm.cdf((self_coupling + sign * chain_coupling) * scale) for sign in (1, -1)
    )
    return float(0.5 * np.log(2 * (aligned**2 + opposed**2)))


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """ln of the mean number per neuron, with the error of the mean, beside the closed form."""
    by = ["modules", "neurons", "self_coupling", "chain_coupling"]
    found = frame.groupby(by)["fixed_points"].agg(["mean", "sem", "count"]).reset_index()
    size = found["modules"] * found["neurons"]
    with np.errstate(divide="ignore"):
        found["entropy"] = np.log(found["mean"]) / size
    found["error"] = found["sem"] / found["mean"] / size
    arguments = ("self_coupling", "chain_coupling", "modules", "neurons")
    found["closed_form"] = [annealed(*(row[a] for a in arguments)) for _, row in found.iterrows()]
    return found.rename(columns={"mean": "fixed_points", "count": "networks"}).drop(columns="sem")


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """Both scans, counts beside the closed form."""
    found = table(frame)
    axes = figure.subplots()
    x = np.linspace(0, 1.5, 100)
    for color, (modules, name) in enumerate(((1, "self_coupling"), (2, "chain_coupling"))):
        rows = found[found["modules"] == modules]
        neurons = rows["neurons"].iloc[0]
        label = "J_D, one module" if modules == 1 else "λ, two modules, J_D = 0"
        curve = [
            annealed(v * (modules == 1), v * (modules == 2), modules, neurons) for v in x
        ]
        axes.plot(x, curve, color=f"C{color}", lw=1, label=f"{label}: closed form")
        counted = f"{label} of {neurons}: counted, {rows['networks'].iloc[0]} networks"
        axes.errorbar(rows[name], rows["entropy"], rows["error"], fmt="o", color=f"C{color}",
                      label=counted)  # fmt: skip
    axes.set(xlabel="J_D or λ / (spread of J · √H)", ylabel="ln⟨fixed points⟩ / neurons")
    axes.axhline(0, color="grey", lw=0.5)
    axes.legend()


def counts(frame: pd.DataFrame) -> str:
    """How many networks."""
    networks = frame["networks"].iloc[0]
    return f"all states of {networks} networks a point; error bars: standard error over networks"


def verdict(frame: pd.DataFrame) -> str:
    """The largest difference, in standard errors. (All J_D, and all λ, have the same networks.)"""
    found = table(frame)
    found = found[found["error"] > 0]  # a few networks may happen to agree
    if found.empty:
        return "too few networks to tell how far the closed form is away"
    off = ((found["entropy"] - found["closed_form"]) / found["error"]).abs()
    size = int((found["modules"] * found["neurons"]).iloc[0])
    return (
        f"{len(found)} counts of all fixed points of {size} neurons: the annealed entropy in closed "
        f"form is at most {off.max():.1f} standard errors away"
    )
