"""What measures coverage: bins, state machines, and the counts of compiled RTL."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from relaxon.hw.verilog import emit
from relaxon.sim.testbench import coverage
from relaxon.sim.testbench.coverage import COUNTS, Coverage, gathered
from relaxon.sim.testbench.fsm import Watched, covered, transition
from relaxon.sim.testbench.rtlcoverage import CoveredCore, Exclusion, Point, read, tally

RISES, FALLS = ":0->1", ":1->0"


class Copier(wiring.Component):
    """Answers each byte with itself, one state after another; "SKIP" cannot be reached."""

    def __init__(self):
        super().__init__(
            {"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8)), "idle": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        never = Signal()
        with m.FSM() as fsm:
            self._take(m)
            with m.State("GIVE"):
                m.d.comb += self.tx.valid.eq(1)
                with m.If(self.tx.ready):
                    m.next = "TAKE"
                    with m.If(never):
                        m.next = "SKIP"
            with m.State("SKIP"):
                m.next = "TAKE"
        m.d.comb += self.idle.eq(fsm.ongoing("TAKE"))
        return m

    def _take(self, m: Module) -> None:
        with m.State("TAKE"):
            m.d.comb += self.rx.ready.eq(1)
            with m.If(self.rx.valid):
                m.d.sync += self.tx.payload.eq(self.rx.payload)
                m.next = "GIVE"


STEPS = {("TAKE", "GIVE"), ("GIVE", "TAKE"), ("GIVE", "SKIP"), ("SKIP", "TAKE")}


def test_states_and_transitions_are_those_of_the_source():
    watched = Watched(Copier())
    verilog = covered(emit(watched), watched.machines)
    (machine,) = watched.machines
    assert machine.states == ("TAKE", "GIVE", "SKIP") and machine.transitions == STEPS
    assert verilog.count("cover property") == 9 and "dump_module" not in verilog.split("input")[1]
    assert transition("fsm_0_1_2", watched.machines) == (machine, ("GIVE", "SKIP"))
    assert transition("other", watched.machines) is None


def test_a_compiled_core_counts_what_happens():
    core = CoveredCore(Copier())
    for data in (b"\x01\x02", b"\x03\x04\x01"):
        board = core.board()
        board.write(data)
        said = b""
        while part := board.read(1.0):
            said += part
        assert said == data
        board.close()
    (seen,) = core.transitions().values()
    assert seen["TAKE", "GIVE"] == seen["GIVE", "TAKE"] == 5
    assert seen["GIVE", "SKIP"] == seen["SKIP", "TAKE"] == 0
    toggles = {
        point.place: count for point, count in core.counts.items()
        if point.kind == "toggle" and point.module == "" and point.signal == "tx__payload"
    }  # fmt: skip
    assert toggles["[0]" + RISES] and toggles["[1]" + FALLS] and toggles["[2]" + FALLS]
    assert not toggles["[3]" + RISES]


def test_counts_are_read_as_verilator_writes_them(tmp_path):
    def line(count: int, **values: str) -> str:
        keys = "".join(f"\1{key}\2{value}" for key, value in values.items())
        return f"C '{keys}' {count}\n"

    path = tmp_path / "counts"
    toggle = dict(t="toggle", page="v_toggle/top.component.a__024b", l="5", n="7", h="TOP.top")
    path.write_text(
        "# SystemC::Coverage-3\n"
        + line(3, **toggle, o="rx___05Fvalid:0->1")
        + line(0, **toggle, o="word[12]:1->0")
        + line(1, t="branch", page="v_branch/top", l="9", n="2", o="else", h="TOP.top")
    )
    assert read(path) == {
        Point("toggle", "a$b", "rx__valid", RISES): 3,
        Point("toggle", "a$b", "word", "[12]" + FALLS): 0,
        Point("line", "", "else", "9:2"): 1,
    }


def test_what_need_not_happen_is_counted_apart():
    def point(signal: str, place: str) -> Point:
        return Point("toggle", "lane", signal, place)

    counts = Counter({point("a", "[0]"): 1, point("a", "[1]"): 0, point("b", "[0]"): 0})
    counts[point("c", "[7]")] = 2
    upper = Exclusion("too wide", signal="a|c", place=r"\[[1-9]\]")
    found = tally(counts, "toggle", [upper])
    assert (found.points, found.happened, found.wanted) == (4, 2, 3)
    assert found.excluded == {"too wide": 1} and found.missing == {("lane", "b"): 1}
    assert not tally(counts, "line", [upper]).points


def test_bins_are_written_and_added_up(tmp_path, monkeypatch):
    monkeypatch.setenv(COUNTS, str(tmp_path))
    monkeypatch.setattr(coverage, "_declared", [])
    one, two = Coverage("group", "a", "b"), Coverage("group", "a", "c")
    one.hit("a")
    two.hit("a")
    two.hit("c", when=False)
    assert one.missing == ["b"]
    coverage.write()
    one.hit("b")
    coverage.write()
    assert gathered(tmp_path) == {"group": {"a": 2, "b": 1, "c": 0}}
    assert len([json.loads(path.read_text()) for path in tmp_path.iterdir()]) == 2
    with pytest.raises(KeyError, match="declares no bin 'd'"):
        one.hit("d")


def test_the_command_explains_itself():
    """So it can be imported, with all that it runs."""
    script = Path(__file__).with_name("coverage_report.py")
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--no-benches" in done.stdout
