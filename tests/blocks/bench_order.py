"""Runs inside a simulator (see test_link_blocks.py): which frame is due."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from relaxon.protocol import SLOTS
from relaxon.sim.testbench.bench import start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.watch import watch

SEEN = Coverage(
    "Order", "due", "ahead", "the last one repeated", "the oldest kept one repeated",
    "one too old", "not kept yet", "the number wraps", "aside: due whatever the number",
    "aside: none steps on", "complained", "a step ends a complaint", "forgiven",
    "forgiven and complained at once", "closed: none due", "closed: aside", "closed: no complaint kept",
    "opened", "opened again",
)  # fmt: skip
INPUTS = ("sequence", "aside", "open", "step", "complain", "forgive")


class OrderModel:
    """The state of an `Order`."""

    def __init__(self):
        self.opened, self.expected, self.kept, self.complained = False, 0, 0, False

    def says(self, sequence: int, aside: bool) -> tuple[bool, bool]:
        """Whether that number is due, and whether it is repeated."""
        behind = (self.expected - sequence) & 0xFF
        SEEN.hit("due", when=self.opened and behind == 0 and not aside)
        SEEN.hit("closed: none due", when=not self.opened and behind == 0 and not aside)
        SEEN.hit("closed: aside", when=not self.opened and aside)
        SEEN.hit("ahead", when=behind > 0x80)
        SEEN.hit("the last one repeated", when=behind == 1 <= self.kept)
        SEEN.hit("the oldest kept one repeated", when=behind == self.kept == SLOTS - 1)
        SEEN.hit("one too old", when=behind == SLOTS and self.kept == SLOTS - 1)
        SEEN.hit("not kept yet", when=self.kept < behind < SLOTS)
        SEEN.hit("aside: due whatever the number", when=aside and behind != 0)
        return aside or (self.opened and behind == 0), 1 <= behind <= self.kept

    def clock(
        self, *, aside: bool, open: bool, step: bool, complain: bool, forgive: bool
    ) -> None:
        """What happens in a cycle."""
        SEEN.hit("aside: none steps on", when=aside and step)
        SEEN.hit("forgiven", when=forgive and self.complained)
        SEEN.hit("forgiven and complained at once", when=forgive and complain)
        step = step and not aside
        SEEN.hit("a step ends a complaint", when=step and self.complained)
        SEEN.hit("the number wraps", when=step and self.expected == 0xFF)
        if step:
            self.expected, self.kept = (self.expected + 1) & 0xFF, min(self.kept + 1, SLOTS - 1)
        if step or forgive:
            self.complained = False
        elif complain and self.opened:
            self.complained = True
            SEEN.hit("complained")
        SEEN.hit("closed: no complaint kept", when=complain and not self.opened)
        SEEN.hit("opened again" if self.opened else "opened", when=open)
        self.opened = self.opened or open


@cocotb.test(timeout_time=500, timeout_unit="us")
async def knows_which_frame_is_due(dut):
    dut, rng, model = Block(dut, "order"), random.Random(2), OrderModel()
    await start(dut, **dict.fromkeys(INPUTS, 0))
    said = model.says(0, False)

    def look() -> None:
        nonlocal said
        now = (bool(dut.due.value), bool(dut.repeated.value))
        assert now == said, f"{now}, not {said}, a cycle after the number was set"
        assert dut.expected.value == model.expected
        assert dut.complained.value == model.complained
        assert dut.opened.value == model.opened
        inputs = {name: int(getattr(dut, name).value) for name in INPUTS}
        said = model.says(inputs.pop("sequence"), bool(inputs["aside"]))
        model.clock(**{name: bool(value) for name, value in inputs.items()})

    watch(dut, look)
    edge = RisingEdge(dut.clk)
    for at in range(4000):
        behind = rng.choice((0, 0, 1, rng.randrange(SLOTS + 2), rng.randrange(256)))
        dut.sequence.value = (model.expected - behind) & 0xFF
        often = 0.5 if at > 200 else 0.05  # at first, fewer than all slots are kept
        opens = 0.1 if at > 100 else 0
        chances = {"aside": 0.2, "open": opens, "step": often, "complain": 0.3, "forgive": 0.1}
        for name, chance in chances.items():
            getattr(dut, name).value = int(rng.random() < chance)
        await edge


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
