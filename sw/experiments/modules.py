"""Few large modules or many small ones, and do couplings λ between neighbours help?

Entangled MNIST, N = 100, modules of 8 to 256 neurons, gated: once 1024 neurons in all; once as many
couplings in J and W as 32 modules of 32 have, to 8 % (a whole number of modules; modules of 256 do not
come near). Tested on the last 10 000 training images, which are held out. Each without λ; with λ beside
J_D = K/2, the margin κ being λ more, or as without; and with λ in place of a part of J_D. A shift makes
the input, so that its field is 5 K for modules of 16, 64 and 256, and 3.5 K for the others: without λ
each also has it twice as strong.
"""

from __future__ import annotations

import pandas as pd

from relaxon.experiments import Figures, Form, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import learn
from relaxon.experiments.results import against, band, images, plus_minus
from relaxon.figures import Figure

INPUTS = 100
NEURONS = 1024
SIZES = (8, 16, 32, 64, 128, 256)
PLAIN = "λ = 0"
COUPLINGS = {
    PLAIN: dict(),
    "λ = 0, twice the input": dict(input_strength=10.0),
    "λ = K/4": dict(chain_coupling=0.25),
    "λ = K/4, κ as without": dict(chain_coupling=0.25, margin=0.25),
    "λ = K/2, J_D = K/4": dict(chain_coupling=0.5, self_coupling=0.25),
}


def points(form: Form) -> list[Point]:
    """Every size of module, at the same neurons and at the same memory, with every λ and seed."""
    much = form.of(dict(samples=200, tested=200, epochs=1), dict(samples=5000, epochs=3), dict(epochs=5))
    neurons = form.of(64, NEURONS, NEURONS)
    memory = neurons * (31 + INPUTS)
    common, found = dict(task="mnist", inputs=INPUTS, split="validation"), []
    for size in SIZES[:: form.of(3, 2, 1)]:
        for equal, modules in (
            ("neurons", neurons // size), ("memory", round(memory / (size * (size - 1 + INPUTS))))
        ):  # fmt: skip
            for name, coupling in list(COUPLINGS.items())[:: form.of(2, 2, 1)]:
                if modules == 1:  # nobody to be coupled to, and less memory than the others
                    continue
                for seed in range(form.of(1, 1, 3)):
                    shape = dict(preset="modules", modules=modules, neurons=size)
                    told = dict(seed=seed, told=dict(equal=equal, coupling=name))
                    found.append(common | much | shape | coupling | told)
    return found


def measure(point: Point, lab: Lab) -> Figures:
    """Accuracy, and what the machine came to."""
    return learn(point, lab)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy for every shape and λ, and how far it is from λ = 0."""
    by = ["equal", "coupling", "neurons", "modules"]
    return against(frame, by, {"coupling": PLAIN})


def draw(frame: pd.DataFrame, figure: Figure) -> None:
    """A panel for the same neurons, one for the same memory."""
    found = table(frame)
    for axes, equal in zip(figure.subplots(1, 2, sharey=True), ("neurons", "memory")):
        for coupling, rows in found[found["equal"] == equal].groupby("coupling", sort=False):
            band(axes, rows, "neurons", fmt="o-", label=coupling)
        axes.set(xscale="log", xlabel="neurons of a module", title=f"the same {equal}")
        axes.set_xticks(found["neurons"].unique(), found["neurons"].unique())
    figure.axes[0].set_ylabel("validation accuracy")
    figure.axes[1].legend()


counts = images


def verdict(frame: pd.DataFrame) -> str:
    """Every size of module beside 32, and what λ does at any size, seed by seed."""
    said = []
    for equal, rows in frame.groupby("equal", sort=False):
        middle = 32 if (rows["neurons"] == 32).any() else rows["neurons"].min()
        plain = rows[rows["coupling"] == PLAIN].assign(neurons=lambda r: r["neurons"].astype(str))
        sizes = against(plain, ["neurons"], {"neurons": str(middle)})
        said.append(
            f"the same {equal}: modules of {middle}: "
            f"{sizes.loc[sizes['neurons'] == str(middle), 'mean'].iloc[0]:.3f}; "
            + ", ".join(
                f"of {r.neurons}: {plus_minus(r.difference, r.its_deviation)}"
                for r in sizes.itertuples()
                if r.neurons != str(middle)
            )
        )
        found = table(rows)
        for coupling in [name for name in COUPLINGS if name != PLAIN]:
            changed = found[found["coupling"] == coupling]
            if len(changed):
                least, most = changed["difference"].min(), changed["difference"].max()
                said.append(f"{coupling}: {least:+.3f} to {most:+.3f}")
    return "; ".join(said)
