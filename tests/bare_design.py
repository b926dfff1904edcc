"""A board with next to nothing on it: what the flow of its family makes in seconds."""

from __future__ import annotations

from typing import Any

from amaranth import ClockDomain, Elaboratable, Module

from relaxon import Config
from relaxon.boards import design as design_module
from relaxon.boards import registry
from relaxon.boards.clocking import Clocking
from relaxon.boards.design import Design
from relaxon.boards.target import Nextpnr, Target

TINY = Config.preset("modules", modules=2, neurons=8, inputs=16, lanes=4)
"""The machine that the design says it is of; there is none."""


class BareDesign(Design):
    """Clock and link pins of a board, without the machine, and what `fill` puts there."""

    @classmethod
    def on(cls, target: Target | str, nextpnr: Nextpnr | None = None) -> BareDesign:
        """The design for a board, at the board's own clock and line rate."""
        if isinstance(target, str):
            target = registry.find(target)
        return cls(target, TINY, target.clock_mhz, target.baud, nextpnr or Nextpnr())

    def fill(self, m: Module, uart: Any) -> None:
        """Add logic, from `uart.rx` to `uart.tx`."""
        raise NotImplementedError

    def files(self) -> dict[str, str]:
        """As `Design`'s."""
        design = self

        class Bare(Elaboratable):
            def elaborate(self, platform: Any) -> Module:
                m = Module()
                m.domains.sync = ClockDomain(reset_less=True)
                m.submodules.clocking = Clocking(design.target.part, design.setting)
                design.fill(m, platform.request("uart", 0))
                return m

        plan = self.platform().prepare(Bare(), "top", emit_src=False)
        return {
            name: design_module._text(plan.files[name])
            for name in ("top.il", f"top.{self.family.constraints}")
        }

    def identity(self) -> list[bytes]:
        """Another than the machine's."""
        return [type(self).__name__.encode(), *super().identity()]
