"""The commands for boards: what they write, and how they end when something is wrong."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import run
from test_boards import CANNED

from relaxon import cli, cli_boards
from relaxon.boards import flow, registry, speed
from relaxon.boards.design import Design
from relaxon.boards.flow import Build
from relaxon.sim import cache

REQUIRED = {
    "board", "neurons", "inputs", "lanes", "fmax_mhz", "clock_mhz", "timing_met", "resources",
    "cycles_per_sample", "samples_per_second_compute", "samples_per_second_link",
}  # fmt: skip
SMALL = ("ulx3s-25f", "--modules", 4, "--lanes", 8)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in a folder and with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(speed, "LEAST", 1)
    return tmp_path


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Design, int]]:
    """All tools give a recorded report; returns what was placed."""
    calls: list[tuple[Design, int]] = []

    def pack(design: Design, seed: int, folder: Path, result: Path, steps: Any) -> None:
        calls.append((design, seed))
        report = json.loads(CANNED.read_text())
        for clock in report["fmax"].values():
            clock["achieved"] += seed
        (folder / "report.json").write_text(json.dumps(report))
        about = {"build_id": f"{design.build_id:08x}", "tools": {"nextpnr": "0"}}
        (folder / "about.json").write_text(json.dumps(about))
        (folder / "nextpnr.log").write_text("")
        Build(design, seed, folder).bitstream.write_bytes(bytes(20_000))

    monkeypatch.setattr(flow, "_pack", pack)
    monkeypatch.setattr(flow, "routed", lambda design, seed, steps: Path("nowhere"))
    return calls


def test_build_writes_the_bitstream_and_what_it_is(here: Path, placed: list[Any]) -> None:
    result = run("build", *SMALL, "--clock", 45)
    assert result.exit_code == 0
    assert {file.name for file in (here / "build" / "ulx3s-25f").iterdir()} == {
        "relaxon.bit", "report.json", "nextpnr.log", "about.json",
    }  # fmt: skip
    assert "routed Fmax 50.6 MHz, clock 45 MHz, seed 1" in result.output
    assert re.search(r"RAM: \d+ of 56", result.output)
    assert run("build", *SMALL, "--clock", 45, "--out", "o").exit_code == 0
    assert len(placed) == 1, "the second time it is there already"


def test_a_bitstream_that_misses_timing_is_not_handed_out(here: Path, placed: list[Any]) -> None:
    result = run("build", *SMALL, "--clock", 62.5)
    assert result.exit_code == 7
    assert "the routed Fmax is 50.6 MHz, the clock 62.5 MHz" in result.output
    assert "--seeds 8, --clock 49" in " ".join(result.output.split())
    assert not (here / "build").exists()
    assert run("build", *SMALL, "--clock", 62.5, "--allow-timing-failure").exit_code == 0
    assert (here / "build" / "ulx3s-25f" / "relaxon.bit").is_file()
    assert run("flash", *SMALL, "--clock", 62.5).exit_code == 7


def test_of_several_seeds_the_fastest_is_kept(here: Path, placed: list[Any]) -> None:
    result = run("build", *SMALL, "--clock", 50, "--seed", 5, "--seeds", 3)
    assert [seed for _, seed in placed] == [5, 6, 7]
    assert "routed Fmax 56.6 MHz, clock 50 MHz, seed 7" in result.output


def test_report_writes_all_figures(here: Path, placed: list[Any]) -> None:
    result = run("report", *SMALL, "--clock", 45, "--json", "deep/r.json")
    assert result.exit_code == 0
    figures = json.loads((here / "deep" / "r.json").read_text())
    assert set(figures) >= REQUIRED
    assert all(set(pair) == {"used", "available"} for pair in figures["resources"].values())
    assert figures["timing_met"] is True and figures["tools"] == {"nextpnr": "0"}
    assert f"{figures['samples_per_second_link']:,} at 3,000,000 baud" in result.output
    assert "met" in result.output and "energy, estimated" in result.output


def test_a_machine_that_cannot_fit_is_refused_before_anything_runs(placed: list[Any]) -> None:
    result = run("build", "ulx3s-25f", "--modules", 60, "--lanes", 8)
    assert result.exit_code == 2 and not placed
    assert "cannot fit" in result.output and "would fit" in result.output


def test_sizes_reach_the_machine(placed: list[Any]) -> None:
    sizes = ("--neurons", 24, "--inputs", 30, "--lanes", 8, "--classes", 5, "--store", "column")
    assert run("build", "ulx3s-45f", *sizes, "--clock", 40, "--baud", 115200).exit_code == 0
    ((design, _),) = placed
    config = design.config
    assert (config.modules, config.neurons, config.inputs, config.classes) == (1, 24, 30, 5)
    assert (config.lanes, config.store, design.baud) == (8, "column", 115200)
    assert (design.clock_hz, config.registers.gate_enable) == (40_000_000, 0)


def test_what_cannot_be_is_refused(here: Path) -> None:
    for arguments, code, message in (
        (("build", "no-such-board"), 2, "no board is called"),
        (("build", "./mine.py"), 2, "is not there"),
        (("build", "ulx3s-25f", "--network", "huge"), 2, "has no network"),
        (("build", "ulx3s-25f", "--clock", 87.3), 2, "cannot make 87.3 MHz"),
        (("build", "ulx3s-25f", "--baud", 30_000_000), 2, "baud"),
        (("flash", "ulx3s-25f"), 3, "make it with relaxon build ulx3s-25f"),
        (("flash", "ulx3s-25f", "--bitstream", "x.bit"), 3, "x.bit is not there"),
    ):
        result = run(*arguments)
        assert result.exit_code == code, arguments
        assert message in " ".join(result.output.split()), arguments


def test_flash_says_what_it_would_run(monkeypatch: pytest.MonkeyPatch, placed: list[Any]) -> None:
    monkeypatch.setattr("relaxon.boards.flash.program", lambda: "openFPGALoader")
    result = run("flash", *SMALL, "--dry-run")
    assert result.exit_code == 0 and "is not there yet" in " ".join(result.output.split())
    run("build", *SMALL, "--clock", 45)
    result = run("flash", *SMALL, "--clock", 45, "--dry-run", "--permanent")
    (line,) = result.stdout.splitlines()
    assert line.startswith("openFPGALoader --board ulx3s --write-flash ")
    assert Path(line.split()[-1]).is_file()


def test_boards_lists_all_of_them_and_what_is_built(placed: list[Any]) -> None:
    result = run("boards")
    assert result.exit_code == 0
    assert all(name in result.output for name in registry.targets())


def test_verilog_is_written(here: Path) -> None:
    sizes = ("--modules", 2, "--neurons", 8, "--inputs", 12, "--lanes", 8)
    assert run("verilog", *sizes, "-o", "deep/core.sv", "--name", "mine").exit_code == 0
    assert "module mine(" in (here / "deep" / "core.sv").read_text()


def test_an_interrupt_leaves_nothing_behind(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def interrupted(what: str) -> Any:
        yield
        if what == "elaborating the gateware":
            raise KeyboardInterrupt

    monkeypatch.setattr(cli_boards, "_step", interrupted)
    monkeypatch.setattr(Design, "files", lambda self: {"top.il": "", "top.lpf": ""})
    assert run("build", *SMALL).exit_code == cli.INTERRUPTED
    assert not list((here / "cache").glob("*/[!.]*")) and not (here / "build").exists()
