"""Drives a core in a simulator, and compares what it answers with what its twin says.

::

    Traffic ─▶ StreamSource ─▶ rx ─▶ core ─▶ tx ─▶ Listener ─▶ Checker
       └──────────────▶ Twin, watched by bins ────────────────────┘

The twin executes a frame as soon as it is there; a core keeps it in a buffer. So what is sent at once
must find room (`relaxon.protocol.WINDOW` frames, `rx_bytes`), or the test must tell the twin what did.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import cocotb
from cocotb.triggers import Event, ReadOnly, RisingEdge, Timer, with_timeout
from core_bins import BoardBins, LinkBins, MachineBins
from core_checker import Checker
from core_traffic import Piece, Traffic, greeting

from relaxon import Config
from relaxon.framing import encode
from relaxon.protocol import ACCESS, Opcode, Space
from relaxon.sim.testbench.bench import PERIOD_NS, parameters, start
from relaxon.sim.testbench.streams import Stalls, StreamSource, hesitation
from relaxon.sim.twin import Twin

QUIET = 24
"""Cycles with `idle` high after which nothing more can come."""


AT_ONCE = 4
"""Frames for which there is always room, however long they are."""


class Listener:
    """Takes what the stream tx offers, into `received`; it hesitates, and may be held.

    Fails if an offer that was not taken is changed or withdrawn. Unlike a `StreamSink` it costs
    nothing while nothing is offered.
    """

    def __init__(self, dut, pauses):
        self._dut, self._pauses = dut, pauses
        self._free = Event()
        self._free.set()
        self.received = bytearray()
        cocotb.start_soon(self._run())

    def hold(self) -> None:
        """Take nothing more, after at most one byte."""
        self._free.clear()

    def release(self) -> None:
        """Go on."""
        self._free.set()

    def taken(self) -> bytes:
        """All that was received since the last call."""
        data = bytes(self.received)
        self.received.clear()
        return data

    async def _run(self) -> None:
        dut, offered = self._dut, None
        while True:
            if not self._free.is_set():
                dut.tx__ready.value = 0
                await self._free.wait()
                await RisingEdge(dut.clk)
            dut.tx__ready.value = 0 if next(self._pauses) else 1
            await ReadOnly()
            assert offered is None or dut.tx__valid.value, f"{offered} was offered, then nothing"
            if not dut.tx__valid.value:
                await RisingEdge(dut.tx__valid)
                await ReadOnly()
            payload = int(dut.tx__payload.value)
            assert offered in (None, payload), f"{offered} was offered, then {payload}"
            taken = bool(dut.tx__ready.value)
            await RisingEdge(dut.clk)
            offered = None if taken else payload
            if taken:
                self.received.append(payload)


class Bench:
    """A core, its twin, and what goes between them and the test."""

    def __init__(self, dut, stalls: Stalls, seed: int):
        given = parameters()
        self.dut, self.rng = dut, random.Random(f"{given['seed']} {seed} {stalls}")
        self.config = Config.from_dicts(given["structure"], given["registers"])
        self.twin = Twin(
            self.config, given["build"], given["clock_hz"], about=given["about"].encode(),
            self_test=given["self_test"],
        )  # fmt: skip
        self.traffic = Traffic(
            self.config, self.rng.getrandbits(32), self_test=given["self_test"] is not None
        )
        self.seen, self.around = LinkBins(self.twin), BoardBins()
        MachineBins(self.config, self.twin.memory.model)
        self.checker = Checker(self.seen, self.twin)
        self.stalls = stalls
        self.around.stalls.hit(stalls.value)
        self.source = StreamSource(dut, "rx", hesitation(stalls.source, self.rng.getrandbits(32)))
        self.listener = Listener(dut, hesitation(stalls.sink, self.rng.getrandbits(32)))
        self.core = dut.component

    async def begin(self) -> None:
        """Reset, and put everything that a reset leaves alone where the twin has it."""
        await start(self.dut, start_self_test=0)
        for piece in (self.read(Space.BUILD), greeting(opcode=Opcode.HELLO), greeting()):
            await self.burst([piece])
        for commands in _at_once(self.traffic.setup(self.rng.getrandbits(32))):
            await self.burst(
                Piece(encode(bytes([self.expected]) + command), "due") for command in commands
            )

    @property
    def expected(self) -> int:
        """The sequence number that is due."""
        return self.twin._expected

    # ---- driver -----------------------------------------------------------------------------

    async def burst(self, pieces: Iterable[Piece]) -> None:
        """Send these, one after another, and compare the answers when the core is at rest."""
        data = b"".join(self.told(piece) for piece in pieces)
        await self.source.send(data)
        await self.rest()

    async def random_burst(self) -> None:
        """The next burst of the traffic."""
        pieces = self.traffic.burst(self.expected, self.twin.memory.model.registers)
        data, state = b"", None
        while True:
            try:
                piece = pieces.send(state)
            except StopIteration:
                break
            data += self.told(piece)
            state = self.expected, self.twin.memory.model.registers
        await self.source.send(data)
        await self.rest()

    def told(self, piece: Piece) -> bytes:
        """Give the twin a piece and note its answers; returns its bytes."""
        return self.checker.told(piece)

    async def rest(self, cycles: int = 400_000, *, check: bool = True) -> None:
        """Wait until nothing more can come, and (or not) compare what came.

        Fails if that takes more than so many cycles.
        """
        await with_timeout(self._rest(), cycles * PERIOD_NS, "ns")
        if not check:
            return
        self.checker.check(self.listener.taken())
        self.around.windows.hit("receive buffer empty")

    async def _rest(self) -> None:
        dut = self.dut
        while True:
            if not dut.idle.value:
                await RisingEdge(dut.idle)
            await Timer(QUIET * PERIOD_NS, "ns")
            await RisingEdge(dut.clk)
            if dut.idle.value and not dut.tx__valid.value:
                return

    def read(self, space: Space, address: int = 0, count: int = 1) -> Piece:
        """A READ that is due."""
        access = ACCESS.pack(space=space, address=address, count=count)
        return Piece(encode(bytes([self.expected, Opcode.READ]) + access), "due")


def _at_once(commands: list[bytes]) -> Iterator[list[bytes]]:
    """Commands that there is room for; none comes behind one that writes counters, as its frame would
    have been counted before."""
    together: list[bytes] = []
    for command in commands:
        together.append(command)
        if len(together) == AT_ONCE or command[1] == Space.COUNTERS:
            yield together
            together = []
    yield together
