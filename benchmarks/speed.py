"""Training samples per second of everything that computes the rule, side by side.

The model's fast path, the reference model, the simulated board (the gateware), the foundation's
simulated board, and the papers' rule in floating-point NumPy train on the same samples on one core,
in turns, so that what else the computer does hits all of them; the figure is the median over the
turns. All but the last compute the same to the bit, which is checked at the end: their couplings
have to be equal, and all of today's have to count the same events and cycles.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import Any

from common import SEED, Machine, Samples, console, parser, samples, sign_off, table
from float_rule import FloatRule
from foundation import Foundation
from threadpoolctl import threadpool_limits

from relaxon import Config, Couplings
from relaxon.board import Board
from relaxon.sim.model import Model

MACHINES = (Machine(1, 256, 32), Machine(32, 32, 32))
TURNS, PER_TURN = 5, 200
WARM = 2000
"""Samples all of them have behind them: the first ones are the busiest."""
FLOAT = "NumPy, floating point, no gate"


class Reference:
    """The reference model behind the calls of a board."""

    def __init__(self, config: Config, couplings: Couplings):
        self._model = Model(config, couplings)

    def train(self, x: Any, y: Any) -> None:
        """Train on samples in order."""
        for one, label in zip(x, y):
            self._model.train_one(one, int(label))

    def couplings(self) -> Couplings:
        """J, W, F and O."""
        return Couplings(**{name: getattr(self._model, name) for name in Couplings.NAMES})

    def counters(self) -> dict[str, int]:
        """Every counter."""
        return self._model.counters


def boards(machine: Machine, data: Samples, warm: int, stack: ExitStack) -> dict[str, Any]:
    """What computes the rule to the bit, by name, with what the first samples taught."""
    config = machine.config(data)
    pupil = stack.enter_context(machine.board(data))
    pupil.train(data.x[:warm], data.y[:warm])
    learned = pupil.couplings()
    opened = {
        "model, fast path": Board.open("model", config),
        "model": Reference(config, learned),
        "simulated board": Board.open("sim", config),
        "foundation's simulated board": Foundation(
            "sim", machine.preset, machine.sizes(data), SEED
        ),
    }
    for name, board in opened.items():
        if name != "model":
            stack.enter_context(board).load(learned)
    return opened


def check(boards: dict[str, Any]) -> None:
    """Ends the program unless all boards have learned the same and the fast path counts right."""
    reference = boards["model"]
    for name, board in boards.items():
        differences = board.couplings().differences(reference.couplings())
        if any(differences.values()):
            raise SystemExit(f"the {name} and the model disagree, so no figures: {differences}")
    for name in ("model, fast path", "simulated board"):
        counters = boards[name].counters()
        if any(counters[counter] != value for counter, value in reference.counters().items()):
            raise SystemExit(f"the {name} and the model count differently, so no figures")


def speeds(machine: Machine, data: Samples, warm: int, turns: int, each: int) -> dict[str, float]:
    """Samples per second, by name."""
    spent: dict[str, list[float]] = {}
    with ExitStack() as stack:
        exact = boards(machine, data, warm, stack)
        floating = FloatRule(machine.modules, machine.neurons, data.x.shape[1], data.classes, SEED)
        floating.train(data.x[:warm], data.y[:warm])
        for turn in range(turns):
            part = slice(warm + turn * each, warm + (turn + 1) * each)
            for name, board in (exact | {FLOAT: floating}).items():
                begin = time.perf_counter()
                board.train(data.x[part], data.y[part])
                spent.setdefault(name, []).append(time.perf_counter() - begin)
        check(exact)
    return {name: each / statistics.median(seconds) for name, seconds in spent.items()}


def main() -> None:
    """Print the table."""
    options = parser(__doc__).parse_args()
    machines, warm, turns, each = MACHINES, WARM, TURNS, PER_TURN
    if options.quick:
        machines, warm, turns, each = (Machine(2, 8, 8),), 20, 2, 10
    data = samples(options.data)
    with threadpool_limits(1):
        columns = [speeds(machine, data, warm, turns, each) for machine in machines]

    made = table(
        f"training samples per second, on one core ({options.data})", ("what computes",),
        [f"{machine.shape}, {machine.lanes} lanes" for machine in machines],
    )  # fmt: skip
    for name in columns[0]:
        made.add_row(name, *(f"{column[name]:,.0f}" for column in columns))
    ratios = (c["simulated board"] / c["foundation's simulated board"] for c in columns)
    made.add_row("simulated board / foundation's", *(f"{r:.2f}" for r in ratios), style="bold")
    console.print(made)
    sign_off()


if __name__ == "__main__":
    main()
