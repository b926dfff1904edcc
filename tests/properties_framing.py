"""The parser of frames: never stuck, and right again after any delimiter, whatever came before."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, In

from relaxon.hw.framing import Receiver
from relaxon.hw.rotation import delayed
from relaxon.sim.testbench.formal import watch

SMALL = SimpleNamespace(rx_bytes=16)
"""All that a `Receiver` wants to know of a layout: its buffer's size."""
PATIENCE = 2
"""Cycles to the next byte of a frame, at most."""
WAIT = 5
"""Cycles from a delimiter to the frame's being offered, at most."""
UNTOUCHED = ("kept_to", "at", "frame", "produce", "consume", "inner_level", "r_rdy", "payload__valid")
"""Registers of a `Receiver` that stay what they are until a frame is kept."""


class SameAfterDelimiter(Component):
    """Two `Receiver`s with empty buffers: a worn one, whose parser is in any state at all, and a fresh
    one, as after power-up.

    The worn one takes whatever is left of a frame (for which its checksum is not right), and a
    delimiter. From then on both get the same bytes, for ever, and whatever becomes of them is the same:
    a frame that the fresh one keeps, the worn one keeps.
    """

    UNKNOWN = (r"worn\.received", r"worn\.crowded", r"worn\.decoder\..*", r"worn\.crc\..*")
    """Registers of the worn one that hold anything at first."""

    def __init__(self, receiver: type[Receiver] = Receiver):
        self._receiver = receiver
        super().__init__({"byte": In(8), "valid": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.worn = worn = self._receiver(SMALL)
        m.submodules.fresh = fresh = self._receiver(SMALL)
        ends, same = Signal(), Signal()  # what was left, does; from now on they are equal
        m.d.sync += same.eq(same | ends)
        m.d.comb += [
            worn.bytes.payload.eq(self.byte),
            worn.bytes.valid.eq(self.valid),
            fresh.bytes.payload.eq(self.byte),
            fresh.bytes.valid.eq(self.valid & same),
            Assume(same | ~worn.kept),
            *(
                Assert(~same | (getattr(worn, name) == getattr(fresh, name)), name)
                for name in ("kept", "bad", "overflow", "waiting", "valid")
            ),
            Cover(fresh.kept, "a frame is kept"),
            Cover(same & fresh.bad, "a frame is broken"),
            Cover(same & fresh.overflow, "a frame is too long"),
        ]
        watch(worn, lambda inner: [ends.eq(inner.submodules.decoder.end)])
        self._stay_equal(same, worn, fresh)
        return m

    def _stay_equal(self, same, worn: Component, fresh: Component) -> None:
        """The invariants: until they are the same the fresh one is fresh, and the worn one but for its
        parser; then their registers are equal."""
        registers: list[tuple[str, Signal]] = []

        def note(part: Module):
            registers.extend(_registers(part))
            return ()

        def compare(part: Module):  # elaborated later, in the same order
            for name, fresh_one in _registers(part):
                worn_one = registers.pop(0)[1]
                yield Assert(~same | (worn_one == fresh_one), f"equal {name}")
                if name != "byte":  # which the decoder looks at only when one came
                    yield Assert(same | (fresh_one == fresh_one.init), f"fresh {name}")
                if name in UNTOUCHED:
                    yield Assert(same | (worn_one == worn_one.init), f"untouched {name}")

        for receiver, visit in ((worn, note), (fresh, compare)):
            for path in ((), ("decoder",), ("crc",), ("lengths",)):
                watch(receiver, visit, path)


def _registers(m: Module) -> list[tuple[str, Signal]]:
    """All that an elaborated module has, but the byte on offer, and half a byte that the checksum looks
    at in the cycle after it was kept only."""
    return [
        (signal.name, signal)
        for signal, domains in m._driving.items()
        if domains[0] == "sync" and signal.name not in ("payload__payload", "high")
    ]


class FromAnyState(Component):
    """A `Receiver` in any state at all, whatever frames wait."""

    UNKNOWN = (r"receiver\..*",)

    def __init__(self, receiver: type[Receiver] = Receiver):
        self._receiver = receiver(SMALL)
        super().__init__(self._receiver.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        wiring.connect(m, wiring.flipped(self), receiver)
        self._state(m, receiver)
        return m

    def _state(self, m: Module, receiver: Receiver) -> None:
        """What is true of it."""
        raise NotImplementedError


class ParserRestarts(FromAnyState):
    """After a delimiter, all that its parser knows is what it knows after power-up."""

    PARSER = ("received", "crowded")
    """Its registers outside the decoder and the checksum."""

    def _state(self, m: Module, receiver: Receiver) -> None:
        ends = Signal()
        (ended,) = delayed(m, 1, ends)
        m.d.comb += [
            Cover(ended & receiver.valid, "a delimiter while a frame waits"),
            Cover(receiver.kept & receiver.valid, "a frame is kept while another waits"),
        ]
        watch(receiver, lambda inner: [ends.eq(inner.submodules.decoder.end)])
        for path in ((), ("decoder",), ("crc",)):
            watch(receiver, lambda inner, path=path: self._as_new(inner, ended, path), path)

    def _as_new(self, part: Module, ended, path):
        for name, register in _registers(part):
            if name != "byte" and (path or name in self.PARSER):
                yield Assert(~ended | (register == register.init), f"{name} as after power-up")


class NeverStuck(FromAnyState):
    """It takes a byte every other cycle, and soon offers what it has kept.

    `next` comes only while a frame is offered.
    """

    def _state(self, m: Module, receiver: Receiver) -> None:
        (stalled,) = delayed(m, 1, ~receiver.bytes.ready)
        frame, byte = Signal(range(WAIT + 2)), Signal(range(WAIT + 2))  # how long they are awaited
        awaited = Signal()  # a frame was kept, and none is offered yet
        with m.If(receiver.valid):
            m.d.sync += [awaited.eq(receiver.kept), frame.eq(receiver.kept)]
        with m.Elif(awaited | receiver.kept):
            m.d.sync += [awaited.eq(1), frame.eq(frame + 1)]
        with m.Else():
            m.d.sync += frame.eq(0)
        m.d.sync += byte.eq(
            Mux(receiver.valid & ~receiver.payload.valid & ~receiver.next, byte + 1, 0)
        )
        m.d.comb += [
            Assume(receiver.valid | ~receiver.next),
            Assert(receiver.bytes.ready | ~stalled, "a byte is taken every other cycle"),
            Assert(frame < WAIT, "a frame is offered"),
            Assert(byte <= PATIENCE, "a byte of it is offered"),
            Cover(receiver.kept, "a frame is kept"),
            Cover(receiver.payload.valid & receiver.next, "a frame is left"),
        ]
