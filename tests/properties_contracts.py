"""Every block that gives a stream, with what its neighbours promise it, for `StreamRules`."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth import Cat, Module, Signal, Value
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Component
from properties_framing import SMALL
from properties_streams import StreamRules

from relaxon.config import Config
from relaxon.hw.access import AccessPort
from relaxon.hw.answer import AnswerWriter
from relaxon.hw.command import CommandPort
from relaxon.hw.events import EntryList, Scanner
from relaxon.hw.framing import CobsDecoder, Receiver
from relaxon.hw.identity import Identity
from relaxon.hw.inputs import Inputs
from relaxon.hw.replies import ReplyCache
from relaxon.hw.rotation import delayed
from relaxon.hw.samples import UNDER_WAY, SamplePort
from relaxon.hw.selftest import SelfTest
from relaxon.hw.streams import Stage
from relaxon.hw.uart import UartReceiver
from relaxon.hw.wishbone import WishbonePeripheral
from relaxon.layout import Layout
from relaxon.sim.testbench.formal import in_state, local

TAG = data.StructLayout({"tag": 2})
PASS = 3
"""Entries of a pass."""


def stage() -> StreamRules:
    return StreamRules(Stage(4))


def entry_list() -> StreamRules:
    """No more entries come than there is room for; `clear` forgets those that wait."""

    def given(m: Module, block: Component) -> Iterable[Value]:
        yield ~block.push.valid | (local(m, "end") < PASS)

    def invariants(m: Module, block: Component) -> Iterable[Value]:
        end, at, one = (local(m, name) for name in ("end", "at", "one"))
        valid = block.entries.valid
        yield from (end <= PASS, at <= end, valid == (at < end), ~valid | (one == (at + 1 == end)))

    return StreamRules(
        EntryList(TAG, PASS), unless={"entries": lambda block: block.clear}, given=given,
        invariants=invariants,
    )  # fmt: skip


def scanner(width: int, columns: int) -> StreamRules:
    return StreamRules(Scanner(width, TAG, columns))


def inputs(layout: Layout) -> StreamRules:
    return StreamRules(Inputs(layout))


def receiver() -> StreamRules:
    """`next` ends the offer of a byte: the frame is done with, however much of it was read."""
    return StreamRules(Receiver(SMALL), unless={"payload": lambda block: block.next})


def answer_writer() -> StreamRules:
    return StreamRules(AnswerWriter())


def reply_cache(layout: Layout) -> StreamRules:
    return StreamRules(
        ReplyCache(layout), invariants=lambda m, block: [~block.bytes.valid | in_state(m, "SEND")]
    )


def identity(layout: Layout) -> StreamRules:
    """`active` holds until the answer is complete, and so do the sequence number and `opened`."""

    def given(m: Module, block: Component) -> Iterable[Value]:
        order = Cat(block.expected, block.opened)
        waits, before = delayed(m, 1, block.body.valid & ~block.body.ready, order)
        yield ~waits | (block.active & (order == before))

    return StreamRules(Identity(layout, build=0, clock_hz=0, features=0), given=given)


def access(layout: Layout) -> StreamRules:
    return StreamRules(AccessPort(layout))


def _outstanding(m: Module, machine) -> Signal:
    """Samples that a `SampleTarget` has taken and not done."""
    count = Signal(4, name="outstanding")
    m.d.sync += count.eq(count + (machine.sample.valid & machine.sample.ready) - machine.done)
    return count


def samples(layout: Layout) -> StreamRules:
    """The opcode stays while its sample is offered; a SCORE is alone; the sequence number counts the
    samples taken; an answer's head is taken after its body; a sample is done once."""
    body_done = Signal()

    def given(m: Module, block: Component) -> Iterable[Value]:
        head, body = block.answer.head, block.answer.body
        with m.If(head.valid & head.ready):
            m.d.sync += body_done.eq(0)
        with m.Elif(body.valid & body.ready & body.payload.last):
            m.d.sync += body_done.eq(1)
        sample = block.machine.sample
        offered, training, taken, expected = delayed(
            m, 1, sample.valid & ~sample.ready, block.training, block.taken, block.expected
        )
        (since,) = delayed(m, 1, 1)
        yield ~offered | (block.training == training)
        alone = block.under_way == 0
        yield ~block.taken | (alone | ~(block.scoring | local(m, "scoring")))
        yield ~since | (block.expected == (expected + taken)[:8])
        yield ~head.ready | body_done
        block.outstanding = _outstanding(m, block.machine)
        yield ~block.machine.done | (block.outstanding != 0)

    def invariants(m: Module, block: Component) -> Iterable[Value]:
        finished, under_way = local(m, "$signal"), block.under_way
        answering = ~in_state(m, "REST")
        yield under_way <= UNDER_WAY
        yield under_way == block.outstanding + finished + answering
        yield body_done == in_state(m, "CLOSE")

    return StreamRules(SamplePort(layout), given=given, invariants=invariants)


def command(layout: Layout) -> StreamRules:
    """A frame's bytes end with `next_frame`; a slot is not pending while its answer is written.

    While an answer is on its way, the port is `busy`, which the self-test relies on.
    """

    def given(m: Module, block: Component) -> Iterable[Value]:
        yield ~block.machine.done | (_outstanding(m, block.machine) != 0)
        yield ~(block.pending & block.payload.valid)

    def invariants(m: Module, block: Component) -> Iterable[Value]:
        yield ~block.payload.valid | block.busy
        yield ~(block.next_frame & block.bytes.ready)

    return StreamRules(
        CommandPort(layout), unless={"bytes": lambda block: block.next_frame}, given=given,
        invariants=invariants,
    )  # fmt: skip


def self_test(layout: Layout) -> StreamRules:
    """Bytes of frames end with `next`, and stay only while a frame is offered; the command port is busy
    while it answers, and becomes so only by a frame."""

    def given(m: Module, block: Component) -> Iterable[Value]:
        (may_be_busy,) = delayed(m, 1, block.busy | block.frames.valid)
        yield ~block.payload.valid | block.busy
        yield ~block.busy | may_be_busy

    return StreamRules(
        SelfTest(layout, 0),
        unless={
            "received.bytes": lambda block: block.received.next,
            "frames.bytes": lambda block: block.frames.next | ~block.frames.valid,
        },
        given=given,
    )


class UartIntoDecoder(Component):
    """A `UartReceiver` offers a byte for one cycle only; what it feeds always takes it then."""

    def __init__(self, cycles: int):
        self._uart, self._decoder = UartReceiver(cycles), CobsDecoder()
        super().__init__({"line": self._uart.signature.members["line"]})

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart, m.submodules.decoder = uart, decoder = self._uart, self._decoder
        wiring.connect(m, uart.bytes, decoder.bytes)
        m.d.comb += [
            uart.line.eq(self.line),
            Assert(decoder.bytes.ready | ~decoder.bytes.valid, "a byte offered is taken"),
            Cover(decoder.bytes.valid & decoder.bytes.ready, "a byte is taken"),
        ]
        return m


class WishboneIntoCore(Component):
    """A `WishbonePeripheral` on a bus that keeps to classic cycles keeps to the rules of the core's
    `rx`, and takes from `tx` only what it gives the bus.

    `relaxon.hw.wishbone.Core` is to be any core.
    """

    def __init__(self, config: Config):
        self._peripheral = WishbonePeripheral(config)
        super().__init__({"bus": self._peripheral.signature.members["bus"]})

    def elaborate(self, platform):
        m = Module()
        m.submodules.peripheral = peripheral = self._peripheral
        wiring.connect(m, wiring.flipped(self.bus), peripheral.bus)
        bus, core = self.bus, peripheral._core
        asks = Cat(bus.adr, bus.we, bus.sel, bus.dat_w)
        waits, asked, offered, byte, taken, given = delayed(
            m, 1, bus.cyc & bus.stb & ~bus.ack, asks, core.rx.valid & ~core.rx.ready,
            core.rx.payload, core.tx.valid & core.tx.ready, core.tx.payload,
        )  # fmt: skip
        m.d.comb += [
            Assume(~waits | (bus.cyc & bus.stb & (asks == asked))),
            Assert(~offered | (core.rx.valid & (core.rx.payload == byte)), "rx stays"),
            Assert(~taken | (bus.ack & (bus.dat_r[:9] == Cat(given, 1))), "a byte taken is given"),
            Cover(offered & core.rx.valid & core.rx.ready, "rx waits and is taken"),
            Cover(taken, "a byte is given"),
        ]
        return m
