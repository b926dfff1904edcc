"""In the place of the machine: takes samples and makes up outcomes, which only depend on them."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from pins import Pins

from relaxon.hw.inputs import byte_write_layout
from relaxon.hw.sequencer import outcome_layout, sample_layout
from relaxon.layout import Layout
from relaxon.protocol import OUTCOME, SCORE_BYTES
from relaxon.sim.testbench.bundle import Block


@dataclass(frozen=True)
class Sample:
    """What the machine was given; `label` is None where it does not train."""

    inputs: bytes
    label: int | None

    def outcome(self, layout: Layout) -> dict[str, int]:
        """What the machine makes of it."""
        rng = self._rng()
        return {
            "prediction": rng.randrange(layout.config.classes),
            "learned": rng.randrange(2) if self.label is not None else 0,
            "sweeps": rng.choice((0, 0xFFFF, rng.randrange(1 << 16))),
            "unstable": rng.choice((0, 0xFFFF, rng.randrange(1 << 16))),
        }

    def scores(self, layout: Layout) -> list[int]:
        """Of each class."""
        rng, most = self._rng(), 1 << layout.config.score_bits - 1
        return [
            rng.choice((-most, most - 1, rng.randrange(-most, most)))
            for _ in range(layout.config.classes)
        ]

    def body(self, layout: Layout, *, scored: bool) -> bytes:
        """Of the answer to it."""
        body = OUTCOME.pack(**self.outcome(layout))
        if scored:
            for score in self.scores(layout):
                body += score.to_bytes(SCORE_BYTES, "little", signed=True)
        return body

    def _rng(self) -> random.Random:
        label = -1 if self.label is None else self.label
        return random.Random(zlib.crc32(self.inputs) * 100 + label)


class FakeMachine:
    """The far end of `SampleTarget`, member `machine` of a device.

    Attributes
    ----------
    taken
        Samples, in order.
    finished
        How many of them are computed.
    most
        Cycles that computing takes, at most.
    prompt
        Whether a sample is taken as soon as the machine is free, and its inputs at any time.
    """

    def __init__(self, dut: Block, layout: Layout, seed: int):
        self._dut, self._layout, self._rng = dut, layout, random.Random(seed)
        self.taken: list[Sample] = []
        self.finished = 0
        self.most, self.prompt = 40, False
        self._inputs = bytearray(layout.input_bytes)
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        layout, rng = self._layout, self._rng
        write, given = byte_write_layout(layout), sample_layout(layout)
        result = outcome_layout(layout)
        edge, settled = RisingEdge(self._dut.clk), ReadOnly()
        pins, look = Pins(self._dut, "machine__"), {
            name: getattr(self._dut, f"machine__{name}")
            for name in ("input_write", "sample__valid", "sample__payload", "ask", "score_of")
        }  # fmt: skip
        left = -1  # cycles until the sample is done
        learns = 0  # … and until the readout has learned it
        scanned = 0  # cycles until its inputs are not needed any more
        known, asked = -1, 0  # cycles until the score is known, and of which class
        while True:
            done, free = left == 0, left < 0 and learns == 0
            ready = free and (self.prompt or rng.random() < 0.7)
            pins.set(
                busy=int(not free), done=int(done), input_free=int(scanned == 0),
                sample__ready=int(ready), known=int(known == 0),
            )  # fmt: skip
            if done:
                pins.set(outcome=result.const(self.taken[-1].outcome(layout)).as_bits())
                self.finished += 1
            if known == 0:
                pins.set(score=self.taken[-1].scores(layout)[asked])
            elif known > 0:
                pins.set(score=rng.getrandbits(8))
            await settled
            write_bits = int(look["input_write"].value)
            if write_bits & 1:
                byte = write.from_bits(write_bits)
                assert scanned == 0, "only while input_free"
                self._inputs[byte.address] = byte.data
            left, learns = left - (left >= 0), learns - (learns > 0)
            scanned -= scanned > 0
            if ready and look["sample__valid"].value:
                sample = given.from_bits(int(look["sample__payload"].value))
                label = sample.label if sample.training else None
                self.taken.append(Sample(bytes(self._inputs), label))
                left = rng.randint(3, self.most)
                scanned = 0 if self.prompt else rng.randint(1, left)
                learns = left + 1 + rng.choice((0, rng.randint(0, 5)))
            if left < 0 and look["ask"].value:
                known = rng.randint(1, 4) if known < 0 else known
                asked = int(look["score_of"].value)
                known -= 1
            else:
                known = -1
            await edge


INPUTS = ("input_free", "sample__ready", "busy", "done", "outcome", "score", "known")


def idle() -> dict[str, int]:
    """The machine at rest, for `relaxon.sim.testbench.bench.start`."""
    return {f"machine__{name}": 0 for name in INPUTS}
