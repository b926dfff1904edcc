"""Recorded runs (`tests/golden/*.npz`) and random machines, for tests to replay."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from relaxon import Config, Couplings

GOLDEN = sorted(Path(__file__).parent.joinpath("golden").glob("*.npz"))


@dataclass(frozen=True)
class Recorded:
    """A run of an independent implementation: what went in and what came out.

    `before` and `after` are the couplings before and after training on (x, y) in order,
    `prediction` those of training, `state` the last sample's, `prediction_after` the inference of
    the first samples afterwards.
    """

    name: str
    folder: Path
    config: Config
    before: Couplings
    after: Couplings
    x: npt.NDArray[np.int8]
    y: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]
    state: npt.NDArray[np.int8]
    prediction_after: npt.NDArray[np.uint8]

    @classmethod
    def load(cls, path: Path) -> Recorded:
        """Read one file."""
        with np.load(path) as file:
            d = dict(file)
        config = Config.from_dicts(json.loads(str(d["config"])), json.loads(str(d["registers"])))
        return cls(
            name=path.stem,
            folder=path.parent,
            config=config,
            before=Couplings(d["recurrent"], d["input"], d["feedback"], d["readout"]),
            after=Couplings(
                d["recurrent_out"], d["input_out"], d["feedback"], d["readout_out"]
            ),
            x=d["x"],
            y=d["y"],
            prediction=d["prediction"],
            state=d["state_out"],
            prediction_after=d["prediction_after"],
        )


def random_samples(
    config: Config, n: int, seed: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.uint8]]:
    """`n` noisy copies of one random pattern per class: x (n, N) of ±1 and the labels y (n,)."""
    rng = np.random.default_rng(seed)
    patterns = rng.choice([-1, 1], (config.classes, config.inputs))
    y = rng.integers(0, config.classes, n)
    noise = np.where(rng.random((n, config.inputs)) < 0.2, -1, 1)
    return (patterns[y] * noise).astype(np.int8), y.astype(np.uint8)


def random_couplings(config: Config, seed: int) -> Couplings:
    """Couplings uniform over their whole range (so that learning saturates), F down to −128."""
    rng = np.random.default_rng(seed)
    m, h, n, c = config.modules, config.neurons, config.inputs, config.classes

    def uniform(limit: int, *shape: int) -> npt.NDArray[np.int16]:
        return rng.integers(-limit, limit, shape, np.int16, endpoint=True)

    recurrent = uniform(config.recurrent_max, m, h, h)
    recurrent[:, np.arange(h), np.arange(h)] = 0
    feedback = uniform(128, m, h, c).clip(max=127)
    feedback[0, 0, :] = -128
    return Couplings(
        recurrent=recurrent,
        input=uniform(config.weight_max, m, h, n),
        feedback=feedback,
        readout=uniform(config.readout_max, c, m, h),
    )
