"""The command port: takes frames in sequence, carries them out, and answers."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from relaxon import protocol
from relaxon.hw.hostport import READ_CYCLES, HostPort
from relaxon.hw.operation import address_bits, group_bits
from relaxon.hw.replies import REPLY_BYTE
from relaxon.hw.sequencer import outcome_layout
from relaxon.layout import Layout
from relaxon.protocol import Opcode, Space, Status


def host_ports(layout: Layout) -> dict[Space, HostPort]:
    """The signature of every address space's port."""
    bits = {
        Space.REGISTERS: bits_for(len(protocol.REGISTERS) - 1),
        Space.COUNTERS: bits_for(len(protocol.COUNTERS) - 1),
        Space.WEIGHTS: address_bits(layout),
        Space.READOUT: bits_for(layout.slots - 1),
        Space.STATE: group_bits(layout),
    }
    return {space: HostPort(bits[space], 8 * layout.word_bytes(space)) for space in Space}


def port_name(space: Space) -> str:
    """The member that is a space's port."""
    return f"{space.name.lower()}_port"


class Order(enum.Enum, shape=2):
    """Where a frame stands in the sequence."""

    DUE = 0
    REPEATED = 1
    MISPLACED = 2
    OUTSIDE = 3
    """HELLO: answered whatever its number."""


class After(enum.Enum, shape=2):
    """What follows the bytes being sent from the shift register."""

    END = 0
    WORD = 1
    SCORE = 2


class CommandPort(wiring.Component):
    """Carries out one frame after another; `docs/protocol.md` is its behaviour.

    ::

        receiver ─▶ ACCEPT ▶ HEAD ▶ ORDER ─┬▶ ACCESS ▶ CHECK ▶ word loop ───────────┐
                                           ├▶ LABEL ▶ INPUTS ▶ RUN ─▶ (scores) ─────┼▶ answer ─▶ replies
                                           └▶ error, HELLO ─────────────────────────┘

    Words of every space and all answers pass through one shift register, lowest byte first.

    Parameters
    ----------
    layout
        The machine's geometry.
    build, clock_hz
        Told to the host by HELLO.

    Members
    -------
    frame_valid, frame_length, bytes, next_frame
        From the `Receiver`.
    slot, payload, repeat, pending
        To the `ReplyCache`.
    start, training, label, input_write, done, outcome, scores
        To the `Machine`.
    *_port : Out(HostPort)
        One for each `Space`.
    duplicate, out_of_sequence, refused, link_cycle : Out(1)
        To count.
    busy : Out(1)

    Timing
    ------
    A training sample costs 22 cycles and 2 for each byte of the input, beside the machine's own.
    """

    def __init__(self, layout: Layout, *, build: int = 0, clock_hz: int = 0):
        self.layout, self._build, self._clock_hz = layout, build, clock_hz
        config = layout.config
        super().__init__(
            {
                "frame_valid": In(1),
                "frame_length": In(range(layout.rx_bytes)),
                "bytes": In(stream.Signature(8)),
                "next_frame": Out(1),
                "slot": Out(range(protocol.SLOTS)),
                "payload": Out(stream.Signature(REPLY_BYTE)),
                "repeat": Out(1),
                "pending": In(1),
                "start": Out(1),
                "training": Out(1),
                "label": Out(range(config.classes)),
                "input_write": Out(
                    data.StructLayout(
                        {"valid": 1, "address": bits_for(max(1, layout.input_bytes - 1)), "data": 8}
                    )
                ),
                "done": In(1),
                "outcome": In(outcome_layout(layout)),
                "scores": In(data.ArrayLayout(signed(config.score_bits), config.classes)),
                **{port_name(s): Out(port) for s, port in host_ports(layout).items()},
                "duplicate": Out(1),
                "out_of_sequence": Out(1),
                "refused": Out(1),
                "link_cycle": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        largest = max(
            protocol.IDENTITY.size, protocol.ACCESS.size, *(layout.word_bytes(s) for s in Space)
        )
        self.register = Signal(8 * largest)
        self.count = Signal(range(largest + 1))  # bytes still to move through it
        self.sequence, self.opcode, self.status = Signal(8), Signal(8), Signal(8)
        self.expected = Signal(8)
        self.executed = Signal(range(protocol.SLOTS))  # how many slots hold an answer
        self.complained = Signal()  # OUT_OF_SEQUENCE was sent for this gap
        self.order = Signal(Order)
        self.body = Signal.like(self.frame_length)
        self.empty = Signal()  # the answer has no body
        self.after, self.final = Signal(After), Signal()

        m.d.comb += self.slot.eq(self.expected)
        with m.FSM() as fsm:
            self._header(m)
            self._order(m)
            self._access(m)
            self._sample(m)
            self._answer(m)
        m.d.comb += self.busy.eq(~fsm.ongoing("ACCEPT"))
        sample = (self.opcode >= Opcode.TRAIN) & (self.opcode <= Opcode.SCORE)
        m.d.comb += self.link_cycle.eq(self.busy & sample & ~fsm.ongoing("RUN"))
        return m

    # ---- taking a frame ---------------------------------------------------------------------

    def _take(self, m: Module):
        """Read one byte of the frame; the returned condition holds when it is there."""
        m.d.comb += self.bytes.ready.eq(1)
        return m.If(self.bytes.valid)

    def _header(self, m: Module) -> None:
        with m.State("ACCEPT"):
            with m.If(self.frame_valid):
                with self._take(m):
                    m.d.sync += [
                        self.sequence.eq(self.bytes.payload),
                        self.body.eq(self.frame_length - protocol.HEADER_BYTES),
                        self.status.eq(Status.OK),
                        self.empty.eq(1),
                        self.final.eq(1),
                        self.after.eq(After.END),
                    ]
                    m.next = "HEAD"
        with m.State("HEAD"):
            with self._take(m):
                m.d.sync += self.opcode.eq(self.bytes.payload)
                m.next = "ORDER"

    def _order(self, m: Module) -> None:
        """Only the frame that is due is carried out."""
        behind = Signal(8)
        m.d.comb += behind.eq(self.expected - self.sequence)
        with m.State("ORDER"):
            hello = (self.opcode == Opcode.HELLO) & (self.body == protocol.HELLO.size)
            with m.If(hello):
                m.d.sync += [self.order.eq(Order.OUTSIDE), self.count.eq(protocol.HELLO.size)]
                m.next = "NONCE"
            with m.Elif(behind == 0):
                m.d.sync += self.order.eq(Order.DUE)
                self._dispatch(m)
            with m.Elif((behind <= self.executed) & (behind < protocol.SLOTS)):
                m.d.sync += self.order.eq(Order.REPEATED)
                m.next = "REPEAT"
            with m.Else():
                m.d.comb += self.out_of_sequence.eq(1)
                m.d.sync += [
                    self.order.eq(Order.MISPLACED),
                    self.status.eq(Status.OUT_OF_SEQUENCE),
                    self.register.eq(self.expected),
                    self.count.eq(protocol.EXPECTED.size),
                    self.empty.eq(0),
                    self.complained.eq(1),
                ]
                m.next = "WAIT"
                with m.If(self.complained):
                    m.next = "LEAVE"
        with m.State("REPEAT"):  # answered before: the same answer again
            m.d.comb += [self.slot.eq(self.sequence), self.repeat.eq(1), self.duplicate.eq(1)]
            m.next = "LEAVE"
        with m.State("NONCE"):
            with self._take(m):
                m.d.sync += [
                    self.register[: 8 * protocol.HELLO.size].eq(
                        Cat(self.register[8 : 8 * protocol.HELLO.size], self.bytes.payload)
                    ),
                    self.count.eq(self.count - 1),
                ]
                with m.If(self.count == 1):
                    m.next = "IDENTIFY"
        with m.State("IDENTIFY"):
            m.d.sync += [
                self.register.eq(self._identity()),
                self.count.eq(protocol.IDENTITY.size),
                self.empty.eq(0),
                self.complained.eq(0),
            ]
            m.next = "WAIT"

    def _identity(self):
        """The bytes of IDENTITY: the nonce is in the shift register, the rest is known here."""
        config = self.layout.config
        known = {
            "nonce": self.register[: 8 * protocol.HELLO.size],
            "version": protocol.VERSION,
            "expected": self.expected,
            "build": self._build,
            "rx_bytes": self.layout.rx_bytes,
            "slot_bytes": self.layout.slot_bytes,
            "clock_hz": self._clock_hz,
            **config.structure(),
        }
        return Cat(
            Const(known[name], 8 * size) if isinstance(known[name], int) else known[name]
            for name, (_, size) in protocol.IDENTITY.offsets().items()
        )

    def _dispatch(self, m: Module) -> None:
        """To the states of the opcode, or to the error its length deserves."""
        inputs = self.layout.input_bytes
        with m.Switch(self.opcode):
            with m.Case(Opcode.READ, Opcode.WRITE):
                m.d.sync += self.count.eq(protocol.ACCESS.size)
                self._require(m, self.body >= protocol.ACCESS.size, Status.BAD_LENGTH, "ACCESS")
            with m.Case(Opcode.TRAIN):
                good = self.body == protocol.TRAIN.size + inputs
                self._require(m, good, Status.BAD_LENGTH, "LABEL")
            with m.Case(Opcode.INFER, Opcode.SCORE):
                self._require(m, self.body == inputs, Status.BAD_LENGTH, "INPUTS")
            with m.Default():
                bad = Mux(self.opcode == Opcode.HELLO, Status.BAD_LENGTH, Status.BAD_OPCODE)
                m.d.sync += self.status.eq(bad)
                m.next = "WAIT"

    def _require(self, m: Module, good, otherwise: Status, then: str) -> None:
        with m.If(good):
            m.next = then
        with m.Else():
            m.d.sync += self.status.eq(otherwise)
            m.next = "WAIT"

    # ---- words ------------------------------------------------------------------------------

    def _access(self, m: Module) -> None:
        layout = self.layout
        request = Signal(
            data.StructLayout(
                {name: 8 * size for name, (_, size) in protocol.ACCESS.offsets().items()}
            )
        )
        words = Array(layout.words(s) for s in Space)
        sizes = Array(layout.word_bytes(s) for s in Space)
        size = Signal(range(max(layout.word_bytes(s) for s in Space) + 1))
        total = Signal(8 + len(size))
        reads = self.opcode == Opcode.READ
        ports = [getattr(self, port_name(space)) for space in Space]
        wait = Signal(range(READ_CYCLES + 1))

        with m.State("ACCESS"):  # space, address, count
            with self._take(m):
                m.d.sync += [
                    request.eq(Cat(request.as_value()[8:], self.bytes.payload)),
                    self.count.eq(self.count - 1),
                ]
                with m.If(self.count == 1):
                    m.next = "MEASURE"
        with m.State("MEASURE"):
            m.d.sync += size.eq(sizes[request.space])
            m.next = "MULTIPLY"
        with m.State("MULTIPLY"):
            m.d.sync += total.eq(request.count * size)
            m.next = "CHECK"
        with m.State("CHECK"):
            known = request.space < len(Space)
            inside = request.address + request.count <= words[request.space]
            fits = total <= layout.reply_body
            exact = self.body == protocol.ACCESS.size + Mux(reads, 0, total)
            m.d.sync += self.count.eq(size)
            m.next = "WAIT"
            with m.If(~known | (request.count == 0) | ~inside):
                m.d.sync += self.status.eq(Status.BAD_ADDRESS)
            with m.Elif(~fits | ~exact):
                m.d.sync += self.status.eq(Status.BAD_LENGTH)
            with m.Elif(reads):
                m.d.sync += [self.after.eq(After.WORD), self.empty.eq(0), wait.eq(READ_CYCLES)]
                m.d.sync += self.final.eq(request.count == 1)
                m.next = "FETCH"
            with m.Else():
                m.next = "COLLECT"

        for space, port in zip(Space, ports, strict=True):
            width = 8 * layout.word_bytes(space)
            m.d.comb += [
                port.address.eq(request.address),
                port.write_data.eq(self.register[len(self.register) - width :]),
            ]
        with m.State("FETCH"):  # a word into the shift register
            m.d.comb += [port.active.eq(1) for port in ports]
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                with m.Switch(request.space):
                    for space, port in zip(Space, ports, strict=True):
                        with m.Case(space):
                            m.d.sync += self.register.eq(port.read_data)
                m.d.sync += [
                    self.count.eq(size),
                    self.final.eq(request.count == 1),
                    request.address.eq(request.address + 1),
                    request.count.eq(request.count - 1),
                    wait.eq(READ_CYCLES),
                ]
                m.next = "WAIT"
        with m.State("COLLECT"):  # a word from the frame
            with self._take(m):
                m.d.sync += [
                    self.register.eq(Cat(self.register[8:], self.bytes.payload)),
                    self.count.eq(self.count - 1),
                ]
                with m.If(self.count == 1):
                    m.next = "STORE"
        with m.State("STORE"):
            for space, port in zip(Space, ports, strict=True):
                chosen = request.space == space
                m.d.comb += [port.active.eq(chosen), port.write.eq(chosen)]
            m.d.sync += [
                self.count.eq(size),
                request.address.eq(request.address + 1),
                request.count.eq(request.count - 1),
            ]
            m.next = "COLLECT"
            with m.If(request.count == 1):
                m.next = "WAIT"

    # ---- samples ----------------------------------------------------------------------------

    def _sample(self, m: Module) -> None:
        at = Signal(range(self.layout.input_bytes + 1))
        self.score = Signal(range(self.layout.config.classes + 1))
        m.d.comb += [
            self.input_write.address.eq(at),
            self.input_write.data.eq(self.bytes.payload),
            self.training.eq(self.opcode == Opcode.TRAIN),
        ]
        with m.State("LABEL"):
            with self._take(m):
                m.d.sync += self.label.eq(self.bytes.payload)
                good = self.bytes.payload < self.layout.config.classes
                self._require(m, good, Status.BAD_LABEL, "INPUTS")
        with m.State("INPUTS"):  # x, eight inputs a byte
            with self._take(m):
                m.d.comb += self.input_write.valid.eq(1)
                m.d.sync += at.eq(at + 1)
                with m.If(at == self.layout.input_bytes - 1):
                    m.d.sync += at.eq(0)
                    m.next = "START"
        with m.State("START"):
            m.d.comb += self.start.eq(1)
            m.next = "RUN"
        with m.State("RUN"):
            outcome = {name: self.outcome[name] for name in protocol.OUTCOME.types}
            packed = Cat(
                _widened(m, name, outcome[name], 8 * size)
                for name, (_, size) in protocol.OUTCOME.offsets().items()
            )
            with m.If(self.done):
                scores = self.opcode == Opcode.SCORE
                m.d.sync += [
                    self.register.eq(packed),
                    self.count.eq(protocol.OUTCOME.size),
                    self.empty.eq(0),
                    self.score.eq(0),
                    self.final.eq(~scores),
                    self.after.eq(Mux(scores, After.SCORE, After.END)),
                ]
                m.next = "WAIT"
        with m.State("SCORE"):  # the next class's score into the shift register
            value = Signal(signed(8 * protocol.SCORE_BYTES))
            m.d.comb += value.eq(Array(self.scores)[self.score])
            m.d.sync += [
                self.register.eq(value.as_unsigned()),
                self.count.eq(protocol.SCORE_BYTES),
                self.score.eq(self.score + 1),
                self.final.eq(self.score == self.layout.config.classes - 1),
            ]
            m.next = "SEND"

    # ---- answering --------------------------------------------------------------------------

    def _answer(self, m: Module) -> None:
        answer = self.payload.payload
        begun = Signal()  # sequence and status are sent
        with m.State("WAIT"):  # until the slot's last answer is on its way
            with m.If(begun):
                m.next = "SEND"
            with m.Elif(~self.pending):
                m.next = "NUMBER"
        with m.State("NUMBER"):
            m.d.comb += [self.payload.valid.eq(1), answer.data.eq(self.sequence)]
            with m.If(self.payload.ready):
                m.next = "STATUS"
        with m.State("STATUS"):
            m.d.comb += [
                self.payload.valid.eq(1),
                answer.data.eq(self.status),
                answer.last.eq(self.empty),
            ]
            with m.If(self.payload.ready):
                m.d.sync += begun.eq(1)
                m.next = "SEND"
                with m.If(self.empty):
                    m.next = "CLOSE"
        with m.State("SEND"):
            last = self.count == 1
            m.d.comb += [
                self.payload.valid.eq(1),
                answer.data.eq(self.register[:8]),
                answer.last.eq(last & self.final),
            ]
            with m.If(self.payload.ready):
                m.d.sync += [self.register.eq(self.register >> 8), self.count.eq(self.count - 1)]
                with m.If(last):
                    with m.If(self.final):
                        m.next = "CLOSE"
                    with m.Elif(self.after == After.WORD):
                        m.next = "FETCH"
                    with m.Else():
                        m.next = "SCORE"
        with m.State("CLOSE"):  # the cache adds the checksum and queues the answer
            with m.If(self.pending):
                m.d.comb += self.refused.eq(
                    (self.order == Order.DUE) & (self.status != Status.OK)
                )
                with m.If(self.order == Order.DUE):
                    m.d.sync += [self.expected.eq(self.expected + 1), self.complained.eq(0)]
                    with m.If(self.executed != protocol.SLOTS - 1):
                        m.d.sync += self.executed.eq(self.executed + 1)
                m.next = "LEAVE"
        with m.State("LEAVE"):
            m.d.comb += self.next_frame.eq(1)
            m.d.sync += begun.eq(0)
            m.next = "ACCEPT"


def _widened(m: Module, name: str, value, width: int) -> Signal:
    """`value`, zero-extended to `width` bits."""
    wide = Signal(width, name=f"{name}_bytes")
    m.d.comb += wide.eq(value)
    return wide
