"""Input ports, written where they change: a simulator takes its time for each write."""

from __future__ import annotations

from relaxon.sim.testbench.bundle import Block


class Pins:
    """Input ports of a device.

    Parameters
    ----------
    dut, prefix
        The device, and what all names begin with.
    """

    def __init__(self, dut: Block, prefix: str = ""):
        self._dut, self._prefix = dut, prefix
        self._values: dict[str, int] = {}

    def set(self, **values: int) -> None:
        """Drive these ports from now on."""
        for name, value in values.items():
            if self._values.get(name) != value:
                self._values[name] = value
                getattr(self._dut, self._prefix + name).value = value
