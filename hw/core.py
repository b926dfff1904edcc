"""The core: the machine behind its link, as bytes in and bytes out."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon.config import Config
from relaxon.hw.access import port_name
from relaxon.hw.command import CommandPort
from relaxon.hw.counters import Counters
from relaxon.hw.framing import Receiver
from relaxon.hw.machine import Machine
from relaxon.hw.registers import Registers
from relaxon.hw.replies import ReplyCache
from relaxon.hw.selftest import SelfTest
from relaxon.layout import Layout
from relaxon.protocol import Feature, Space

STATUS = data.StructLayout({name: 1 for name in ("learning", "testing", "passed", "failed", "error")})
"""What lamps may show."""
MEMBERS = wiring.Signature(
    {
        "rx": In(stream.Signature(8)),
        "tx": Out(stream.Signature(8)),
        "idle": Out(1),
        "start_self_test": In(1),
        "status": Out(STATUS),
    }
)
"""Of `Core`, whatever machine it is."""


class Core(wiring.Component):
    """A complete learning machine; whatever carries bytes makes it a board.

    ::

        rx ─▶ receiver ─▶ self-test ─▶ command port ─▶ self-test ─▶ replies ─▶ tx
                                          │    │
                             registers, counters, machine

    Parameters
    ----------
    config
        Sizes, widths and lanes; registers start from the papers' values for these.
    build, clock_hz
        Told to the host when it connects.
    about
        The text of Space.BUILD (`relaxon.build_info.describe`).
    self_test
        The signature of a machine that works (`relaxon.sim.selftest.expected_signature`); None
        leaves the self-test out, and the opcode SELF_TEST is unknown.

    Members
    -------
    rx : In(stream of 8)
        Bytes from the host, one every other cycle at most.
    tx : Out(stream of 8)
        Bytes to the host.
    idle : Out(1)
        No whole frame waits, nothing is computed, no answer is left to send.
    start_self_test : In(1)
        Rising edge: as the opcode SELF_TEST. In step with the clock; ignored without a self-test,
        and while one is running, so a button's bouncing does no harm.
    status : Out(STATUS)
        For lamps: `learning`, a training sample is computed; `testing`, the self-test runs;
        `passed` and `failed`, it did, from its end until it begins anew; `error`, the last frame
        from the host was broken, found no room, came out of order or was refused.
    """

    def __init__(
        self, config: Config, *, build: int = 0, clock_hz: int = 0, about: bytes = b"",
        self_test: int | None = None,
    ):  # fmt: skip
        self.config, self._build, self._clock_hz = config, build, clock_hz
        self._about, self._self_test = about, self_test
        super().__init__(MEMBERS)

    def elaborate(self, platform):
        m = Module()
        layout = Layout(self.config)
        m.submodules.receiver = receiver = Receiver(layout)
        m.submodules.replies = replies = ReplyCache(layout)
        m.submodules.command = command = CommandPort(
            layout, build=self._build, clock_hz=self._clock_hz,
            features=0 if self._self_test is None else Feature.SELF_TEST,
        )  # fmt: skip
        m.submodules.registers = registers = Registers(self.config, self._about)
        m.submodules.counters = counters = Counters(layout)
        m.submodules.machine = machine = Machine(layout)

        wiring.connect(m, wiring.flipped(self.rx), receiver.bytes)
        wiring.connect(m, command.machine.sample, machine.sample)
        wiring.connect(m, replies.bytes, wiring.flipped(self.tx))
        ports = {
            Space.REGISTERS: registers.host,
            Space.COUNTERS: counters.host,
            Space.WEIGHTS: machine.weights,
            Space.READOUT: machine.readout,
            Space.STATE: machine.states,
            Space.BUILD: registers.build,
        }
        if self._self_test is None:
            self._connect(m, receiver, command, replies)
            # The word reads as 0: no test was ever made.
            m.d.comb += getattr(command, port_name(Space.SELF_TEST)).done.eq(1)
        else:
            ports[Space.SELF_TEST] = self._connect_self_test(m, receiver, command, replies)
        for space, port in ports.items():
            wiring.connect(m, getattr(command, port_name(space)), port)

        amounts = counters.amounts
        m.d.comb += [
            replies.slot.eq(command.slot),
            replies.repeat.eq(command.repeat),
            machine.input_write.eq(command.machine.input_write),
            machine.invalidate.eq(command.invalidate),
            machine.registers.eq(registers.values),
            command.machine.input_free.eq(machine.input_free),
            command.machine.busy.eq(machine.busy),
            command.machine.done.eq(machine.done),
            command.machine.outcome.eq(machine.outcome),
            machine.ask.eq(command.machine.ask),
            machine.score_of.eq(command.machine.score_of),
            command.machine.score.eq(machine.score),
            command.machine.known.eq(machine.known),
            amounts.eq(machine.amounts),
            amounts.frames.eq(receiver.kept),
            amounts.bad_frames.eq(receiver.bad),
            amounts.overflows.eq(receiver.overflow),
            amounts.duplicates.eq(command.duplicate),
            amounts.out_of_sequence.eq(command.out_of_sequence),
            amounts.refused.eq(command.refused),
            amounts.cycles_link.eq(command.link_cycle),
            self.idle.eq(
                ~(receiver.waiting | command.busy | replies.busy | self.status.testing)
            ),
        ]
        self._status(m, receiver, command, machine)
        return m

    def _connect(self, m: Module, receiver, command, replies) -> None:
        """The host's frames to the command port, and its answers back."""
        wiring.connect(m, receiver.payload, command.bytes)
        wiring.connect(m, command.payload, replies.payload)
        m.d.comb += [
            command.frame_valid.eq(receiver.valid),
            command.frame_length.eq(receiver.length),
            receiver.next.eq(command.next_frame),
            command.pending.eq(replies.pending),
        ]

    def _connect_self_test(self, m: Module, receiver, command, replies):
        """The same through the self-test; returns its port for the host."""
        m.submodules.self_test = test = SelfTest(Layout(self.config), self._self_test)
        wiring.connect(m, receiver.payload, test.received.bytes)
        wiring.connect(m, test.frames.bytes, command.bytes)
        wiring.connect(m, command.payload, test.payload)
        wiring.connect(m, test.replies, replies.payload)
        before = Signal()
        m.d.sync += before.eq(self.start_self_test)
        m.d.comb += [
            test.start.eq(command.self_test | (self.start_self_test & ~before)),
            test.received.valid.eq(receiver.valid),
            test.received.length.eq(receiver.length),
            receiver.next.eq(test.received.next),
            command.frame_valid.eq(test.frames.valid),
            command.frame_length.eq(test.frames.length),
            test.frames.next.eq(command.next_frame),
            command.aside.eq(test.aside),
            test.busy.eq(command.busy),
            command.pending.eq(test.pending),
            test.replies_pending.eq(replies.pending),
            self.status.testing.eq(test.outcome.running),
            self.status.passed.eq(test.outcome.passed),
            self.status.failed.eq(test.outcome.failed),
        ]
        return test.host

    def _status(self, m: Module, receiver, command, machine) -> None:
        training = Signal()  # the sample under way
        sample = machine.sample
        with m.If(sample.valid & sample.ready):
            m.d.sync += training.eq(sample.payload.training)
        with m.If(receiver.kept):
            m.d.sync += self.status.error.eq(0)
        with m.If(receiver.bad | receiver.overflow | command.out_of_sequence | command.refused):
            m.d.sync += self.status.error.eq(1)
        m.d.comb += self.status.learning.eq(machine.busy & training)
