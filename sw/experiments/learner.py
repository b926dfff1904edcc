"""A machine from the values of a point, trained and tested.

A point names what differs from its preset: sizes and widths (`Config`), settings in the papers'
units (`relaxon.settings.Settings`), registers, and how long it learns (`Plan`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from relaxon.board import Board
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.data import Dataset
from relaxon.experiments import Figures, Point
from relaxon.experiments.lab import Lab
from relaxon.protocol import REGISTERS
from relaxon.settings import Settings, settings_of
from relaxon.training import Plan, Run, train

FROZEN = dict(
    learn_recurrent=0, learn_input=0, sweeps_clamped=0, sweeps_released=2, gate_enable=0
)
"""Registers of a machine whose readout alone learns, of what it will be asked for: no label takes
part."""
SIZES = {f.name for f in fields(Config)} - {"inputs", "classes", "registers", "field_bits"}
SETTINGS = {f.name for f in fields(Settings)} - {"readout_bits"}
FREE = {r.name for r in REGISTERS} - SETTINGS
"""Registers that a point may name: those of other settings' names are made from them."""


def preset_values(preset: str, names: Iterable[str]) -> Point:
    """What a preset has for these settings, in their units, or registers."""
    registers = Config.preset(preset).registers.as_dict()
    known = registers | asdict(settings_of(preset))
    return {name: known[name] for name in names}


@dataclass(frozen=True)
class Machine:
    """A configuration, the settings its registers come from, and its fresh couplings."""

    config: Config
    settings: Settings
    couplings: Couplings

    def recorded(self) -> dict[str, Figures]:
        """Sizes, widths and registers, kept with the figures; `Sweep.frame` leaves them out."""
        return {"config": self.config.structure() | self.config.registers.as_dict()}


def machine(point: Point, inputs: int, classes: int) -> Machine:
    """The machine of a point (its `seed` decides the couplings).

    `wiring` "no recurrence" takes J = 0.
    """
    settings = replace(
        settings_of(point.get("preset", "modules")),
        **{name: value for name, value in point.items() if name in SETTINGS},
    )
    sizes = {name: value for name, value in point.items() if name in SIZES}
    registers = {name: value for name, value in point.items() if name in FREE}
    config = Config.preset(settings, inputs=inputs, classes=classes, registers=registers, **sizes)
    couplings = Couplings.fresh(config, point["seed"], settings)
    if point.get("wiring") == "no recurrence":
        couplings = replace(couplings, recurrent=np.zeros_like(couplings.recurrent))
    return Machine(config, settings, couplings)


def samples_of(point: Point, lab: Lab) -> Dataset:
    """The samples of a point: `task`, `inputs` or `levels` (none: pixels, of one level), `samples`,
    `tested`, `split`, `seed`."""
    return lab.dataset(
        point["task"], point["seed"], inputs=point.get("inputs"), levels=point.get("levels"),
        samples=point.get("samples"), tested=point.get("tested"),
        validation=point.get("split") == "validation",
    )  # fmt: skip


def plan_of(point: Point) -> Plan:
    """How long a point learns: `epochs`, `settle`, `seed`."""
    return Plan(point["epochs"], point["seed"], settle=point.get("settle"))


def teach(board: Board, data: Dataset, point: Point) -> Run:
    """Train and test; Ctrl-C goes on to whoever called."""
    run = train(board, data, plan_of(point))
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def learn(point: Point, lab: Lab) -> Figures:
    """Train the machine of a point and test it.

    Returns
    -------
    dict
        `accuracy` on the test samples, `training_accuracy` in the last epoch; `trainable`, the
        couplings that learn; `recurrent_at_limit`, `input_at_limit` and `readout_at_limit`, the part
        of each array that ends at the end of its range; `learned`, the part of the training samples
        that reached the learning step; `cycles` per training sample, in the second half.
    """
    data = samples_of(point, lab)
    made = machine(point, data.inputs, data.classes)
    with lab.machine(made.config) as board:
        board.load(made.couplings)
        run = teach(board, data, point)
        learned = board.couplings()
    return {
        "accuracy": list(run.test_accuracy.values())[-1],
        "training_accuracy": run.train_accuracy[-1],
        "trainable": trainable(made.config),
        **at_limit(made.config, learned),
        "learned": sum(grown["learned"] for grown in run.slices) / run.samples,
        "cycles": run.cycles_per_sample,
        **made.recorded(),
    }


def trainable(config: Config) -> int:
    """Couplings that learn: M·H·(H − 1) of J, M·H·N of W, C·M·H of O, where their registers say so."""
    r = config.registers
    per_neuron = (
        r.learn_recurrent * (config.neurons - 1) + r.learn_input * config.inputs
        + r.learn_readout * config.classes
    )  # fmt: skip
    return config.total_neurons * per_neuron


def at_limit(config: Config, couplings: Couplings) -> Figures:
    """The part of J (its diagonal not counted), W and O that is at either end of its range."""
    limits = dict(
        recurrent=config.recurrent_max, input=config.weight_max, readout=config.readout_max
    )
    cut = {name: np.abs(getattr(couplings, name)) == limit for name, limit in limits.items()}
    off_diagonal = config.neurons / (config.neurons - 1)
    return {
        "recurrent_at_limit": float(cut["recurrent"].mean() * off_diagonal),
        "input_at_limit": float(cut["input"].mean()),
        "readout_at_limit": float(cut["readout"].mean()),
    }
