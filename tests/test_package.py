"""The package is what the tree holds, and its parts import downwards only."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {
    "relaxon": "sw", "relaxon.experiments": "sw/experiments", "relaxon.hw": "hw", "relaxon.sim": "sim",
    "relaxon.sim.testbench": "sim/testbench", "relaxon.boards": "boards",
}  # fmt: skip

FLOOR = {"baud", "protocol", "errors", "config", "layout", "couplings", "cycles", "selftest",
         "settings"}  # fmt: skip
"""What everything may stand on."""


def imports(path: Path) -> set[str]:
    """Full names of the modules a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(names: set[str]) -> set[str]:
    """The modules of the package `relaxon` itself (not its subpackages) among names."""
    files = {path.stem for path in (ROOT / "sw").glob("*.py")}
    parts = {name.split(".")[1] for name in names if name.startswith("relaxon.")}
    return parts & files


def test_packages_are_the_folders_of_the_tree() -> None:
    assert SETTINGS["package-dir"] == FOLDERS
    assert set(SETTINGS["packages"]) == set(FOLDERS)
    for folder in FOLDERS.values():
        nested = {str(path.parent.relative_to(ROOT)) for path in (ROOT / folder).glob("**/*.py")}
        assert nested <= set(FOLDERS.values()), "a package that pyproject.toml does not list"


@pytest.mark.parametrize("path", sorted((ROOT / "hw").glob("*.py")), ids=lambda p: p.stem)
def test_gateware_imports_nothing_of_the_driver(path: Path) -> None:
    names = imports(path)
    # verilog.py runs Yosys, for which it shares the helper of the other tools.
    allowed = FLOOR | ({"tools"} if path.stem == "verilog" else set())
    assert own(names) <= allowed
    assert not [n for n in names if n.startswith(("relaxon.sim", "relaxon.boards"))]


@pytest.mark.parametrize("path", sorted((ROOT / "sw").glob("*.py")), ids=lambda p: p.stem)
def test_driver_never_imports_amaranth(path: Path) -> None:
    assert not [n for n in imports(path) if n.startswith(("amaranth", "relaxon.hw"))]


def test_model_imports_numpy_and_the_ground_floor_only() -> None:
    names = imports(ROOT / "sim" / "model.py")
    foreign = {n.split(".")[0] for n in names} - {"relaxon"} - set(sys.stdlib_module_names)
    assert foreign <= {"numpy"}
    assert own(names) <= FLOOR


def test_protocol_needs_the_standard_library_only() -> None:
    names = imports(ROOT / "sw" / "protocol.py")
    assert {n.split(".")[0] for n in names} <= set(sys.stdlib_module_names)


def test_wheel_holds_every_file(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT],
        check=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = set()
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder).iterdir():
            if path.suffix in (".py", ".cpp", ".v", ".typed"):
                wanted.add(f"{package.replace('.', '/')}/{path.name}")
    assert wanted <= held
