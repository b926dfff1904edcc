"""The clock of a board's core: its input clock through a PLL, and when it is one to rely on."""

from __future__ import annotations

from amaranth import ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from relaxon.boards import pll
from relaxon.boards.parts import Part
from relaxon.errors import ConfigError


def limits(part: Part) -> pll.Limits:
    """The PLL of a part."""
    if part.family == "gowin":
        return pll.GW2A if part.name.startswith("GW2A") else pll.GW1N
    return {"ecp5": pll.ECP5, "ice40": pll.ICE40}[part.family]


def input_mhz(platform) -> float:
    """The platform's input clock. `ConfigError` if it says none."""
    try:
        return platform.default_clk_frequency / pll.MHZ
    except AttributeError:
        raise ConfigError(
            f"{type(platform).__name__} must name its input clock (default_clk) and its frequency"
        ) from None


class Clocking(Elaboratable):
    """Drives the domain `sync`, which whoever uses this has to define.

    There is no reset. The core starts from its registers' values at configuration, where it is at
    rest: each is loaded with the value it has. So it does not matter what its clock does until the
    PLL locks, if nothing comes from outside before.

    Parameters
    ----------
    part
        Whose PLL it is.
    setting
        What the PLL does.

    Attributes
    ----------
    ready
        The PLL has locked: the outside may be listened to. In step with `sync`.
    """

    def __init__(self, part: Part, setting: pll.Setting):
        self._part, self._setting = part, setting
        self.ready = Signal()

    def elaborate(self, platform):
        m = Module()
        pin = platform.request(platform.default_clk, dir="-")
        core_clk, locked = Signal(), Signal()
        make = {"ecp5": self._ecp5, "ice40": self._ice40, "gowin": self._gowin}[self._part.family]
        make(m, pin, core_clk, locked)
        m.d.comb += ClockSignal("sync").eq(core_clk)
        m.submodules.lock = FFSynchronizer(locked, self.ready)
        return m

    def _buffered(self, m: Module, pin) -> Signal:
        m.submodules.pin = buffer = io.Buffer("i", pin)
        return buffer.i

    def _ecp5(self, m: Module, pin, core_clk: Signal, locked: Signal) -> None:
        i, fb, op, os = self._setting.dividers
        feedback = Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            # filter settings as Lattice's own tool writes them, and prjtrellis' ecppll after it
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED", p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD",
            p_CLKI_DIV=i, p_CLKFB_DIV=fb, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=op, p_CLKOP_CPHASE=op - 1, p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=os, p_CLKOS_CPHASE=os - 1, p_CLKOS_FPHASE=0,
            i_CLKI=self._buffered(m, pin), i_CLKFB=feedback, i_RST=Const(0), i_STDBY=Const(0),
            i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(0),
            i_PHASESTEP=Const(0), i_PHASELOADREG=Const(0), i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0), i_ENCLKOS=Const(0),
            o_CLKOP=feedback, o_CLKOS=core_clk, o_LOCK=locked,
        )  # fmt: skip

    def _ice40(self, m: Module, pin, core_clk: Signal, locked: Signal) -> None:
        r, f, q = self._setting.dividers
        # FILTER_RANGE by the frequency compared (MHz), as icestorm's icepll sets it.
        edges = (17, 26, 44, 66, 101)
        filter_range = 1 + sum(self._setting.compare >= edge for edge in edges)
        # The pin of the board's clock is the PLL's own: nothing else can take it in.
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE", p_DIVR=Const(r, 4), p_DIVF=Const(f, 7), p_DIVQ=Const(q, 3),
            p_FILTER_RANGE=Const(filter_range, 3),
            i_PACKAGEPIN=pin.io, i_RESETB=Const(1), i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=core_clk, o_LOCK=locked,
        )  # fmt: skip

    def _gowin(self, m: Module, pin, core_clk: Signal, locked: Signal) -> None:
        i, fb, o = self._setting.dividers
        m.submodules.pll = Instance(
            "rPLL",
            p_FCLKIN=f"{self._setting.input:g}", p_DEVICE=self._part.name,
            p_IDIV_SEL=i, p_FBDIV_SEL=fb, p_ODIV_SEL=o,
            i_CLKIN=self._buffered(m, pin), i_CLKFB=Const(0), i_RESET=Const(0),
            i_RESET_P=Const(0), i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4), i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4),
            o_CLKOUT=core_clk, o_LOCK=locked,
        )  # fmt: skip
