"""The core: the machine behind its link, as bytes in and bytes out."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon.config import Config
from relaxon.hw.access import port_name
from relaxon.hw.command import CommandPort
from relaxon.hw.counters import Counters
from relaxon.hw.framing import Receiver
from relaxon.hw.machine import Machine
from relaxon.hw.registers import Registers
from relaxon.hw.replies import ReplyCache
from relaxon.layout import Layout
from relaxon.protocol import Space


class Core(wiring.Component):
    """A complete learning machine; whatever carries bytes makes it a board.

    ::

        rx ─▶ receiver ─▶ command port ─▶ replies ─▶ tx
                             │    │
                     registers, counters, machine

    Parameters
    ----------
    config
        Sizes, widths and lanes; registers start from the papers' values for these.
    build, clock_hz
        Told to the host when it connects.

    Members
    -------
    rx : In(stream of 8)
        Bytes from the host; always ready.
    tx : Out(stream of 8)
        Bytes to the host.
    idle : Out(1)
        No whole frame waits, nothing is computed, no answer is left to send.
    """

    def __init__(self, config: Config, *, build: int = 0, clock_hz: int = 0):
        self.config, self._build, self._clock_hz = config, build, clock_hz
        super().__init__(
            {"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8)), "idle": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        layout = Layout(self.config)
        m.submodules.receiver = receiver = Receiver(layout)
        m.submodules.replies = replies = ReplyCache(layout)
        m.submodules.command = command = CommandPort(
            layout, build=self._build, clock_hz=self._clock_hz
        )
        m.submodules.registers = registers = Registers(self.config)
        m.submodules.counters = counters = Counters(self.config.field_bits)
        m.submodules.machine = machine = Machine(layout)

        wiring.connect(m, wiring.flipped(self.rx), receiver.bytes)
        wiring.connect(m, receiver.payload, command.bytes)
        wiring.connect(m, command.payload, replies.payload)
        wiring.connect(m, command.machine.sample, machine.sample)
        wiring.connect(m, replies.bytes, wiring.flipped(self.tx))
        for space, port in {
            Space.REGISTERS: registers.host,
            Space.COUNTERS: counters.host,
            Space.WEIGHTS: machine.weights,
            Space.READOUT: machine.readout,
            Space.STATE: machine.states,
        }.items():
            wiring.connect(m, getattr(command, port_name(space)), port)

        amounts = counters.amounts
        m.d.comb += [
            command.frame_valid.eq(receiver.valid),
            command.frame_length.eq(receiver.length),
            receiver.next.eq(command.next_frame),
            replies.slot.eq(command.slot),
            replies.repeat.eq(command.repeat),
            command.pending.eq(replies.pending),
            machine.input_write.eq(command.machine.input_write),
            machine.invalidate.eq(command.invalidate),
            machine.registers.eq(registers.values),
            command.machine.input_free.eq(machine.input_free),
            command.machine.busy.eq(machine.busy),
            command.machine.done.eq(machine.done),
            command.machine.outcome.eq(machine.outcome),
            command.machine.scores.eq(machine.scores),
            amounts.eq(machine.amounts),
            amounts.frames.eq(receiver.kept),
            amounts.bad_frames.eq(receiver.bad),
            amounts.overflows.eq(receiver.overflow),
            amounts.duplicates.eq(command.duplicate),
            amounts.out_of_sequence.eq(command.out_of_sequence),
            amounts.refused.eq(command.refused),
            amounts.cycles_link.eq(command.link_cycle),
            self.idle.eq(~(receiver.waiting | command.busy | replies.busy)),
        ]
        return m
