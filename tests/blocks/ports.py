"""A block's ports inside a simulation: integers, or dicts where they are packed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from amaranth import Shape
from amaranth.lib import data
from amaranth.lib.wiring import Component, Flow
from array_blocks import BUNDLES
from cocotb.triggers import ReadOnly, RisingEdge

from relaxon.sim.testbench.bench import Device, parameters


def pack(shape: Any, value: Any) -> int:
    """The bits of a value: of a struct a dict (members left out are 0), of an array a list."""
    if isinstance(shape, data.ArrayLayout):
        parts = list(zip(shape, value, strict=True))
    elif isinstance(shape, data.StructLayout):
        unknown = set(value) - set(shape.members)
        assert not unknown, f"no members {unknown}"
        parts = [((name, field), value.get(name)) for name, field in shape]
    else:
        return int(value) & (1 << Shape.cast(shape).width) - 1
    bits = 0
    for (_, field), part in parts:
        if part is not None:
            bits |= pack(field.shape, part) << field.offset
    return bits


def unpack(shape: Any, bits: str) -> Any:
    """The value that the bits stand for, see `pack`; None for what has bits that are unknown."""
    if isinstance(shape, data.Layout):
        parts = {key: unpack(f.shape, _field(bits, f)) for key, f in shape}
        return list(parts.values()) if isinstance(shape, data.ArrayLayout) else parts
    if not bits:
        return 0
    if not set(bits) <= {"0", "1"}:
        return None
    value = int(bits, 2)
    negative = bits[0] == "1" and Shape.cast(shape).signed
    return value - (1 << len(bits)) if negative else value


def _field(bits: str, field: data.Field) -> str:
    end = len(bits) - field.offset
    return bits[end - field.width : end]


def named(prefix: str) -> list[str]:
    """Blocks of the bundle in simulation whose names begin so."""
    return [name for name in BUNDLES[parameters()["bundle"]] if name.startswith(prefix)]


def made(name: str) -> Component:
    """The block of this name once more, to ask for its sizes."""
    return BUNDLES[parameters()["bundle"]][name]()


class Ports:
    """The ports of a block.

    Parameters
    ----------
    dut
        A `Bundle` in simulation.
    name
        The block's in it.
    block
        The same component once more, for its signature.
    """

    def __init__(self, dut: Device, name: str, block: Component):
        self.clk = dut.clk
        self._edge = RisingEdge(dut.clk)
        self._looks = False
        self._ports: dict[str, Any] = {}
        self._last: dict[str, tuple[str, Any]] = {}
        inputs = []
        for path, member, value in block.signature.flatten(block):
            port = "__".join(map(str, path))
            self._ports[port] = getattr(dut, f"{name}__{port}", None), value.shape()
            if member.flow is Flow.In:
                inputs.append(port)
        self.set(**{port: 0 for port in inputs if self._ports[port][0] is not None})

    def shape(self, port: str) -> Any:
        """What a port carries."""
        return self._ports[port][1]

    def set(self, **values: int | Mapping[str, Any] | list[Any]) -> None:
        """Drive input ports from now on; 0 is 0 of everything."""
        for port, value in values.items():
            handle, shape = self._ports[port]
            handle.value = pack(shape, value) if value else 0

    def get(self, port: str) -> Any:
        """What a port carries now; None for what is unknown."""
        handle, shape = self._ports[port]
        bits = str(handle.value)
        if self._last.get(port, ("", None))[0] != bits:  # often it is what it was before
            self._last[port] = bits, unpack(shape, bits)
        return self._last[port][1]

    def bits(self, port: str) -> int:
        """The same as one integer."""
        return int(self._ports[port][0].value)

    async def step(self, **inputs: Any) -> None:
        """Go to the next cycle and drive these inputs from now on; then outputs may be looked at."""
        if self._looks:
            await self._edge
        self.set(**inputs)
        await ReadOnly()
        self._looks = True

    async def steps(self, cycles: int) -> None:
        """So many cycles in which nothing changes at the inputs."""
        for _ in range(cycles):
            await self.step()


async def through(
    cycle: Callable[..., Awaitable[None]], ports: Ports, port: str, address: int, size: int,
    word: bytes | None = None,
) -> bytes:  # fmt: skip
    """Write or, without one, read a word through a `HostPort`, byte by byte; `cycle` goes on."""
    read = bytearray()
    for byte in range(size):
        value = 0 if word is None else word[byte]
        await cycle(**{
            f"{port}__address": address, f"{port}__byte": byte, f"{port}__write": word is not None,
            f"{port}__write_data": value,
        })  # fmt: skip
        await cycle(**{f"{port}__active": 1})
        cycles = 0
        while not ports.get(f"{port}__done"):
            await cycle()
            cycles += 1
            assert cycles < 100, f"byte {byte} of word {address} of {port}"
        read.append(ports.get(f"{port}__read_data"))
        await cycle(**{f"{port}__active": 0})
    return bytes(read)


def bits_of(value: int) -> Iterator[int]:
    """Numbers of the bits that are set, the lowest first."""
    while value:
        low = value & -value
        yield low.bit_length() - 1
        value ^= low
