"""What docs/embedding.md says of ports, registers and lamps is what the gateware has."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from relaxon import Config
from relaxon.boards.embedding import EXAMPLE, MEANING, Port, ports
from relaxon.hw.core import MEMBERS, STATUS, Core
from relaxon.hw.verilog import emit, for_icarus
from relaxon.hw.wishbone import STATE
from relaxon.sim.compiler import find_verilator
from relaxon.sim.testbench.runner import NO_ICARUS, has_icarus

CONFIG = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)


@pytest.fixture(scope="module")
def core() -> str:
    """The Verilog that the example embeds."""
    return emit(Core(CONFIG, self_test=1), "relaxon")


def declared(verilog: str, module: str) -> set[Port]:
    """The ports of a module, as its Verilog declares them."""
    (body,) = re.findall(rf"^module {module}\((.*?)^endmodule", verilog, re.DOTALL | re.MULTILINE)
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+) ?;", body, re.MULTILINE)
    return {Port(name, direction, int(high or 0) + 1) for direction, high, name in found}


def test_the_ports_are_those_of_the_verilog(core: str):
    assert set(ports(MEMBERS)) == declared(core, "relaxon")
    assert [port.name for port in ports(MEMBERS)] == list(MEANING)


def test_the_bits_of_status_are_where_the_page_says():
    assert [STATUS[name].offset for name in STATUS.members] == [0, 1, 2, 3, 4]
    assert list(STATUS.members) == ["learning", "testing", "passed", "failed", "error"]
    assert (STATE["available"].offset, STATE["idle"].offset, STATE["status"].offset) == (0, 1, 2)


def lint(folder: Path, example: str, core: str) -> str:
    """What Verilator has to say of the example."""
    (folder / "example.v").write_text(example)
    (folder / "relaxon.v").write_text(core)
    verilator = find_verilator()
    done = subprocess.run(
        [verilator.binary, "--lint-only", "-Wall", "-Wno-fatal", "--top-module", "example",
         "example.v", "relaxon.v"],
        cwd=folder, env={**os.environ, "VERILATOR_ROOT": str(verilator.root)}, timeout=120,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    return "".join(line for line in said.splitlines(True) if ": example.v:" in line) + (
        said if done.returncode else ""
    )


def test_the_example_is_without_fault(core: str, tmp_path: Path):
    assert lint(tmp_path, EXAMPLE, core) == ""


@pytest.mark.parametrize(
    "right, wrong",
    [
        (".status(status)", ".lamps(status)"),
        ("output [4:0] status", "output [3:0] status"),
        (".idle(idle), ", ""),
    ],
)
def test_a_fault_in_the_example_would_be_found(core: str, tmp_path: Path, right: str, wrong: str):
    assert right in EXAMPLE
    assert lint(tmp_path, EXAMPLE.replace(right, wrong), core) != ""


def test_icarus_takes_the_example(core: str, lacking, tmp_path: Path):
    if not has_icarus():
        lacking(NO_ICARUS)
    (tmp_path / "all.v").write_text(EXAMPLE + for_icarus(core))
    command = ["iverilog", "-g2012", "-Wall", "-s", "example", "-o", "example.vvp", "all.v"]
    subprocess.run(command, cwd=tmp_path, timeout=120, check=True, capture_output=True)
