"""Runs inside a simulator (see test_array_blocks.py): the ±1 update, and both weight stores."""

import random
from collections import deque

import cocotb
from ports import Ports, bits_of, made, named

from relaxon.cycles import timing
from relaxon.hw.hostport import READ_CYCLES
from relaxon.hw.operation import Use
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

updates = Coverage("update", "up", "down", "cut above", "cut below", "not masked", "beyond the range",
                   "cut in J, not in W")  # fmt: skip
skewed = Coverage(
    "skewed store", "first word", "last word", "every bank", "wraps", "does not wrap",
    "none learns", "all learn", "cut", "two columns", "one word twice", "rows back to back",
    "no access", "feedback", "clear",
)  # fmt: skip
columns = Coverage(
    "column store", "first word", "last word", "none learns", "all learn", "cut above",
    "cut below", "columns in turn", "written late", "side writes a byte", "feedback",
)  # fmt: skip


def updated(value: int, up: bool, limit: int) -> tuple[int, bool]:
    """sat(value ± 1), and whether it was cut."""
    cut = value >= limit if up else value <= -limit
    return (value if cut else value + (1 if up else -1)), cut


def edgy(rng: random.Random, limit: int) -> int:
    """An element, often near an end of its range."""
    value = rng.choice((limit, limit - 1, rng.randint(0, limit), rng.randint(0, limit)))
    return rng.choice((value, -value))


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("updater"))
async def an_update_saturates(dut, name):
    component = made(name)
    block = Ports(dut, name, component)
    limits = [(1 << bits) - 1 for bits in component._widths.values()]
    await start(dut)
    half = 1 << block.shape("old").elem_shape.width - 1
    before = None
    for value in range(-half, half):
        for recurrent, up in ((0, 0), (0, 1), (1, 0), (1, 1)):
            limit = limits[1 - recurrent]
            for mask in (1, 2, 3) if value % 4 == 0 else (3,):
                # the other element is its own, with the other sign
                old, ups = [value, max(-half, min(half - 1, -value))], up | (1 - up) << 1
                await block.step(old=old, up=ups, mask=mask, recurrent=recurrent)
                changed = [updated(v, bool(ups >> i & 1), limit) for i, v in enumerate(old)]
                new = [c[0] if mask >> i & 1 else v for i, (v, c) in enumerate(zip(old, changed))]
                assert block.get("new") == new
                if before:
                    assert (block.get("moved"), block.get("cut")) == before
                cut = sum(c[1] << i for i, c in enumerate(changed))
                before = mask & ~cut, mask & cut
                moves = mask & 1 and not cut & 1
                updates.hit("up" if up else "down", when=bool(moves))
                updates.hit("cut above", when=up and value == limit and mask & 1)
                updates.hit("cut below", when=not up and value == -limit and mask & 1)
                updates.hit("not masked", when=mask == 2)
                updates.hit("beyond the range", when=abs(value) > limit)
                updates.hit("cut in J, not in W", when=recurrent and cut and abs(value) < limits[1])


class Skewed:
    """A skewed store and its model: words of lanes' elements."""

    def __init__(self, dut, name):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.change_latency = component.change_latency
        self.latency = timing(self.layout.config).latency
        self.rng, self.limit = random.Random(15), self.layout.config.weight_max
        self.words = [
            [edgy(self.rng, self.limit) for _ in range(self.layout.strip_lanes)]
            for _ in range(self.layout.weight_words)
        ]
        self.wire = 8 * self.layout.element_bytes

    async def write_all(self) -> None:
        """The host writes every word."""
        mask = (1 << self.wire) - 1
        for address, word in enumerate(self.words):
            data = sum((e & mask) << self.wire * p for p, e in enumerate(word))
            await self.block.step(
                host__active=1, host__address=address, host__write=1, host__write_data=data
            )
        await self.block.step(host__write=0)
        await self.block.steps(5)
        await self.block.step(host__active=0)
        await self.block.steps(3)

    async def read_all(self) -> None:
        """The host reads every word; all are as they should be."""
        mask = (1 << self.wire) - 1
        for address, word in enumerate(self.words):
            await self.block.step(host__active=1, host__address=address)
            await self.block.steps(READ_CYCLES)
            data = self.block.get("host__read_data")
            found = [data >> self.wire * p & mask for p in range(len(word))]
            assert found == [e & mask for e in word], f"word {address}"
        await self.block.step(host__active=0)
        await self.block.steps(3)

    async def add(self, count: int) -> None:
        """Columns, one or two in a cycle, are there `latency` cycles later."""
        due: deque[tuple | None] = deque([None] * self.latency)
        size = len(self.words)
        for left in range(count + self.latency, 0, -1):
            use = self.rng.choice((Use.ADD, Use.ADD, Use.FEEDBACK, Use.NONE, Use.CLEAR))
            use = use if left > self.latency else Use.NONE
            a, b = (self.rng.choice((0, size - 1, *range(size))) for _ in range(2))
            a = b if self.rng.random() < 0.05 else a
            await self.block.step(access={"use": use.value, "a": a, "b": b})
            assert self.block.get("used") == (use in (Use.ADD, Use.FEEDBACK))
            assert not self.block.get("change")["valid"]
            reads = use in (Use.ADD, Use.FEEDBACK)
            due.append((self.words[a], self.words[b]) if reads else None)
            expected = due.popleft()
            if expected:
                assert (self.block.get("a"), self.block.get("b")) == expected
            skewed.hit("two columns", when=reads)
            skewed.hit("first word", when=reads and 0 in (a, b))
            skewed.hit("last word", when=reads and size - 1 in (a, b))
            skewed.hit("one word twice", when=reads and a == b)
            skewed.hit("no access", when=use is Use.NONE)
            skewed.hit("feedback", when=use is Use.FEEDBACK)
            skewed.hit("clear", when=use is Use.CLEAR)

    async def learn(self) -> None:
        """Rows of several neurons, or parts of them, one after another; no element twice."""
        block, rng, banks = self.block, self.rng, self.layout.banks
        rows = []
        for place in range(self.layout.strip_lanes):
            at = rng.randrange(banks)
            while at < len(self.words):
                rows.append((place, at))
                at += banks + rng.choice((0, 0, 3, 20))
        rng.shuffle(rows)
        changes: deque[dict | None] = deque([None] * self.change_latency)
        cut = wanted_cut = 0
        for row in [*rows, *[None] * (self.change_latency + 4)]:
            if row and rng.random() < 0.8:
                change, cuts, inputs = self._row(*row)
                wanted_cut += cuts
                await block.step(**inputs)
                skewed.hit("rows back to back", when=bool(changes[-1]))
            else:
                change = None
                await block.step(access={"use": 0}, learn=0)
            assert block.get("used") == (change is not None)
            changes.append(change)
            expected, found = changes.popleft(), block.get("change")
            assert found["valid"] == (expected is not None)
            assert expected is None or found == expected
            assert expected is not None or found["hit"] == 0
            cut += block.get("cut")
        assert cut == wanted_cut
        skewed.hit("cut", when=cut > 0)

    def _row(self, place: int, first: int) -> tuple[dict, int, dict]:
        """What a part of a row does to the fields, how many elements it cuts, and its access."""
        banks, rng = self.layout.banks, self.rng
        there = (1 << min(banks, len(self.words) - first)) - 1
        learns = rng.choice((0, rng.getrandbits(banks), (1 << banks) - 1)) & there
        mask = sum(1 << (place + first + n) % banks for n in bits_of(learns))
        up, moved, cuts = rng.getrandbits(banks), 0, 0
        for n in bits_of(learns):
            word = self.words[first + n]
            word[place], cut = updated(word[place], bool(up >> n & 1), self.limit)
            moved, cuts = moved + (not cut), cuts + cut
        wraps = sum(((p - place) % banks < first % banks) << p for p in range(banks))
        skewed.hit("none learns", when=mask == 0)
        skewed.hit("all learn", when=mask == (1 << banks) - 1)
        skewed.hit("every bank", when=mask == (1 << banks) - 1)
        skewed.hit("wraps" if wraps else "does not wrap")
        change = {"valid": 1, "hit": 1 << place, "count": moved}
        learn = {"mask": mask, "up": up, "place": place, "wraps": wraps}
        return change, cuts, {"access": {"use": Use.LEARN.value, "a": first}, "learn": learn}


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("skew"))
async def skewed_store_reads_columns_and_learns_rows(dut, name):
    await exercise(dut, Skewed(dut, name))


async def exercise(dut, store) -> None:
    """Everything that a store does, in turn."""
    await start(dut)
    await store.write_all()
    await store.read_all()
    for _ in range(max(2, parameters()["cycles"] // 200)):
        await store.add(100)
        await store.learn()
    await store.add(20)
    await store.read_all()


class Column:
    """A column store and its model: words of lanes' elements."""

    def __init__(self, dut, name):
        component = made(name)
        self.layout, self.block = component.layout, Ports(dut, name, component)
        self.change_latency = component.change_latency
        self.latency, self.side = (getattr(timing(self.layout.config), n) for n in ("latency", "side"))
        self.rng, self.limit = random.Random(16), self.layout.config.weight_max
        self.wire, self.bytes = 8 * self.layout.element_bytes, self.layout.strip_bytes
        # Few of many words are enough, the readout's among them, the last one of all, too.
        size = self.layout.store_words
        self.used = [*range(self.layout.weight_words), size - 1]
        self.words = {
            a: [edgy(self.rng, self.limit) for _ in range(self.layout.strip_lanes)]
            for a in self.used
        }

    def _raw(self, address: int) -> int:
        mask = (1 << self.wire) - 1
        return sum((e & mask) << self.wire * p for p, e in enumerate(self.words[address]))

    async def write_all(self) -> None:
        """By the side door, some bytes at a time; the others keep what they have."""
        unit = 2 * self.layout.readout_width
        for address in self.used:
            raw = self._raw(address).to_bytes(self.bytes, "little")
            for at in range(0, self.bytes, unit):
                part = raw[at : at + unit]
                side = {
                    "active": 1, "address": address, "write": 1, "mask": (1 << len(part)) - 1 << at,
                    "data": int.from_bytes(part, "little"),
                }  # fmt: skip
                await self.block.step(side=side)
            one = self.rng.randrange(self.bytes)  # one byte once more
            side = {
                "active": 1, "address": address, "write": 1, "mask": 1 << one,
                "data": raw[one] << 8 * (one % unit),
            }  # fmt: skip
            await self.block.step(side=side)
            columns.hit("side writes a byte")
        await self.block.step(side=0)
        await self.block.steps(self.side)

    async def read_all(self) -> None:
        """By the side door, `side` cycles later; all are as they should be."""
        due: deque[int | None] = deque([None] * self.side)
        for address in [*self.used, *[None] * self.side]:
            side = {"active": 1, "address": address} if address is not None else 0
            await self.block.step(side=side)
            due.append(address)
            expected = due.popleft()
            assert expected is None or self.block.get("word") == self._raw(expected), expected
            columns.hit("last word", when=address == self.layout.store_words - 1)

    async def add(self, count: int) -> None:
        """A column in a cycle is there `latency` cycles later."""
        due: deque[list | None] = deque([None] * self.latency)
        for left in range(count + self.latency, 0, -1):
            use = self.rng.choice((Use.ADD, Use.ADD, Use.FEEDBACK, Use.NONE, Use.CLEAR))
            use = use if left > self.latency else Use.NONE
            a = self.rng.choice((0, *self.used[:-1]))
            await self.block.step(access={"use": use.value, "a": a})
            reads = use in (Use.ADD, Use.FEEDBACK)
            assert self.block.get("used") == reads
            due.append(self.words[a] if reads else None)
            expected = due.popleft()
            assert expected is None or self.block.get("a") == expected
            columns.hit("first word", when=reads and a == 0)
            columns.hit("feedback", when=use is Use.FEEDBACK)

    async def learn(self) -> None:
        """Columns in every other cycle, `learn` a cycle after each; what changed is written in the
        cycles between."""
        block, rng, lanes = self.block, self.rng, self.layout.strip_lanes
        order = rng.sample(self.used[:-1], min(30, len(self.used) - 1))
        changes: deque[dict | None] = deque([None] * self.change_latency)
        cut = wanted_cut = 0
        for address in [*order, *[None] * (self.change_latency + 2)]:
            change, learn, access, held = None, 0, 0, 0
            pause = rng.random() < 0.2
            if address is not None and not pause:
                mask = rng.choice((0, rng.getrandbits(lanes), (1 << lanes) - 1))
                up = rng.getrandbits(lanes)
                learn, access = {"mask": mask, "up": up}, {"use": Use.LEARN.value, "a": address}
                held = access | {"use": Use.NONE.value}  # as a strip does, for a cycle at least
                hit = 0
                for p in bits_of(mask):
                    word = self.words[address]
                    word[p], cuts = updated(word[p], bool(up >> p & 1), self.limit)
                    hit, wanted_cut = hit | (not cuts) << p, wanted_cut + cuts
                    columns.hit("cut above" if up >> p & 1 else "cut below", when=cuts)
                change = {"valid": 1, "hit": hit, "count": 1}
                columns.hit("none learns", when=mask == 0)
                columns.hit("all learn", when=mask == (1 << lanes) - 1)
                columns.hit("columns in turn")
            for half in (0, 1):
                await block.step(access=held if half else access, learn=learn if half else 0)
                changes.append(None if half else change)
                expected, found = changes.popleft(), block.get("change")
                assert found["valid"] == (expected is not None)
                assert expected is None or found == expected
                columns.hit("written late", when=half and block.get("used"))
                cut += block.get("cut")
        for _ in range(4):
            await block.step()
            cut += block.get("cut")
        assert cut == wanted_cut


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("column"))
async def column_store_reads_and_learns_columns(dut, name):
    await exercise(dut, Column(dut, name))
