"""The rules of streams: what is offered stays offered, and stays the same, until it is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from amaranth import Module, Value
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, Out

from relaxon.hw.rotation import delayed
from relaxon.sim.testbench.formal import watch

Condition = Callable[[Component], Value]
Conditions = Callable[[Module, Component], Iterable[Value]]
"""Of a block's own module, which may get registers for them, and the block."""


class StreamRules(Component):
    """A block on all of whose streams the rules hold: assumed where it takes, asserted where it gives.

    Parameters
    ----------
    block
        Its members become the property's.
    unless
        For a stream (by its name, members joined by dots) the condition that ends an offer, for it is
        withdrawn on purpose.
    given
        What else may be assumed about the block's inputs.
    invariants
        What else holds, for the induction.
    """

    def __init__(
        self,
        block: Component,
        *,
        unless: Mapping[str, Condition] | None = None,
        given: Conditions | None = None,
        invariants: Conditions | None = None,
    ):
        self._block, self._unless = block, dict(unless or {})
        if given:
            watch(block, lambda m: map(Assume, given(m, block)))
        if invariants:
            watch(block, lambda m: (Assert(i, "invariant") for i in invariants(m, block)))
        super().__init__(block.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = self._block
        wiring.connect(m, wiring.flipped(self), block)
        for name, (gives, valid, ready, payload) in streams_of(block).items():
            offered = valid & ~ready
            if name in self._unless:
                offered &= ~self._unless[name](block)
            was_offered, before = delayed(m, 1, offered, payload)
            stays = ~was_offered | (valid & (payload == before))
            if gives:
                m.d.comb += [
                    Assert(stays, f"{name} stays"),
                    Cover(was_offered & valid & ready, f"{name} waits and is taken"),
                ]
            else:
                m.d.comb += Assume(stays)
        return m


def streams_of(block: Component) -> dict[str, tuple[bool, Value, Value, Value]]:
    """Name of each stream of a block; whether the block gives; its valid, ready and payload."""
    ports = {
        path: (member.flow is Out, Value.cast(value))
        for path, member, value in block.signature.flatten(block)
    }
    found = {}
    for path, (gives, valid) in ports.items():
        rest = [ports.get((*path[:-1], name)) for name in ("ready", "payload")]
        if path[-1] == "valid" and all(rest):
            found[".".join(map(str, path[:-1]))] = gives, valid, *(value for _, value in rest)
    return found
