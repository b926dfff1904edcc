"""What the estimator's code for features is worth: its accuracy before and after, beside logistic
regression, on small tables of all kinds.

*Before* is the thermometer of version 0.1: thresholds at the quantiles 1/(L+1) … L/(L+1) of a feature,
wherever they fall, and a bit that is +1 above them. *After* is `relaxon.coding` as the estimator chooses
it. Accuracies are means over folds, the standard deviation over folds beside them.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import common
import numpy as np
import numpy.typing as npt
from rich.table import Table
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from relaxon import RelaxonClassifier
from relaxon.coding import AIM, ConstantFeatureWarning, Features, Thermometer

Data = tuple[npt.NDArray[Any], npt.NDArray[Any]]


class Before(RelaxonClassifier):
    """The estimator with the thermometer of version 0.1."""

    def _learned_coder(self, x: Features, seed: int) -> Thermometer:
        features = x.shape[1]
        levels = int(np.clip(AIM // features, 2, 16))
        at = np.arange(1, levels + 1) / (levels + 1)
        thresholds = np.quantile(x.astype(float), at, axis=0).T
        feature = np.repeat(np.arange(features), levels)
        return Thermometer(features, tuple(feature.tolist()), tuple(thresholds.ravel().tolist()))


def datasets() -> dict[str, Data]:
    """Every table by name: scikit-learn's own, and what else columns may hold."""
    rng = np.random.default_rng(0)
    iris, wine, cancer, digits = (
        load(return_X_y=True) for load in (load_iris, load_wine, load_breast_cancer, load_digits)
    )
    bits = (rng.random((500, 64)) < 0.8).astype(int)
    dark = (digits[0] > 8).astype(int)
    dull = np.hstack([iris[0], np.full((len(iris[0]), 4), 3.0)])
    halves = np.where(np.arange(30) % 2, -1, 1)
    heavy = np.exp(3 * StandardScaler().fit_transform(cancer[0]))
    mixed = np.hstack([
        np.rint(wine[0][:, :4]), wine[0][:, 4:7] > np.median(wine[0][:, 4:7], axis=0),
        np.exp(wine[0][:, 7:9]), -wine[0][:, 9:], np.zeros((len(wine[0]), 2)),
    ])  # fmt: skip
    return {
        "iris": iris,
        "iris, 4 constant columns": (dull, iris[1]),
        "wine": wine,
        "wine, mixed columns": (mixed, wine[1]),
        "breast cancer": cancer,
        "breast cancer, negated": (-cancer[0], cancer[1]),
        "breast cancer, half negated": (cancer[0] * halves, cancer[1]),
        "breast cancer, heavy-tailed": (heavy, cancer[1]),
        "digits (integers)": digits,
        "digits, negated": (-digits[0], digits[1]),
        "digits, 0 and 1": (dark, digits[1]),
        "digits, -1 and +1": (2 * dark - 1, digits[1]),
        "bits, 80 % ones, y = x₀": (bits, bits[:, 0]),
        "bits, 20 % ones, y = 1 − x₀": (1 - bits, 1 - bits[:, 0]),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two folds and three tables")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--data", help="not used: all tables are scikit-learn's")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConstantFeatureWarning)
    folds = StratifiedKFold(2 if options.quick else options.folds, shuffle=True, random_state=0)
    table = Table(title="accuracy of the estimator, mean over folds", title_justify="left")
    for heading in ("data", "samples × features", "before", "after", "logistic regression"):
        table.add_column(heading, justify="left" if heading == "data" else "right")
    for name, (x, y) in list(datasets().items())[:: 5 if options.quick else 1]:
        row = [name, f"{len(x)} × {x.shape[1]}"]
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        for learner in (Before(random_state=0), RelaxonClassifier(random_state=0), linear):
            reached = cross_val_score(learner, x, y, cv=folds)
            row.append(f"{reached.mean():.3f} ± {reached.std():.3f}")
        table.add_row(*row)
    common.console.print(table)
    common.sign_off()


if __name__ == "__main__":
    main()
