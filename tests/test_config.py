"""The configuration refuses nonsense and derives widths that hold every field."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from recorded import Recorded

from relaxon import Config, Registers
from relaxon.errors import ConfigError, RelaxonError
from relaxon.protocol import REGISTERS
from relaxon.settings import PRESETS


@pytest.mark.parametrize("field", Config.LIMITS)
def test_sizes_outside_their_limits_are_refused_by_name_value_and_range(field: str):
    low, high = Config.LIMITS[field]
    for value in (low - 1, high + 1, 0, -3):
        with pytest.raises(ConfigError, match=f"{field} must be {low} to {high}, not {value}"):
            Config(**{field: value})


@pytest.mark.parametrize("value", [3.0, "8", None, True, float("nan")])
def test_sizes_that_are_not_integers_are_refused(value: object):
    with pytest.raises(ConfigError, match="neurons must be an integer"):
        Config(neurons=value)  # type: ignore[arg-type]


def test_numpy_integers_become_python_integers():
    config = Config(neurons=np.int64(16), modules=np.uint8(2))  # type: ignore[arg-type]
    assert type(config.neurons) is int and type(config.modules) is int


def test_too_many_neurons_together_are_refused():
    with pytest.raises(ConfigError, match="65535"):
        Config(modules=1024, neurons=64)


@pytest.mark.parametrize("register", REGISTERS, ids=lambda r: r.name)
def test_registers_outside_their_bits_are_refused(register):
    values = Config().registers
    for value in (register.low - 1, register.high + 1):
        with pytest.raises(ConfigError, match=f"register {register.name} must be"):
            values.replace(**{register.name: value})


def test_registers_that_overflow_the_fields_are_refused_with_the_width_to_build():
    config = Config(neurons=32, inputs=16, field_bits=16)
    with pytest.raises(ConfigError, match="build with field_bits = ") as caught:
        config.check_registers(config.registers.replace(chain_coupling=0, self_coupling=1 << 20))
    wanted = int(str(caught.value).split("field_bits = ")[-1])
    grown = config.with_registers(self_coupling=1 << 20)
    assert grown.field_bits == wanted


def test_a_margin_beyond_the_fields_is_refused():
    with pytest.raises(ConfigError, match="margin must be within"):
        Config(neurons=32, inputs=16, field_bits=16).replace(
            registers=Config(neurons=32, inputs=16).registers.replace(margin=40_000)
        )


@pytest.mark.parametrize("what", ["neuron", "preset"])
def test_unknown_names_are_refused_with_the_known_ones(what: str):
    with pytest.raises(ConfigError, match="neurons"):
        Config.preset("paper", **{what: 8})
    with pytest.raises(ConfigError, match="neurons"):
        Config().replace(**{what: 8})


def test_unknown_presets_and_registers_are_refused():
    with pytest.raises(ConfigError, match="paper, modules, tuned, not 'best'"):
        Config.preset("best")
    with pytest.raises(ConfigError, match="unknown register 'gates'"):
        Config().registers.replace(gates=1)
    with pytest.raises(ConfigError, match="incomplete"):
        Config.from_dicts({"neurons": 8}, {"margin": 3})


def test_every_error_is_a_relaxon_error_with_its_own_exit_code():
    with pytest.raises(RelaxonError) as caught:
        Config(lanes=1)
    assert caught.value.exit_code == 2


def test_twenty_bits_cover_the_paper_sizes():
    """design.md: 20 bits cover H = 1024, N = 100."""
    assert Config.preset("paper", neurons=1024, inputs=100).field_bits == 20


@pytest.mark.parametrize("modules", [1, 2, 3])
def test_the_field_bound_is_reached_by_the_worst_machine_and_fits(modules: int):
    """All couplings at their end, all states +1: h equals the bound (F alone reaches 2^7)."""
    registers = Config(neurons=6, inputs=5).registers.replace(
        self_coupling=77, chain_coupling=99, input_shift=3, feedback_shift=2
    )
    c = Config(modules=modules, neurons=6, inputs=5, registers=registers)
    neighbours = min(2, modules - 1)
    worst = 5 * 127 * 8 + 5 * 127 + 77 + neighbours * 99 + 128 * 4
    assert c.field_bound(registers) == worst
    assert c.field_bits == max(16, worst.bit_length() + 1)


def test_presets_follow_the_formulas_of_the_design():
    c = Config.preset("paper", neurons=256, inputs=100)
    k = 32 * math.sqrt(256)
    assert c.registers.as_dict() == Registers(
        input_shift=3, feedback_shift=4, self_coupling=round(k / 2), margin=round(k),
        readout_margin_true=round(1.2 * 64 * 16), readout_margin_false=round(3.79 * 64 * 16),
    ).as_dict()  # fmt: skip
    m = Config.preset("modules", inputs=100)
    assert (m.modules, m.neurons, m.readout_bits) == (32, 32, 14)
    unit = 256 * math.sqrt(1024)
    assert m.registers.gate_enable == 1 and m.registers.gate == round(2 * unit)
    assert m.registers.readout_margin_true == round(1.2 * unit)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("neurons", [2, 7, 32, 256])
@pytest.mark.parametrize("weight_bits", [4, 8, 12])
def test_presets_fit_their_own_registers(preset: str, neurons: int, weight_bits: int):
    c = Config.preset(preset, neurons=neurons, weight_bits=weight_bits)
    c.check_registers(c.registers)
    assert Config.from_dicts(json.loads(c.to_json()), c.registers.as_dict()) == c


def test_registers_of_files_from_before_protocol_version_5_are_whole():
    c = Config()
    older = c.registers.as_dict()
    del older["keep_state"], older["sequential"]
    assert Config.from_dicts(c.structure(), older) == c
    assert (c.registers.keep_state, c.registers.sequential) == (0, 0)


def test_preset_registers_can_be_overridden_one_by_one():
    c = Config.preset("modules", registers={"gate": 9, "chain_coupling": 5})
    assert (c.registers.gate, c.registers.chain_coupling, c.registers.gate_enable) == (9, 5, 1)


def test_configurations_are_frozen_and_hashable():
    c = Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        c.neurons = 3  # type: ignore[misc]
    assert len({c, Config(), Config(lanes=8)}) == 2


def test_recorded_configurations_are_understood(golden: Recorded):
    """Their registers are the presets' own (feedback is stored as recorded)."""
    assert golden.config.to_json()
    assert golden.config.registers.learn_input == 1


def test_what_compact_lanes_cannot_do_is_refused():
    column = Config(modules=2, neurons=32, inputs=9, lanes=8, store="column")
    with pytest.raises(ConfigError, match="chain_coupling must be 0, not 5, or store must be 'skewed'"):
        column.with_registers(chain_coupling=5)
    limit = (1 << (column.field_bits - 2)) - 1
    column.with_registers(self_coupling=0, margin=limit)
    with pytest.raises(ConfigError, match=f"self_coupling − margin must be within ±{limit}"):
        column.with_registers(self_coupling=0, margin=limit + 1)
