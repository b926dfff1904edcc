"""PLL settings are within the data sheets' limits, and the nearest there are."""

from __future__ import annotations

from itertools import product

import pytest

from relaxon.boards import pll, registry
from relaxon.boards.clocking import input_mhz, limits
from relaxon.boards.pll import ECP5, GW1N, GW2A, ICE40, Limits, Setting, solve
from relaxon.errors import ConfigError


def check(setting: Setting) -> None:
    """What the dividers make is what the setting says, and allowed."""
    f, d = setting.input, setting.dividers
    if setting.limits is ECP5:
        i, fb, op, os = d
        made = (f / i, f / i * fb * op, f / i * fb * op / os)
        assert ECP5.output[0] <= f / i * fb <= ECP5.output[1], "the output that feeds back"
        assert 1 <= i <= 128 and 1 <= fb <= 80 and 1 <= op <= 128 and 1 <= os <= 128
    elif setting.limits is ICE40:
        r, fb, q = d
        made = (f / (r + 1), f / (r + 1) * (fb + 1), f / (r + 1) * (fb + 1) / 2**q)
        assert 0 <= r <= 15 and 0 <= fb <= 127 and 1 <= q <= 6
    else:
        i, fb, o = d
        made = (f / (i + 1), f / (i + 1) * (fb + 1) * o, f / (i + 1) * (fb + 1))
        assert 0 <= i <= 63 and 0 <= fb <= 63 and o in pll.GOWIN_OUTPUT_DIVIDERS
    assert (setting.compare, setting.vco, setting.output) == pytest.approx(made)
    for value, (low, high) in zip(
        made, (setting.limits.compare, setting.limits.vco, setting.limits.output)
    ):
        assert low <= value <= high


@pytest.mark.parametrize(
    "limits, given, wanted",
    [*product([ECP5], [25.0, 48.0, 12.0], [25.0, 50.0, 62.5, 75.0, 80.0, 96.0, 100.0]),
     *product([ICE40], [12.0, 100.0], [24.0, 30.0, 36.0, 48.0]),
     *product([GW1N, GW2A], [27.0], [27.0, 40.5, 54.0, 60.0, 81.0])],
    ids=str,
)  # fmt: skip
def test_settings_are_within_the_limits(limits: Limits, given: float, wanted: float) -> None:
    try:
        setting = solve(limits, given, wanted)
    except ConfigError as error:
        assert limits is ICE40 and "nearest" in str(error)
        return
    check(setting)
    assert setting.output == pytest.approx(wanted, rel=pll.TOLERANCE)


@pytest.mark.parametrize("target", registry.targets().values(), ids=lambda target: target.name)
def test_every_board_has_its_clock(target) -> None:
    setting = solve(limits(target.part), input_mhz(target.platform()), target.clock_mhz)
    check(setting)
    assert setting.output == pytest.approx(target.clock_mhz)


def test_what_cannot_be_made_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="cannot make 87.3 MHz from 25 MHz; the nearest is 87.5"):
        solve(ECP5, 25, 87.3)
    with pytest.raises(ConfigError, match="input of 10 to 133 MHz, not 1 MHz"):
        solve(ICE40, 1, 48)
    with pytest.raises(ConfigError, match="cannot make 2000 MHz"):
        solve(GW1N, 27, 2000)
    with pytest.raises(ConfigError, match="cannot make 5 MHz"):
        solve(ICE40, 12, 5)
