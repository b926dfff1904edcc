"""Couplings are drawn as documented, checked against the configuration, and compared exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recorded import Recorded, random_couplings

from relaxon import Config, Couplings
from relaxon.errors import DataError
from relaxon.settings import PRESETS

CONFIG = Config(modules=2, neurons=4, inputs=3, classes=2)


def test_the_seed_decides_the_couplings():
    one, same, other = (Couplings.fresh(CONFIG, seed) for seed in (1, 1, 2))
    assert one.differences(same) == dict.fromkeys(Couplings.NAMES, 0)
    assert one.differences(other)["input"] > 0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("weight_bits", [5, 8, 10])
def test_fresh_couplings_have_the_documented_spread(preset: str, weight_bits: int):
    config = Config.preset(preset, modules=1, neurons=200, inputs=200, weight_bits=weight_bits)
    fresh = Couplings.fresh(config, 3, preset).check(config)
    assert not fresh.readout.any()
    assert np.std(fresh.input) == pytest.approx(PRESETS[preset].sigma(weight_bits), rel=0.03)
    off_diagonal = fresh.recurrent[0][~np.eye(200, dtype=bool)]
    assert np.std(off_diagonal) == pytest.approx(PRESETS[preset].sigma(weight_bits), rel=0.03)
    strength = np.std(fresh.feedback.astype(float)) * (1 << config.registers.feedback_shift)
    assert strength == pytest.approx(PRESETS[preset].feedback * PRESETS[preset].k(config), rel=0.05)


def test_fresh_couplings_need_no_clipping_at_four_sigma_whatever_the_width():
    for bits in range(4, 12):
        config = Config(weight_bits=bits)
        assert 3.5 * PRESETS["paper"].sigma(bits) <= config.weight_max


def test_check_returns_int16_and_keeps_the_values():
    couplings = random_couplings(CONFIG, 1)
    wide = Couplings(**{name: a.astype(np.int64) for name, a in vars(couplings).items()})
    checked = wide.check(CONFIG)
    assert all(array.dtype == np.int16 for array in vars(checked).values())
    assert not any(checked.differences(couplings).values())


@pytest.mark.parametrize("name", Couplings.NAMES)
def test_wrong_shapes_types_and_values_are_refused_by_name(name: str):
    good = random_couplings(CONFIG, 1)
    array = getattr(good, name)
    with pytest.raises(DataError, match=f"{name} must have shape"):
        replace(good, **{name: array[..., :-1]}).check(CONFIG)
    with pytest.raises(DataError, match=f"{name} must hold integers"):
        replace(good, **{name: array.astype(float)}).check(CONFIG)
    for value in (-3000, 3000):
        bad = array.copy()
        bad.flat[1] = value
        with pytest.raises(DataError, match=f"{name} must lie in .*{value}"):
            replace(good, **{name: bad}).check(CONFIG)


def test_the_most_negative_weight_is_refused_but_feedback_may_be_minus_128():
    good = random_couplings(CONFIG, 1)
    assert good.check(CONFIG).feedback.min() == -128
    bad = good.input.copy()
    bad.flat[0] = -128
    with pytest.raises(DataError, match="-127 … 127"):
        replace(good, input=bad).check(CONFIG)


def test_a_coupling_of_a_neuron_to_itself_is_refused():
    bad = random_couplings(CONFIG, 1).recurrent.copy()
    bad[1, 2, 2] = 1
    with pytest.raises(DataError, match="zero diagonal"):
        replace(random_couplings(CONFIG, 1), recurrent=bad).check(CONFIG)


def test_differences_count_elements():
    one = random_couplings(CONFIG, 1)
    changed = one.readout.copy()
    changed.flat[:3] += 1
    assert one.differences(replace(one, readout=changed)) == dict(
        recurrent=0, input=0, feedback=0, readout=3
    )


def test_recorded_couplings_fit_their_configuration(golden: Recorded):
    golden.before.check(golden.config)
    golden.after.check(golden.config)


def test_fields_have_one_scale_whatever_the_widths_of_j_and_w():
    """r makes up for a J whose LSB is larger than W's, b for a W whose LSB is."""
    same = Config.preset("modules", inputs=100)
    scales = set()
    for recurrent, weights in ((8, 8), (5, 8), (8, 5), (4, 12), (12, 4), (6, 6)):
        config = Config.preset(
            "modules", inputs=100, weight_bits=weights, recurrent_bits=recurrent
        )
        fresh = Couplings.fresh(config, 0, "modules")
        recurrent_field = fresh.recurrent.std() * 2.0**config.registers.recurrent_shift
        input_field = fresh.input.std() * 2.0**config.registers.input_shift
        scales.add(round(np.log2(input_field / recurrent_field), 1))
        k = PRESETS["modules"].k(config)
        assert recurrent_field * np.sqrt(32) == pytest.approx(k, rel=0.06)
        assert config.registers.self_coupling == round(k / 2)
    assert len(scales) == 1 and same.registers.recurrent_shift == 0
