"""What is read is what is there, wherever it is used, though block RAM gives anything for a word that is
being written (`properties_memory.Rubbish`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import Component
from properties_framing import SMALL

from relaxon.config import Config
from relaxon.hw.counters import Counters
from relaxon.hw.framing import Receiver
from relaxon.hw.inputs import Inputs
from relaxon.hw.registers import Registers
from relaxon.hw.replies import ReplyCache
from relaxon.hw.rotation import delayed
from relaxon.layout import Layout
from relaxon.sim.testbench.formal import in_state, local, watch

Read = tuple[str, Value, Value, Value]
"""A memory's name, an address, what is said to be there, and when it is used."""


class ReadsWhatIsThere(Component):
    """A block that uses nothing but what is in its memories.

    Parameters
    ----------
    block
        Its members become the property's.
    reads
        What it uses: of the block's own module, and the block.
    given
        What may be assumed about its inputs.
    invariant
        What else holds, for the induction.
    """

    def __init__(
        self,
        block: Component,
        reads: Callable[[Module, Component], Iterable[Read]],
        given: Callable[[Module, Component], Iterable[Value]] = lambda m, block: (),
        invariant: Callable[[Component], Value] = lambda block: Const(1),
    ):
        self._block = block

        def properties(m: Module):
            yield from (Assume(condition) for condition in given(m, block))
            yield Assert(invariant(block), "invariant")
            for name, address, data, used in reads(m, block):
                there = m.submodules[name].read_port(domain="comb")
                yield there.addr.eq(address)
                found = Value.cast(there.data)
                yield Assert(~used | (Value.cast(data) == found), f"{name}: what is there")
                yield Cover(used & (found != 0), f"{name} is read")

        watch(block, properties)
        super().__init__(block.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = self._block
        wiring.connect(m, wiring.flipped(self), block)
        return m


def inputs(layout: Layout) -> ReadsWhatIsThere:
    """Bytes are written only while `free`; the inputs are taken only then, and not in the same cycle."""

    def reads(m: Module, block: Component) -> Iterable[Read]:
        at, new, old = block.current.address, m.submodules.next, m.submodules.now
        yield "next", at, new.read_ports[0].data, block.current.valid
        yield "now", at, old.read_ports[0].data, block.current.valid

    def given(m: Module, block: Component) -> Iterable[Value]:
        yield ~(block.write.valid | block.take) | block.free
        yield ~(block.write.valid & block.take)

    return ReadsWhatIsThere(
        Inputs(layout), reads, given, lambda block: ~block.current.valid | ~block.free
    )


def receiver() -> ReadsWhatIsThere:
    """The bytes of a frame, up to its length. `relaxon.hw.framing.Checksum` is to be any, so every frame
    may be a good one; `next` comes only while a frame is offered."""

    def reads(m: Module, block: Component) -> Iterable[Read]:
        at, frame = local(m, "at"), local(m, "frame")
        own = (at - frame)[: len(at)] < block.length
        (read,) = m.submodules.memory.read_ports
        yield "memory", at, read.data, local(m, "moves") & block.valid & own

    def given(m: Module, block: Component) -> Iterable[Value]:
        yield block.valid | ~block.next

    return ReadsWhatIsThere(Receiver(SMALL), reads, given)


def reply_cache() -> ReadsWhatIsThere:
    """An answer is written only while its slot is not pending, which is known a cycle late; the slot
    holds meanwhile. `relaxon.hw.replies.Checksum` is to be any."""

    def reads(m: Module, block: Component) -> Iterable[Read]:
        memory, queue = m.submodules.memory.read_ports[0], m.submodules.queue.read_ports[0]
        yield "memory", memory.addr, memory.data, in_state(m, "FETCH")
        yield "queue", queue.addr, queue.data, in_state(m, "FETCH") | in_state(m, "SEND")

    def given(m: Module, block: Component) -> Iterable[Value]:
        writing = Signal()  # an answer has begun, and is not encoded
        m.d.sync += writing.eq((writing | block.payload.valid) & ~m.submodules.encoder.done)
        was_writing, slot = delayed(m, 1, writing | block.payload.valid, block.slot)
        waits = local(m, "waits")
        yield ~(block.payload.valid | writing) | (~waits & ~block.repeat)
        yield ~was_writing | ~writing | (block.slot == slot)

    return ReadsWhatIsThere(ReplyCache(SimpleNamespace(slot_bytes=16)), reads, given)


def counters(layout: Layout) -> ReadsWhatIsThere:
    """The host keeps to `HostPort`: an access holds until it is done; bytes come in order."""

    def reads(m: Module, block: Component) -> Iterable[Read]:
        (write,) = m.submodules.memory.write_ports
        host, found = block.host, local(m, "found")
        used = in_state(m, "ADD") | (in_state(m, "HOST") & host.done & ~host.write)
        yield "memory", write.addr, found, used

    return ReadsWhatIsThere(Counters(layout), reads, lambda m, block: host_keeps(m, block.host))


def registers(config: Config) -> ReadsWhatIsThere:
    """The host keeps to `HostPort`, and looks at one space at a time."""

    def reads(m: Module, block: Component) -> Iterable[Read]:
        (read,) = m.submodules.copy.read_ports
        host, build, found = block.host, block.build, local(m, "found")
        yield "copy", read.addr, found, (host.done & ~host.write) | build.done

    def given(m: Module, block: Component) -> Iterable[Value]:
        yield from host_keeps(m, block.host)
        yield from host_keeps(m, block.build)
        was_host, was_build = delayed(m, 1, block.host.active, block.build.active)
        yield ~(block.host.active | was_host) | ~(block.build.active | was_build)

    return ReadsWhatIsThere(Registers(config, b"text"), reads, given)


def host_keeps(m: Module, port) -> Iterable[Value]:
    """An access holds until it is done, and another one does not begin in the next cycle (an
    `AccessPort` has more to do); its place is there a cycle before."""
    place = Cat(port.address, port.byte)
    asks = Cat(place, port.write, port.write_data)
    goes_on, ends, asked, was_place = delayed(
        m, 1, port.active & ~port.done, port.active & port.done, asks, place
    )
    (since,) = delayed(m, 1, 1)
    yield ~goes_on | (port.active & (asks == asked))
    yield ~ends | ~port.active
    yield ~port.active | (since & (place == was_place))
