"""Every block of the link's side against its model, on each simulator (the testbenches: bench_*.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.lib.wiring import Component
from script_answers import bodies

from relaxon import Config
from relaxon.hw.access import AccessPort
from relaxon.hw.answer import AnswerWriter
from relaxon.hw.checksum import Checksum
from relaxon.hw.command import CommandPort
from relaxon.hw.counters import Counters
from relaxon.hw.framing import CobsDecoder, Receiver
from relaxon.hw.identity import Identity
from relaxon.hw.order import Order
from relaxon.hw.prbs import Prbs
from relaxon.hw.registers import Registers
from relaxon.hw.replies import CobsEncoder, ReplyCache
from relaxon.hw.samples import SamplePort
from relaxon.hw.selftest import SelfTest
from relaxon.hw.signature import Signature
from relaxon.hw.streams import Stage
from relaxon.hw.uart import UartReceiver, UartTransmitter
from relaxon.hw.wishbone import WishbonePeripheral
from relaxon.hw.wordbuffer import WordBuffer
from relaxon.layout import Layout
from relaxon.protocol import VERSION, Space
from relaxon.selftest import Script, signature
from relaxon.sim.selftest import expected
from relaxon.sim.testbench.bundle import Bundle
from relaxon.sim.testbench.runner import NO_ICARUS, SIMULATORS, Simulator, has_icarus, simulate

SMALLEST = Config(modules=1, neurons=2, inputs=2, classes=2, lanes=2)
ON_A_BUS = SMALLEST.replace(store="column")
USUAL = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)
COMPACT = Config(modules=4, neurons=4, inputs=9, classes=3, lanes=16, store="column")
WIDE = Config(modules=2, neurons=4, inputs=70, classes=37, lanes=4, readout_bits=16)
ODD = Config(modules=1, neurons=3, inputs=2, classes=2, lanes=2, weight_bits=9)
ABOUT = "board=none\nλ=0\n"
TOLD = {"build": 0xDEC0DE, "clock_hz": 48_000_000, "features": 1}
WORD_SPACES = (Space.WEIGHTS, Space.READOUT, Space.STATE)

TOLERANCE = {4: 0.02, 16: 0.03}
"""Cycles to a bit of a UART, and by how much the other end's rate may be off."""
ENCODER_BYTES = 1024
"""Room for frames with long runs without a zero."""


@dataclass(frozen=True)
class Suite:
    """Testbenches that share a simulation.

    Parameters
    ----------
    benches
        Their modules.
    tests
        How many tests these have.
    blocks
        Makes what they test, by the name they know it by.
    parameters
        For each of these names, what its testbench has to know of it.
    """

    benches: tuple[str, ...]
    tests: int
    blocks: Callable[[], dict[str, Component]]
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)


def script_signature(config: Config) -> int:
    """Of the answers that the testbench of the self-test gives."""
    return signature(bodies(Script(config)))


SUITES = {
    "bytes": Suite(
        benches=(
            "bench_framing", "bench_checksum", "bench_order", "bench_prbs", "bench_signature",
            "bench_stage", "bench_uart", "bench_answer", "bench_replies",
        ),  # fmt: skip
        tests=9 + 2 + 2 + 2 + 3 + 5 + 14 + 5 + 7,
        blocks=lambda: {
            "decoder": CobsDecoder(),
            "receiver": Receiver(Layout(SMALLEST)),
            "checksum": Checksum(),
            "order": Order(),
            "prbs": Prbs(),
            "sig": Signature(),
            "stage": Stage(8),
            "writer": AnswerWriter(),
            "encoder": CobsEncoder(ENCODER_BYTES),
            "cache": ReplyCache(Layout(SMALLEST)),
            **{f"rx{cycles}": UartReceiver(cycles) for cycles in TOLERANCE},
            **{f"tx{cycles}": UartTransmitter(cycles) for cycles in TOLERANCE},
        },
        parameters={
            "receiver": {"rx_bytes": Layout(SMALLEST).rx_bytes},
            **{f"rx{n}": {"cycles": n, "tolerance": off} for n, off in TOLERANCE.items()},
            "encoder": {"slot_bytes": ENCODER_BYTES},
            "cache": {"reply_body": Layout(SMALLEST).reply_body},
            **{f"tx{n}": {"cycles": n} for n in TOLERANCE},
        },
    ),
    "commands": Suite(
        benches=("bench_command", "bench_selftest"),
        tests=7 + 6,
        blocks=lambda: {
            "command": CommandPort(Layout(USUAL), **TOLD),
            "selftest": SelfTest(Layout(SMALLEST), script_signature(SMALLEST)),
            "odd_selftest": SelfTest(Layout(ODD), script_signature(ODD)),
        },
        parameters={
            "command": {"structure": USUAL.structure(), **TOLD},
            **{
                name: {"structure": config.structure(), "expected": script_signature(config)}
                for name, config in {"selftest": SMALLEST, "odd_selftest": ODD}.items()
            },
        },
    ),
    "bus": Suite(
        benches=("bench_wishbone",),
        tests=5,
        blocks=lambda: {
            "wishbone": WishbonePeripheral(
                ON_A_BUS, build=7, about=ABOUT.encode(), self_test=expected(ON_A_BUS).signature
            )
        },
        parameters={
            "wishbone": {
                "structure": ON_A_BUS.structure(), "build": 7, "about": ABOUT,
                "self_test": expected(ON_A_BUS).signature,
            }
        },  # fmt: skip
    ),
    "words": Suite(
        benches=(
            "bench_registers", "bench_identity", "bench_wordbuffer", "bench_counters",
            "bench_samples", "bench_access",
        ),  # fmt: skip
        tests=13 + 5 + 3 + 5 + 9 + 5,
        blocks=lambda: {
            "registers": Registers(USUAL, ABOUT.encode()),
            "compact_registers": Registers(COMPACT, b""),
            "identity": Identity(Layout(USUAL), **TOLD),
            "words": WordBuffer(Layout(USUAL), WORD_SPACES),
            "counters": Counters(Layout(USUAL)),
            "compact_counters": Counters(Layout(COMPACT)),
            "samples": SamplePort(Layout(USUAL)),
            "wide_samples": SamplePort(Layout(WIDE)),
            "access": AccessPort(Layout(USUAL)),
        },
        parameters={
            "registers": {"structure": USUAL.structure(), "about": ABOUT},
            "compact_registers": {"structure": COMPACT.structure(), "about": ""},
            "identity": {
                "version": VERSION, "rx_bytes": Layout(USUAL).rx_bytes,
                "slot_bytes": Layout(USUAL).slot_bytes, **TOLD, **USUAL.identity(),
            },  # fmt: skip
            "words": {
                space.name.lower(): {
                    "word_bytes": Layout(USUAL).word_bytes(space),
                    "words": Layout(USUAL).words(space),
                }
                for space in WORD_SPACES
            },
            "counters": USUAL.structure(),
            "compact_counters": COMPACT.structure(),
            "samples": USUAL.structure(),
            "wide_samples": WIDE.structure(),
            "access": USUAL.structure(),
        },
    ),
}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", SUITES)
def test_blocks_are_their_models(name: str, simulator: Simulator, lacking, tmp_path):
    if simulator == "icarus" and not has_icarus():
        lacking(NO_ICARUS)
    suite = SUITES[name]
    count = simulate(
        Bundle(**suite.blocks()), ",".join(suite.benches), simulator, tmp_path,
        parameters=suite.parameters, seed=1,
    )  # fmt: skip
    assert count == suite.tests
