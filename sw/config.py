"""The configuration: every size, width and register of a machine, in one frozen object.

Model, gateware, driver, files and tests take a `Config`; nothing else carries sizes. Defaults of
the registers are the papers' unitless values (`relaxon.settings`) in integer units.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

from relaxon import protocol
from relaxon.errors import ConfigError
from relaxon.settings import Settings, settings_of

FEEDBACK_BITS = 8
"""F is int8 whatever the width of the weights that learn."""


@dataclass(frozen=True, kw_only=True)
class Registers:
    """Run-time parameters (`relaxon.protocol.REGISTERS` has their meaning and range).

    Raises `ConfigError` for a value that its register cannot hold.
    """

    input_shift: int
    feedback_shift: int
    self_coupling: int
    chain_coupling: int = 0
    margin: int
    readout_margin_true: int
    readout_margin_false: int
    readout_step_true: int = 1
    readout_step_false: int = 1
    sweeps_clamped: int = 2
    sweeps_released: int = 1
    sweeps_infer: int = 2
    gate_enable: int = 0
    gate: int = 0
    learn_recurrent: int = 1
    learn_input: int = 1
    learn_readout: int = 1
    keep_state: int = 0
    sequential: int = 0
    recurrent_shift: int = 0

    def __post_init__(self) -> None:
        for register in protocol.REGISTERS:
            value = _integer(register.name, getattr(self, register.name))
            object.__setattr__(self, register.name, value)
            if not register.low <= value <= register.high:
                raise ConfigError(
                    f"register {register.name} must be {register.low} to {register.high}, not {value}"
                )

    def replace(self, **changes: int) -> Registers:
        """A copy with the named registers changed."""
        _refuse_unknown("register", changes, self)
        return replace(self, **changes)

    def as_dict(self) -> dict[str, int]:
        """Name → value, in address order."""
        return {r.name: getattr(self, r.name) for r in protocol.REGISTERS}


@dataclass(frozen=True, kw_only=True)
class Config:
    """A machine: M modules of H neurons, N inputs, C classes, its widths, lanes and registers.

    Parameters
    ----------
    modules, neurons, inputs, classes
        M, H (per module), N and C.
    weight_bits, recurrent_bits, readout_bits
        Width of W, of J (by default that of W; `replace` keeps it) and of O, sign included; the values
        are symmetric, ±(2^(bits−1)−1).
    lanes
        P: neurons computed per clock cycle. What is computed does not depend on it, unless the register
        `sequential` is 1.
    store
        Weight store: "skewed" or, for single-port memory, "column" (`relaxon.protocol.STORES`).
        What is computed does not depend on it, only how fast; "column" has no chain coupling.
    registers
        Run-time parameters; by default the papers' (`Config.preset` has the named sets).
    field_bits
        Width of a field, 8 to 32; by default what `field_bound` needs, and at least 16.

    Raises
    ------
    ConfigError
        Names the field, its value and what is allowed.
    """

    modules: int = 1
    neurons: int = 256
    inputs: int = 100
    classes: int = 10
    weight_bits: int = 8
    readout_bits: int = 12
    lanes: int = 32
    store: str = "skewed"
    registers: Registers = None  # type: ignore[assignment]  # filled in by __post_init__
    field_bits: int = None  # type: ignore[assignment]  # likewise
    recurrent_bits: int = None  # type: ignore[assignment]  # likewise

    LIMITS = {
        "modules": (1, 1024),
        "neurons": (2, 4096),
        "inputs": (1, 4096),
        "classes": (2, 64),
        "weight_bits": (3, 16),
        "recurrent_bits": (3, 16),
        "readout_bits": (4, 16),
        "lanes": (2, 256),
    }
    MAX_NEURONS = 65535
    """All modules together: the per-sample reply counts unstable neurons in 16 bits."""

    def __post_init__(self) -> None:
        if self.recurrent_bits is None:
            object.__setattr__(self, "recurrent_bits", self.weight_bits)
        for name, (low, high) in self.LIMITS.items():
            value = _integer(name, getattr(self, name))
            object.__setattr__(self, name, value)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be {low} to {high}, not {value}")
        if self.store not in protocol.STORES:
            raise ConfigError(
                f"store must be one of {', '.join(protocol.STORES)}, not {self.store!r}"
            )
        if self.total_neurons > self.MAX_NEURONS:
            raise ConfigError(
                f"modules × neurons must be at most {self.MAX_NEURONS}, not "
                f"{self.modules} × {self.neurons} = {self.total_neurons}"
            )
        if self.registers is None:
            object.__setattr__(self, "registers", default_registers(self))
        elif not isinstance(self.registers, Registers):
            raise ConfigError(f"registers must be a Registers, not {self.registers!r}")
        if self.field_bits is None:
            needed = 1 + self.field_bound(self.registers).bit_length()
            object.__setattr__(self, "field_bits", max(16, needed))
        value = _integer("field_bits", self.field_bits)
        object.__setattr__(self, "field_bits", value)
        if not 8 <= value <= 32:
            raise ConfigError(f"field_bits must be 8 to 32, not {value}")
        self.check_registers(self.registers)

    @classmethod
    def preset(cls, name: str | Settings, **sizes: Any) -> Config:
        """A configuration with the registers of a preset (`relaxon.settings`), or of any other
        settings, for these sizes.

        `registers` entries may be overridden one by one with a dict: ``registers={"gate": 9}``.
        """
        sizes.setdefault("readout_bits", settings_of(name).readout_bits)
        if name in ("modules", "tuned"):
            sizes.setdefault("modules", 32)
            sizes.setdefault("neurons", 32)
        overrides = sizes.pop("registers", None) or {}
        _refuse_unknown("configuration field", sizes, cls)
        field_bits = sizes.pop("field_bits", None)
        plain = cls(**sizes)
        registers = default_registers(plain, name).replace(**overrides)
        return cls(**sizes, registers=registers, field_bits=field_bits)

    # ---- sizes and widths -------------------------------------------------------------------

    @property
    def total_neurons(self) -> int:
        """M·H."""
        return self.modules * self.neurons

    @property
    def weight_max(self) -> int:
        """Largest value of an element of W; the smallest is its negative."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def recurrent_max(self) -> int:
        """Largest value of an element of J."""
        return (1 << (self.recurrent_bits - 1)) - 1

    @property
    def readout_max(self) -> int:
        """Largest value of an element of O."""
        return (1 << (self.readout_bits - 1)) - 1

    @property
    def field_max(self) -> int:
        """Largest |h| that `field_bits` hold."""
        return (1 << (self.field_bits - 1)) - 1

    @property
    def factor_max(self) -> int:
        """Largest |J_D| and |J_D − κ| of a column store, whose compact lanes multiply by them."""
        return (1 << (self.field_bits - 2)) - 1

    @property
    def k(self) -> float:
        """K = σ√H, the field, in LSB, that stands for the papers' 1.0, with the σ of `paper`."""
        return Settings().k(self)

    def field_bound(self, registers: Registers) -> int:
        """Largest |h| (feedback included) that any weights, state and input can produce.

        |A| ≤ N·|W|·2^b, |R| ≤ (H−1)·|J|·2^r, |J_D| for the neuron itself, |λ| from each neighbour
        and 2^7·2^f from the label. (F is not symmetric: −128 is legal.)
        """
        r, neighbours = registers, min(2, self.modules - 1)
        return (
            (self.inputs * self.weight_max << r.input_shift)
            + ((self.neurons - 1) * self.recurrent_max << r.recurrent_shift)
            + abs(r.self_coupling)
            + neighbours * abs(r.chain_coupling)
            + (1 << (FEEDBACK_BITS - 1) << r.feedback_shift)
        )

    @property
    def score_bits(self) -> int:
        """Width of a class score: |r| ≤ M·H·(2^(readout_bits−1)−1), and a sign."""
        return 1 + (self.total_neurons * self.readout_max).bit_length()

    def check_registers(self, registers: Registers) -> None:
        """Raise `ConfigError` unless fields and margin fit `field_bits` under these registers."""
        limit = self.field_max
        bound = self.field_bound(registers)
        if bound > limit:
            raise ConfigError(
                f"field_bits = {self.field_bits} holds fields up to ±{limit}, but these registers "
                f"allow ±{bound} (input_shift {registers.input_shift}, feedback_shift "
                f"{registers.feedback_shift}, self_coupling {registers.self_coupling}, chain_coupling "
                f"{registers.chain_coupling}); lower them or build with field_bits = "
                f"{1 + bound.bit_length()}"
            )
        if self.store == "column":
            self._check_compact(registers)
        if abs(registers.margin) > limit:
            raise ConfigError(
                f"register margin must be within ±{limit} (field_bits = {self.field_bits}), "
                f"not {registers.margin}"
            )

    def _check_compact(self, registers: Registers) -> None:
        """What the compact lanes of a column store can do."""
        if registers.chain_coupling:
            raise ConfigError(
                f"a column store has no chain coupling: register chain_coupling must be 0, not "
                f"{registers.chain_coupling}, or store must be 'skewed'"
            )
        limit = self.factor_max
        for name, value in (
            ("self_coupling", registers.self_coupling),
            ("self_coupling − margin", registers.self_coupling - registers.margin),
        ):
            if abs(value) > limit:
                raise ConfigError(
                    f"with a column store, {name} must be within ±{limit} (field_bits = "
                    f"{self.field_bits}), not {value}"
                )

    # ---- copies and text --------------------------------------------------------------------

    def replace(self, **changes: Any) -> Config:
        """A copy with the named fields changed; registers and `field_bits` stay unless named."""
        _refuse_unknown("configuration field", changes, self)
        return replace(self, **changes)

    def with_registers(self, **changes: int) -> Config:
        """A copy with the named registers changed; `field_bits` grows if it must."""
        registers = self.registers.replace(**changes)
        needed = 1 + self.field_bound(registers).bit_length()
        return replace(self, registers=registers, field_bits=max(self.field_bits, needed))

    def structure(self) -> dict[str, Any]:
        """What is compiled in: everything but the registers."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "registers"}

    def identity(self) -> dict[str, int]:
        """The structure in the numbers that IDENTITY carries."""
        return self.structure() | {"store": protocol.STORES.index(self.store)}

    def to_json(self) -> str:
        """The structure as JSON (registers have their own `Registers.as_dict`)."""
        return json.dumps(self.structure())

    @classmethod
    def from_dicts(cls, structure: dict[str, Any], registers: dict[str, Any] | None) -> Config:
        """A configuration from parsed JSON, as golden files and checkpoints hold it."""
        _refuse_unknown("configuration field", structure, cls)
        if registers is None:
            return cls(**structure)
        _refuse_unknown("register", registers, Registers)
        try:
            return cls(**structure, registers=Registers(**registers))
        except TypeError as error:  # a register without default is missing
            raise ConfigError(f"registers are incomplete: {error}") from None


def default_registers(config: Config, preset: str | Settings = "paper") -> Registers:
    """A preset's registers for these sizes; what its settings do not decide has the defaults."""
    return Registers(**settings_of(preset).registers(config))


def power_up_registers(config: Config) -> Registers:
    """The registers that a board of this structure has after power-up, and in its self-test.

    They are the papers' (`default_registers`) where those fit `field_bits`, and otherwise the nearest
    that do: a machine may have been built for registers whose fields need fewer bits than the papers',
    and a board must be able to hold what it starts and tests itself with. The registers of `config` do
    not matter.
    """
    return _nearest(config, default_registers(config))


def _nearest(config: Config, registers: Registers) -> Registers:
    """These registers, as far as the machine can hold them; λ must be 0, J_D and κ at least 0.

    Nothing changes more than it must. First the input is halved until the fields fit, then the label,
    then the recurrent field (their shifts become less). The room that is left limits J_D, and last κ
    is limited.

    There always are such registers. With the three shifts, J_D and λ at 0 the `Config.field_bound` is
    the least of all registers, so it fits, for the registers of `config` do. Hence, when the shifts are
    low enough, there is room for J_D = 0 or more; and κ may be anything from 0 to J_D, at least, with a
    column store, too.
    """
    for name in ("input_shift", "feedback_shift", "recurrent_shift"):
        while config.field_bound(registers) > config.field_max and getattr(registers, name) > 0:
            registers = registers.replace(**{name: getattr(registers, name) - 1})
    room = config.field_max - config.field_bound(registers.replace(self_coupling=0))
    own = min(registers.self_coupling, room)
    margin = min(registers.margin, config.field_max)
    if config.store == "column":
        own = min(own, config.factor_max)
        margin = min(margin, own + config.factor_max)
    registers = registers.replace(self_coupling=own, margin=margin)
    config.check_registers(registers)
    return registers


def _integer(name: str, value: Any) -> int:
    """`value` as a Python int (NumPy integers welcome); anything else is refused."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return value.__index__()
    except (AttributeError, TypeError):
        raise ConfigError(f"{name} must be an integer, not {value!r}") from None


def _refuse_unknown(what: str, given: dict[str, Any], cls: Any) -> None:
    known = [f.name for f in fields(cls)]
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown {what} {name!r}; known are {', '.join(known)}")


__all__ = ["Config", "Registers", "default_registers", "power_up_registers"]
