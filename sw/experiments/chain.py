"""Is a self-coupling J_D, or a coupling λ between modules, what makes a network learn?

The paper's Figure 3: two modules of 200 neurons in a chain, Entangled MNIST, N = 100, 10 000
samples, 10 epochs: test accuracy against J_D at λ = 0, and against λ at J_D = 0. At the small ends of
both there is no manifold of fixed points that relaxation could reach, and learning collapses. The
margin κ is K + λ throughout (κ − J_D − λ falls from K to 0 along the scan of J_D), and all arrays learn
to the end. The more sweeps, the more of a state is the network's own: once five each, clamped, released
and at inference; once the preset's two, one and two, with which J_D = 0 does not collapse entirely.
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import learn
from relaxon.experiments.results import band, images, summary
from relaxon.figures import Figure

SCANS = {
    "self_coupling": (0.0, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0),
    "chain_coupling": (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0),
}
SWEEPS = {
    "5 + 5 sweeps": dict(sweeps_clamped=5, sweeps_released=5, sweeps_infer=5),
    "2 + 1 sweeps": {},
}
LABELS = {"self_coupling": "J_D / K, at λ = 0", "chain_coupling": "λ / K, at J_D = 0"}


def points(form: Form) -> list[Point]:
    """Both scans, with every seed."""
    much = form.of(
        dict(samples=200, tested=200, epochs=1, neurons=16), dict(samples=10_000, epochs=5, neurons=200),
        dict(samples=10_000, epochs=10, neurons=200),
    )  # fmt: skip
    few = {"self_coupling": (0.0, 0.1, 0.5), "chain_coupling": (0.0, 1.0, 3.0, 5.0)}
    return [
        dict(task="mnist", inputs=100, preset="paper", modules=2, scan=scan, seed=seed, settle=0)
        | dict(sweeps=name, self_coupling=0.0, chain_coupling=0.0) | much | sweeps | {scan: value}
        | dict(margin=1.0 - (value if scan == "self_coupling" else 0.0))
        for name, sweeps in list(SWEEPS.items())[: form.of(1, 1, 2)]
        for scan, values in (SCANS if form is Form.FULL else few).items()
        for value in values
        for seed in range(form.of(1, 1, 5))
    ]  # fmt: skip


def measure(point: Point, lab: Lab) -> Figures:
    """Test accuracy, and what the machine came to."""
    return learn(point, lab)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy at every value."""
    return summary(frame, ["sweeps", "scan", "self_coupling", "chain_coupling"], "accuracy")


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """A panel for each scan."""
    found = table(frame)
    for axes, (scan, label) in zip(figure.subplots(1, 2, sharey=True), LABELS.items()):
        for sweeps, rows in found[found["scan"] == scan].groupby("sweeps", sort=False):
            band(axes, rows, scan, fmt="o-", label=sweeps)
        axes.axhline(0.1, color="grey", ls=":", lw=1, label="chance")
        axes.set(xlabel=label, ylim=(0, 1))
    figure.axes[0].set_ylabel("test accuracy")
    figure.axes[1].legend()


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """Both scans."""
    said = []
    for sweeps, found in table(frame).groupby("sweeps", sort=False):
        for scan, label in LABELS.items():
            rows = found[found["scan"] == scan]
            values = ", ".join(f"{v:g}: {m:.3f}" for v, m in zip(rows[scan], rows["mean"]))
            said.append(f"{sweeps}, {label}: {values}")
    return "; ".join(said)
