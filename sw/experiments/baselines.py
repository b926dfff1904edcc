"""What others reach on the same bits: a linear readout, and a network taught by backpropagation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from relaxon.data import Dataset
from relaxon.experiments import Figures, Point
from relaxon.experiments.lab import Lab
from relaxon.experiments.learner import learn, samples_of

Floats = npt.NDArray[np.float32]

LINEAR = "linear readout"
"""The `learner` of a point that `linear` measures."""
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of a linear readout: inverse strengths of its regularisation that are tried."""
HELD_OUT = 6
"""One training sample in so many is held out to choose among them."""
BATCH = 64
RATE = 1e-3
"""Adam's step, which falls to 0 along half a cosine."""
MOMENTS = (0.9, 0.999)
"""Adam's forgetting factors."""


def linear(data: Dataset) -> Figures:
    """Test accuracy of a linear readout of the input bits: logistic regression, with the
    regularisation that does best on held-out training samples, from the strongest on as long as less
    of it does no worse; then fitted to all."""
    x, y = data.x_train.astype(np.float32), data.y_train
    last = max(1, len(x) // HELD_OUT)
    best, chosen = -1.0, STRENGTHS[0]
    for strength in STRENGTHS if len(np.unique(y[:-last])) > 1 else ():
        fitted = LogisticRegression(C=strength, max_iter=1000).fit(x[:-last], y[:-last])
        reached = float(fitted.score(x[-last:], y[-last:]))
        if reached < best:
            break
        best, chosen = reached, strength
    fitted = LogisticRegression(C=chosen, max_iter=1000).fit(x, y)
    accuracy = float(fitted.score(data.x_test.astype(np.float32), data.y_test))
    return {"accuracy": accuracy, "strength": chosen}


def learn_or_fit(point: Point, lab: Lab) -> Figures:
    """What `linear` finds if that is the point's learner, else what its machine learns."""
    if point["learner"] == LINEAR:
        return linear(samples_of(point, lab))
    return learn(point, lab)


def binarised_mlp(data: Dataset, hidden: int, epochs: int, seed: int) -> float:
    """Test accuracy of a network with one hidden layer of ±1 neurons, taught by backpropagation.

    s = sign(W x + b), logits V s + c, cross-entropy, Adam; the gradient passes a sign as if it were
    the identity where |W x + b| < 1 (straight-through estimator).
    """
    rng = np.random.default_rng(seed)
    n, classes = data.inputs, data.classes
    weights: list[Floats] = [
        (n**-0.5 * rng.normal(size=(n, hidden))).astype(np.float32), np.zeros(hidden, np.float32),
        (hidden**-0.5 * rng.normal(size=(hidden, classes))).astype(np.float32),
        np.zeros(classes, np.float32),
    ]  # fmt: skip
    mean, square = ([np.zeros_like(w) for w in weights] for _ in range(2))
    steps = epochs * (len(data.x_train) // BATCH)
    targets = np.eye(classes, dtype=np.float32)[data.y_train]
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(data.x_train))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            x = data.x_train[rows].astype(np.float32)
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            gradients = _gradients(weights, x, targets[rows])
            for w, g, m, v in zip(weights, gradients, mean, square, strict=True):
                m += (1 - MOMENTS[0]) * (g - m)
                v += (1 - MOMENTS[1]) * (g * g - v)
                bias = np.sqrt(1 - MOMENTS[1] ** step) / (1 - MOMENTS[0] ** step)
                w -= np.float32(rate * bias) * m / (np.sqrt(v) + np.float32(1e-8))
    field = data.x_test.astype(np.float32) @ weights[0] + weights[1]
    logits = np.where(field >= 0, np.float32(1), np.float32(-1)) @ weights[2] + weights[3]
    return float((logits.argmax(axis=1) == data.y_test).mean())


def _gradients(weights: list[Floats], x: Floats, target: Floats) -> tuple[Floats, ...]:
    """Of the mean cross-entropy of a batch."""
    field = x @ weights[0] + weights[1]
    s = np.where(field >= 0, np.float32(1), np.float32(-1))
    logits = s @ weights[2] + weights[3]
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = (chance / chance.sum(axis=1, keepdims=True) - target) / np.float32(len(x))
    back = (error @ weights[2].T) * (np.abs(field) < 1)
    return x.T @ back, back.sum(axis=0), s.T @ error, error.sum(axis=0)


def mlp_parameters(hidden: int, inputs: int, classes: int) -> int:
    """Weights and thresholds of `binarised_mlp`."""
    return hidden * (inputs + 1) + classes * (hidden + 1)


def mlp_of(parameters: int, inputs: int, classes: int) -> int:
    """The hidden neurons whose parameters come nearest to this number."""
    return max(1, round((parameters - classes) / (inputs + 1 + classes)))
