"""Reads of words being written: what tools are told of them, and what a simulation makes of them."""

from __future__ import annotations

import re

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from relaxon.hw.collisions import unpromised
from relaxon.hw.verilog import emit, rtlil_of

MASKS = re.compile(r"TRANSPARENCY_MASK (\S+)\n\s*parameter \\COLLISION_X_MASK (\S+)")


class Reader(wiring.Component):
    """A memory with a plain, a transparent and an asynchronous reader."""

    def __init__(self):
        super().__init__({"at": In(4), "data": In(10), "plain": Out(10), "new": Out(10), "now": Out(10)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=10, depth=16, init=[])
        write = memory.write_port()
        plain, new = memory.read_port(), memory.read_port(transparent_for=(write,))
        now = memory.read_port(domain="comb")
        m.d.comb += [write.addr.eq(self.at), write.data.eq(self.data), write.en.eq(1)]
        for port, out in ((plain, self.plain), (new, self.new), (now, self.now)):
            m.d.comb += [port.addr.eq(self.at), out.eq(port.data)]
        return m


def test_only_a_plain_read_is_undefined() -> None:
    text = rtlil_of(Reader(), "top", reset=False)
    assert sorted(MASKS.findall(text)) == [("1'0", "1'0"), ("1'0", "1'0"), ("1'1", "1'0")]
    told = unpromised(text)
    assert sorted(MASKS.findall(told)) == [("1'0", "1'0"), ("1'0", "1'1"), ("1'1", "1'0")]
    assert unpromised(told) == told


@pytest.mark.parametrize("spoil", [False, True])
def test_a_simulation_can_be_given_rubbish(spoil: bool) -> None:
    verilog = emit(Reader(), reset=False, spoil=spoil)
    assert not (spoil and re.search(r"'h[xX]", verilog))
    assert ("10'h2aa" in verilog) == spoil
