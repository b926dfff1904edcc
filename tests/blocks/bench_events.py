"""Runs inside a simulator (see test_array_blocks.py): lists of entries, and the scanner of bits."""

import random
from collections import deque

import cocotb
from array_blocks import TAG
from cocotb.triggers import ReadOnly, RisingEdge
from ports import Ports, bits_of, made, named, pack, unpack

from relaxon.hw.events import marked_layout, pair_layout
from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls, StreamSink, StreamSource, hesitation

lists = Coverage(
    "entry list", "push to none", "push while taken", "push behind others", "full", "last taken",
    "cleared with entries", "cleared empty", "waits",
)  # fmt: skip
scans = Coverage(
    "scanner", "no bit", "one bit", "two bits", "odd", "even", "all bits", "single", "pairs",
    "one at a time", "back to back", "stalled",
)  # fmt: skip


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("list"), stalls=list(Stalls))
async def list_gives_entries_in_order(dut, name, stalls):
    block, rng = Ports(dut, name, made(name)), random.Random(3)
    pushes, takes = hesitation(stalls.source, 1), hesitation(stalls.sink, 2)
    await start(dut)
    depth, held, pushed = int(name[4:]), deque(), 0
    for _ in range(parameters()["cycles"]):
        clear = rng.random() < (0.5 if pushed == depth and not held else 0.02)
        push = not (clear or pushed == depth or next(pushes))
        entry, ready = rng.getrandbits(6), not next(takes)
        await block.step(
            clear=clear, push={"valid": push, "entry": {"number": entry}}, entries__ready=ready
        )
        # What was pushed up to the cycle before is there to be read.
        assert block.get("entries__valid") == bool(held)
        if held:
            assert block.get("entries__payload") == {"number": held[0]}
        taken = ready and bool(held)
        lists.hit("push to none", when=push and not held)
        lists.hit("push while taken", when=push and taken)
        lists.hit("push behind others", when=push and len(held) > 1)
        lists.hit("last taken", when=taken and not push and len(held) == 1)
        lists.hit("cleared with entries", when=clear and bool(held))
        lists.hit("cleared empty", when=clear and not held)
        lists.hit("waits", when=bool(held) and not ready)
        if taken:
            held.popleft()
        if push:
            held.append(entry)
            pushed += 1
        lists.hit("full", when=len(held) == depth)
        if clear:
            held.clear()
            pushed = 0


def scanned(entry: dict, columns: int) -> list[dict]:
    """The pairs of an entry: the lowest bit with the highest, then what is between."""
    places, pairs = list(bits_of(entry["mask"])), []
    while places:
        a = places.pop(0)
        two = columns == 2 and not entry["single"] and bool(places)
        b = places.pop() if two else 0
        signs = [entry["state"] >> place & 1 for place in (a, b)]
        pairs.append({"a": a, "positive_a": signs[0], "two": two, "tag": entry["tag"]})
        if two:
            pairs[-1] |= {"b": b, "positive_b": signs[1]}
    return pairs


def random_entry(rng: random.Random, width: int, number: int) -> dict:
    """An entry with none, one, two, some or all bits marked."""
    some = rng.getrandbits(width) & rng.getrandbits(width)
    one, other = (1 << rng.randrange(width) for _ in range(2))
    mask = rng.choice((0, one, one, one | other, some, some, (1 << width) - 1))
    return {
        "mask": mask, "single": rng.random() < 0.3, "state": rng.getrandbits(width),
        "tag": {"number": number % 64},
    }  # fmt: skip


def parts(name: str) -> tuple[int, int]:
    """Columns and width of a scanner."""
    columns, width = name.removeprefix("scan").split("of")
    return int(columns), int(width)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("scan"), stalls=list(Stalls))
async def scanner_gives_every_marked_bit_once(dut, name, stalls):
    rng, (columns, width) = random.Random(4), parts(name)
    marked, pair = marked_layout(width, TAG), pair_layout(width, TAG)
    entries = [random_entry(rng, width, n) for n in range(parameters()["cycles"] // 8)]
    wanted = [pair for entry in entries for pair in scanned(entry, columns)]
    block = Ports(dut, name, made(name))
    source = StreamSource(dut, f"{name}__entries", hesitation(stalls.source, 5))
    sink = StreamSink(dut, f"{name}__pairs", hesitation(stalls.sink, 6))
    cocotb.start_soon(watch_more(block, columns))
    await start(dut)
    await source.send(pack(marked, entry) for entry in entries)
    received = await sink.wait(len(wanted), 20 * len(wanted) + 100)
    for got, want in zip(received, wanted, strict=True):
        found = unpack(pair, f"{got:0{pair.size}b}")
        assert {member: found[member] for member in want} == want
    for entry in entries:
        count = entry["mask"].bit_count()
        scans.hit("no bit", when=count == 0)
        scans.hit("one bit", when=count == 1)
        scans.hit("two bits", when=count == 2)
        scans.hit("odd" if count % 2 else "even", when=count > 2)
        scans.hit("all bits", when=count == width)
        scans.hit("single", when=columns == 2 and entry["single"] and count > 1)
    scans.hit("stalled", when=stalls.sink)


async def watch_more(block: Ports, columns: int) -> None:
    """`more` is 1 just while bits of entries taken are left beside those in `pairs`."""
    left, edge = 0, RisingEdge(block.clk)
    while True:
        await edge
        await ReadOnly()
        if block.get("entries__valid") is None:
            continue
        offered = block.get("pairs__valid")
        assert block.get("more") == (left > offered), (left, offered)
        left -= offered and block.get("pairs__ready")
        if block.get("entries__valid") and block.get("entries__ready"):
            left += len(scanned(block.get("entries__payload"), columns))


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=named("scan"))
async def scanner_takes_a_cycle_for_a_pair(dut, name):
    """The first three cycles after its entry, no gap between entries."""
    rng, (columns, width) = random.Random(7), parts(name)
    block = Ports(dut, name, made(name))
    await start(dut)
    block.set(pairs__ready=1)
    entries = [random_entry(rng, width, n) for n in range(50)]
    entries = [entry for entry in entries if entry["mask"]]
    turns, offered = sum(len(scanned(entry, columns)) for entry in entries), []
    for _ in range(turns + 20):
        await block.step(entries__valid=bool(entries), entries__payload=entries and entries[0])
        offered.append(block.get("pairs__valid"))
        if entries and block.get("entries__ready"):
            entries.pop(0)
    assert offered == [0] * 3 + [1] * turns + [0] * 17
    scans.hit("back to back")
    scans.hit("pairs" if columns == 2 else "one at a time")
