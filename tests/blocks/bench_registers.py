"""Runs inside a simulator (see test_link_blocks.py): the registers, and the text of the build."""

import random

import cocotb
from cocotb.triggers import ClockCycles
from host_port import HostPort, idle

from relaxon.config import Config, power_up_registers
from relaxon.hw.registers import REGISTERS
from relaxon.protocol import BUILD_BYTES, REGISTER_BYTES, Register
from relaxon.protocol import REGISTERS as DESCRIBED
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.bundle import Block
from relaxon.sim.testbench.coverage import Coverage

SEEN = Coverage(
    "Registers", *(f"{r.name} {end}" for r in DESCRIBED for end in ("lowest", "highest")),
    "word truncated", "read, negative", "read, positive", "written again", "reset", "build read",
    "build's last byte", "build not written", "as wide as fields", "no chain coupling",
)  # fmt: skip
ACCESS_CYCLES = 3
"""Most that an access may take."""


def wrapped(value: int, bits: int, signed: bool) -> int:
    """The value that so many bits hold."""
    value %= 1 << bits
    return value - (1 << bits) if signed and bits and value >> bits - 1 else value


class Bench:
    """Registers, and what they must hold."""

    def __init__(self, dut: Block, name: str, seed: int | None):
        given = parameters()[name]
        self.dut, self.config = dut, Config.from_dicts(given["structure"], None)
        self.about = given["about"].encode().ljust(BUILD_BYTES, b"\0")
        self.words = power_up_registers(self.config).as_dict()
        self.host = HostPort(dut, "host", REGISTER_BYTES, seed=seed, limit=ACCESS_CYCLES)
        self.build = HostPort(dut, "build", 1, seed=seed, limit=ACCESS_CYCLES)
        self.rng = random.Random(seed)

    @classmethod
    async def of(cls, dut, name: str, seed: int | None):
        """After reset."""
        block = Block(dut, name)
        await start(block, **idle("host", "build"))
        return cls(block, name, seed)

    def value(self, register: Register) -> int:
        """What the machine is told: fields and what is compared with them are no wider than they are."""
        value, bits = self.words[register.name], register.bits
        if register.name in ("self_coupling", "chain_coupling", "margin"):
            SEEN.hit("as wide as fields", when=self.config.field_bits < bits)
            bits = min(bits, self.config.field_bits)
        if register.name == "chain_coupling" and self.config.store == "column":
            SEEN.hit("no chain coupling", when=value != 0)
            return 0
        return wrapped(value, bits, register.signed)

    async def check_values(self) -> None:
        """All of them, as the machine sees them."""
        await ClockCycles(self.dut.clk, 1)
        values = REGISTERS.from_bits(int(self.dut.values.value))
        for register in DESCRIBED:
            assert values[register.name] == self.value(register), register.name

    async def write(self, address: int, value: int) -> None:
        """A word of 32 bits, of which the register takes what it has."""
        register = DESCRIBED[address]
        await self.host.write(address, value.to_bytes(REGISTER_BYTES, "little"))
        held = wrapped(value, register.bits, register.signed)
        self.words[register.name] = held
        SEEN.hit("word truncated", when=held % (1 << 32) != value)
        SEEN.hit(f"{register.name} lowest", when=held == register.low)
        SEEN.hit(f"{register.name} highest", when=held == register.high)

    async def read(self, address: int) -> None:
        """A word, compared."""
        register, word = DESCRIBED[address], await self.host.read(address)
        value = int.from_bytes(word, "little", signed=register.signed)
        assert value == self.words[register.name], register.name
        SEEN.hit("read, negative" if value < 0 else "read, positive")


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["registers", "compact_registers"])
async def begin_with_the_values_for_the_sizes(dut, name):
    bench = await Bench.of(dut, name, seed=None)  # the first test: the power was just switched on
    await bench.check_values()
    for address in range(len(DESCRIBED)):
        await bench.read(address)


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["registers", "compact_registers"], pauses=[False, True])
async def hold_what_is_written(dut, name, pauses):
    bench = await Bench.of(dut, name, seed=2 if pauses else None)
    rng = random.Random(3 + pauses)
    for address in rng.sample(range(len(DESCRIBED)), len(DESCRIBED)):
        register = DESCRIBED[address]
        for value in (register.low, register.high, rng.getrandbits(32)):
            await bench.write(address, value % (1 << 32))
            await bench.check_values()
            await bench.read(address)
    for _ in range(15):
        address = rng.randrange(len(DESCRIBED))
        await bench.write(address, rng.getrandbits(32))
        SEEN.hit("written again")
        await bench.read(rng.choice((address, rng.randrange(len(DESCRIBED)))))
    await bench.check_values()
    for address in range(len(DESCRIBED)):
        await bench.read(address)


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["registers", "compact_registers"])
async def are_the_same_after_every_reset(dut, name):
    bench = await Bench.of(dut, name, seed=None)
    for address, register in enumerate(DESCRIBED):
        await bench.write(address, register.high)
    await bench.check_values()
    SEEN.hit("reset")
    bench = await Bench.of(dut, name, seed=None)
    await bench.check_values()


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(name=["registers", "compact_registers"], pauses=[False, True])
async def tell_of_the_build(dut, name, pauses):
    bench = await Bench.of(dut, name, seed=4 if pauses else None)
    addresses = range(BUILD_BYTES)
    if pauses:
        addresses = bench.rng.sample(addresses, 60) + [BUILD_BYTES - 1]
        for address in addresses:
            await bench.build.write(address, b"\xa5")
            SEEN.hit("build not written")
    for at, address in enumerate(addresses):
        assert await bench.build.read(address) == bench.about[address : address + 1]
        SEEN.hit("build read")
        SEEN.hit("build's last byte", when=address == BUILD_BYTES - 1)
        if at % 16 == 0:  # the other half of the memory
            register = bench.rng.randrange(len(DESCRIBED))
            await bench.write(register, bench.rng.getrandbits(32))
            await bench.read(register)


@cocotb.test()
async def everything_was_seen(dut):
    assert not SEEN.missing, SEEN.missing
