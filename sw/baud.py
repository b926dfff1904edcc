"""Rates that a clock can make for a UART."""

from __future__ import annotations

from relaxon.errors import ConfigError

MIN_CYCLES_PER_BIT = 4
MAX_BAUD_ERROR = 0.02
"""Half a bit over ten bits is 5 %; both ends may use up their share."""


def cycles_per_bit(clock_hz: int, baud: int) -> int:
    """Clock cycles of one bit. Raises `ConfigError` where the clock cannot make the rate."""
    if clock_hz <= 0 or baud <= 0:
        raise ConfigError(f"clock and baud rate must be positive, not {clock_hz} Hz, {baud} baud")
    cycles = max(1, round(clock_hz / baud))
    error = abs(clock_hz / cycles / baud - 1)
    if cycles < MIN_CYCLES_PER_BIT or error > MAX_BAUD_ERROR:
        raise ConfigError(
            f"a clock of {clock_hz} Hz cannot make {baud} baud: {cycles} cycles a bit, {error:.1%} "
            f"off; at least {MIN_CYCLES_PER_BIT} cycles and at most {MAX_BAUD_ERROR:.0%} are needed"
        )
    return cycles
