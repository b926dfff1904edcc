"""Random networks that relax by themselves: no input, no label, no learning.

With W = 0 no field comes from the input; the register `keep_state` lets a sample start from the state
that was written. An inference then relaxes that state, and what comes out can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from relaxon.board import Board
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.experiments import Figures
from relaxon.experiments.lab import Lab
from relaxon.settings import settings_of

State = npt.NDArray[np.int8]

SWEEPS = 100
"""Within which a state is to reach a fixed point."""
NO_INPUT = np.ones((1, 1), np.int8)
SYNCHRONOUS = 0
"""`block` of a network whose neurons are all updated at once."""


class Network:
    """Fresh couplings on a board; J_D and λ are in units of `spread`·√H."""

    def __init__(self, board: Board):
        self.board = board

    @classmethod
    @contextmanager
    def open(
        cls, lab: Lab, *, neurons: int, seed: int, self_coupling: float, modules: int = 1,
        chain_coupling: float = 0.0, block: int = SYNCHRONOUS, weight_bits: int = 8,
        sweeps: int = SWEEPS + 2,
    ) -> Iterator[Network]:  # fmt: skip
        """`block`: so many neurons are updated at a time, in turn; `sweeps`: at most so many."""
        config = Config(
            modules=modules, neurons=neurons, inputs=1, classes=2, weight_bits=weight_bits,
            lanes=block or 32,
        )  # fmt: skip
        couplings = Couplings.fresh(config, seed)
        couplings = replace(couplings, input=np.zeros_like(couplings.input))
        unit = spread(config) * np.sqrt(neurons)
        config = config.with_registers(
            self_coupling=round(self_coupling * unit), chain_coupling=round(chain_coupling * unit),
            keep_state=1, sequential=int(block != SYNCHRONOUS), sweeps_infer=sweeps,
        )  # fmt: skip
        with lab.machine(config) as board:
            board.load(couplings)
            yield cls(board)

    @property
    def shape(self) -> tuple[int, int]:
        """M, H."""
        return self.board.config.modules, self.board.config.neurons

    def relax(self, state: State) -> tuple[State, int | None]:
        """Where a state (M, H) goes, and how many sweeps it took to get to a fixed point; None if
        `SWEEPS` were not enough. (Two more are made: one to confirm it, one to tell.)"""
        self.board.write("state", state)
        # Of the sweeps counted the first turns no neuron, and the last one confirms the fixed point.
        sweeps = int(self.board.infer(NO_INPUT).sweeps[0]) - 2
        return self.board.read("state").astype(np.int8), sweeps if sweeps <= SWEEPS else None

    def is_fixed(self, state: State) -> bool:
        """Whether the first sweep turns no neuron of it."""
        return bool((self.relax(state)[0] == state).all())

    def recorded(self) -> dict[str, Figures]:
        """Sizes, widths and registers, kept with the figures; `Sweep.frame` leaves them out."""
        config = self.board.config
        return {"config": config.structure() | config.registers.as_dict()}


def spread(config: Config) -> float:
    """Standard deviation of fresh couplings: of Gaussian numbers, rounded and cut to the range."""
    sigma, limit = settings_of("paper").sigma(config.recurrent_bits), config.recurrent_max
    values = np.arange(-limit, limit + 1)
    edges = np.concatenate([[-np.inf], values[1:] - 0.5, [np.inf]])
    return float(np.sqrt(np.sum(values**2 * np.diff(norm.cdf(edges / sigma)))))


def random_state(rng: np.random.Generator, shape: tuple[int, ...]) -> State:
    """±1 with equal chances."""
    return np.where(rng.random(shape) < 0.5, -1, 1).astype(np.int8)
