"""What is built is named after all the sources that it is made from, and after nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relaxon import Config, build_id, sources
from relaxon.boards import flow, registry
from relaxon.boards.design import Design
from relaxon.boards.target import Network
from relaxon.errors import ToolError
from relaxon.sim import cache
from relaxon.sim.verilate import library

ROOT = Path(__file__).parent.parent
CONFIG = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
OUTSIDE = ("sw/cli.py", "sw/linkboard.py", "sw/transport.py", "sim/simulated.py", "boards/report.py")
"""Some of the many files that decide nothing of what is built."""


def forget() -> None:
    """Read all sources anew."""
    for name in ("_modules", "_closure", "_file", "_read", "_imports"):
        getattr(sources, name).cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder ``relaxon``, still empty, in which the sources are looked for."""
    folder = tmp_path / "relaxon"
    folder.mkdir()
    monkeypatch.setattr(sources, "tree", lambda: sources.tree_in(folder))
    forget()
    yield folder
    forget()


@pytest.fixture
def copy(package: Path) -> Path:
    """A copy of the whole package, laid out as it is installed."""
    for name, folder in (("", "sw"), ("hw", "hw"), ("sim", "sim"), ("boards", "boards")):
        shutil.copytree(
            ROOT / folder, package / name, dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )  # fmt: skip
    return package


def write(package: Path, **files: str) -> None:
    """Modules, by their names with ``__`` for each dot; packages end in ``_``."""
    for name, text in files.items():
        parts = name.removesuffix("_").split("__")
        path = package.joinpath(*parts)
        path = path / "__init__.py" if name.endswith("_") else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# ---- the closure --------------------------------------------------------------------------------


def test_imports_are_followed_wherever_they_stand(package: Path) -> None:
    (package / "__init__.py").write_text("")
    write(
        package,
        hw_="", sim_="from relaxon import beside\n", boards_="",
        hw__core="""
import os.path
import relaxon.a as other, relaxon.sim.deep.below
from relaxon import b, Name
from relaxon.c import (
    anything,  # a comment
)

class Core:
    def method(self):
        if self:
            from relaxon.d import something
        try:
            import relaxon.e
        except ImportError:
            from relaxon import f
        else:
            import relaxon.g
        finally:
            import relaxon.h
        match self:
            case 1:
                import relaxon.i
        return lambda: 0
""",
        a="", b="", c="import relaxon.hw.core\n", d="", e="", f="", g="", h="", i="", beside="",
        sim__deep_="from . import near\nfrom .near import x\nfrom .. import far\n", sim__deep__below="",
        sim__deep__near="from ..other import y\n", sim__far="", sim__other="", unused="",
        hw__alone="",
    )  # fmt: skip
    found = sources.closure("relaxon.hw.core")
    assert list(found) == sorted(found)
    assert set(found) == {
        "sw/__init__.py", "hw/__init__.py", "hw/core.py", *(f"sw/{name}.py" for name in "abcdefghi"),
        "sim/__init__.py", "sw/beside.py", "sim/deep/__init__.py", "sim/deep/below.py",
        "sim/deep/near.py", "sim/far.py", "sim/other.py",
    }  # fmt: skip
    assert all(found[name].is_file() for name in found)
    assert sources.modules("relaxon.hw") == ("relaxon.hw", "relaxon.hw.alone", "relaxon.hw.core")
    left = sources.closure("relaxon.hw.core", but=["relaxon.sim.deep.below", "relaxon.c"])
    in_sim = {name for name in found if name.startswith("sim/")}
    assert set(found) - set(left) == in_sim | {"sw/beside.py", "sw/c.py"}


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_what_only_type_checkers_see_is_not_imported(package: Path, condition: str) -> None:
    (package / "__init__.py").write_text("")
    text = f"if {condition}:\n    import relaxon.a\nelse:\n    import relaxon.b\n"
    write(package, m=text, a="", b="")
    assert set(sources.closure("relaxon.m")) == {"sw/__init__.py", "sw/b.py", "sw/m.py"}


@pytest.mark.parametrize(
    "text",
    [
        'import relaxon.a\n"""\nclass of words\n"""\nX = 1\ndef f():\n    pass\n',
        '"""import\nclass of words\n"""\nfrom relaxon import a\n',
        "def f():\n    pass\n\nimport relaxon.a",
        "async def f():\n    import relaxon.a\n",
        "@print\nclass C:\n    import relaxon.a\n\n\nclass D:\n    pass\n",
        "if True: import relaxon.a; x = 1\n",
    ],
)
def test_no_form_of_a_file_hides_an_import(package: Path, text: str) -> None:
    (package / "__init__.py").write_text("")
    write(package, m=text, a="")
    assert "sw/a.py" in sources.closure("relaxon.m")


def test_an_import_in_a_text_is_none(package: Path) -> None:
    (package / "__init__.py").write_text("")
    write(package, m='"""An example::\n\n    import relaxon.a\n"""\n\n\ndef f():\n    pass\n', a="")
    assert "sw/a.py" not in sources.closure("relaxon.m")


def test_a_module_that_is_not_there_is_named(package: Path) -> None:
    (package / "__init__.py").write_text("")
    write(package, m="from relaxon.gone import x\n")
    with pytest.raises(ToolError, match="module relaxon.gone is imported and not there"):
        sources.closure("relaxon.m")
    with pytest.raises(ToolError, match="package relaxon.hw is not there"):
        sources.modules("relaxon.hw")


# ---- what is built ------------------------------------------------------------------------------


class Asked(Exception):
    """The cache was asked for something, by this name."""


def board_key(monkeypatch: pytest.MonkeyPatch) -> str:
    """What the simulated board is kept under."""

    def entry(kind: str, name: str, *_: object, **__: object) -> Path:
        raise Asked(name)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "entry", entry)
        with pytest.raises(Asked) as asked:
            library(CONFIG)
    return str(asked.value)


def names(monkeypatch: pytest.MonkeyPatch) -> tuple[object, str, str]:
    """The build id, and the keys of the simulated board and of a board's netlist."""
    design = Design.of(registry.find("icebreaker"), Network(modules=2, neurons=4, lanes=4))
    return build_id.build_id(CONFIG), board_key(monkeypatch), flow._netlist_key(design)


def test_every_source_that_matters_changes_the_names_and_no_other(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateware = build_id.sources()
    signature = sources.closure("relaxon.sim.selftest", but=build_id.ASIDE)
    design = sources.closure("relaxon.boards.design", but=build_id.ASIDE)
    assert {"sw/cycles.py", "sw/settings.py", "sw/config.py", "hw/core.py"} <= set(gateware)
    assert {"sim/model.py", "sim/twin.py", "sim/memory.py", "sw/framing.py"} <= set(signature)
    assert {"boards/shell.py", "boards/families.py", "boards/target.py", "sim/model.py"} <= set(design)
    before = names(monkeypatch)
    wrong, others = [], []
    for path in sorted(copy.rglob("*.py")):
        local = path.relative_to(copy).as_posix()
        name = local if local.startswith(("hw/", "sim/", "boards/")) else f"sw/{local}"
        text = path.read_bytes()
        path.write_bytes(text + b"\n# a comment\n")
        forget()
        matters = (name in gateware, name in {**gateware, **signature}, name in {**gateware, **design})
        if matters != tuple(a != b for a, b in zip(names(monkeypatch), before, strict=True)):
            wrong.append(name)
        if not any(matters):
            others.append(name)
        path.write_bytes(text)
    assert not wrong
    assert set(OUTSIDE) <= set(others)
    assert set(signature) <= {*gateware, *design}, "a board's signature is in what it is made from"


def test_a_new_module_of_the_gateware_changes_the_build_id(copy: Path) -> None:
    before = build_id.build_id(CONFIG)
    (copy / "hw" / "fresh.py").write_text("")
    forget()
    assert build_id.build_id(CONFIG) != before


def test_line_ends_do_not_matter(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(monkeypatch)
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    forget()
    assert names(monkeypatch) == before


def test_a_copy_is_named_like_the_original(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = names(monkeypatch)
    monkeypatch.undo()
    assert names(monkeypatch) == there


# ---- what Python does ---------------------------------------------------------------------------

IMPORT_ALL = "import importlib\nfor name in {names}: importlib.import_module(name)"
PLAY_SELF_TEST = """
from relaxon.config import Config
from relaxon.sim.selftest import expected
for store in ("skewed", "column"):
    expected(Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4, store=store))
"""
MAKE_DESIGN = """
from relaxon.boards.design import Design
from relaxon.boards.icebreaker import BOARDS
from relaxon.boards.target import Network
Design.of(BOARDS[0], Network(modules=2, neurons=4, lanes=4)).files()
"""
LOADED = """
import sys
print(*(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "relaxon"), sep="\\n")
"""


def loaded(program: str) -> set[Path]:
    """The files of the package that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program + LOADED], capture_output=True, text=True, timeout=120, check=True
    )
    return {Path(line) for line in done.stdout.splitlines()}


def aside() -> set[Path]:
    """What is left out."""
    return {file.path for name in build_id.ASIDE if (file := sources._file(sources.tree(), name))}


def test_the_closure_is_what_python_imports_with_the_gateware() -> None:
    program = IMPORT_ALL.format(names=sources.modules(build_id.GATEWARE))
    assert loaded(program) == set(build_id.sources().values())


def test_no_more_than_the_closure_decides_the_signature() -> None:
    found = sources.closure("relaxon.sim.selftest", but=build_id.ASIDE)
    assert loaded(PLAY_SELF_TEST) - aside() == set(found.values())


def test_no_more_than_the_closure_and_the_boards_own_file_decide_what_is_synthesised() -> None:
    pytest.importorskip("amaranth_boards")
    found = set(sources.closure("relaxon.boards.design", but=build_id.ASIDE).values())
    files = loaded(MAKE_DESIGN) - aside()
    own = {path for path in files if path.name == "icebreaker.py"}
    assert len(own) == 1
    assert files - own <= found | set(build_id.sources().values())
