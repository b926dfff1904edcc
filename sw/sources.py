"""Which source files a module is made from: its own and, one after another, all that they import.

What is built of gateware is named after these files (`relaxon.build_id`, the keys of the caches), so
none of them may be forgotten. Nothing is imported to find them: the sources are parsed, so that
neither Amaranth nor the gateware is needed. Every file is read once in a process, like a module that
is imported: what is built then, and what it is named after, are of one age.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from relaxon.errors import ToolError

Tree = tuple[tuple[str, Path], ...]
"""Folders of the package, and their names in the repository."""
HERE = "sw"
"""The folder of the package `relaxon` itself; those of other names are the packages in it."""
PACKAGES = ("boards", "hw", "sim")
"""Packages that have a folder of their own in the repository."""

_WORD = re.compile(rb"\bimport\b")
_DEFINITION = re.compile(rb"^(?:class|def|async|@)", re.MULTILINE)


class _Import(NamedTuple):
    """`from module import names`, where `level` is the number of dots before the module's name."""

    level: int
    module: str
    names: tuple[str, ...] = ()


@cache
def tree() -> Tree:
    """Where the package lies, in a checkout or installed. `ToolError` if a part of it is missing."""
    found = [(HERE, Path(__file__).parent)]
    for name in PACKAGES:
        spec = importlib.util.find_spec(f"relaxon.{name}")
        if spec is None or not spec.submodule_search_locations:
            raise ToolError(f"the package relaxon.{name} is not installed; reinstall relaxon")
        found.append((name, Path(spec.submodule_search_locations[0])))
    return tuple(found)


def tree_in(package: Path) -> Tree:
    """The same for a copy of the whole package in one folder, ``…/relaxon``."""
    return ((HERE, package), *((name, package / name) for name in PACKAGES))


def modules(package: str) -> tuple[str, ...]:
    """The names of a package, of all modules in it, and of those in the packages in it."""
    return _modules(tree(), package)


def closure(*roots: str, but: Iterable[str] = ()) -> dict[str, Path]:
    """The files of these modules, of all modules of `relaxon` that they import, and so on.

    Imports inside functions count, too, as do the packages that a module is in. What stands under
    ``if TYPE_CHECKING:`` does not, for it is never imported.

    Parameters
    ----------
    roots
        Names of modules, such as ``relaxon.hw.core``.
    but
        Modules that are left out, and followed no further.

    Returns
    -------
    dict
        The files, by names that are the same on every machine ("hw/core.py"), sorted by these.

    Raises
    ------
    ToolError
        A module that is imported is not there.
    """
    return dict(_closure(tree(), roots, tuple(but)))


def contents(*roots: str, but: Iterable[str] = ()) -> bytes:
    """Names and contents of a `closure`, with the line ends of every system made equal."""
    return _contents(tree(), roots, tuple(but))


class _File(NamedTuple):
    name: str
    path: Path


@cache
def _modules(tree: Tree, package: str) -> tuple[str, ...]:
    found = _file(tree, package)
    if found is None or found.path.name != "__init__.py":
        raise ToolError(f"the package {package} is not there; reinstall relaxon")
    folder, names = found.path.parent, {package}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        names.add(".".join((package, *parts)).removesuffix(".__init__"))
    return tuple(sorted(names))


def _contents(tree: Tree, roots: tuple[str, ...], but: tuple[str, ...]) -> bytes:
    files = _closure(tree, roots, but)
    return b"\0".join(part for name, path in files for part in (name.encode(), _read(path)))


@cache
def _closure(tree: Tree, roots: tuple[str, ...], but: tuple[str, ...]) -> tuple[_File, ...]:
    found: set[_File] = set()
    seen, waiting = set(but), [*roots]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        file = _file(tree, module)
        if file is None:
            raise ToolError(f"the module {module} is imported and not there; reinstall relaxon")
        found.add(file)
        waiting += _needed(tree, module, file.path)
    return tuple(sorted(found))


def _needed(tree: Tree, module: str, path: Path) -> Iterator[str]:
    """The modules of `relaxon` that a module imports, and the packages that these and it are in."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    if "." in module:
        yield module.rpartition(".")[0]
    for level, target, names in _imports(path):
        if level:
            above = package.split(".")[: len(package.split(".")) - level + 1]
            target = ".".join([*above, target] if target else above)
        if target.partition(".")[0] != "relaxon":
            continue
        yield target
        # A name that is imported from a package may be a module in it.
        yield from (f"{target}.{name}" for name in names if _file(tree, f"{target}.{name}"))


@cache
def _file(tree: Tree, module: str) -> _File | None:
    """The file of a module or of a package; None if there is none of that name."""
    folders, parts = dict(tree), module.split(".")[1:]
    folder = parts.pop(0) if parts and parts[0] in folders and parts[0] != HERE else HERE
    base = folders[folder].joinpath(*parts)
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if path.is_file() and (parts or path.name == "__init__.py"):
            return _File(f"{folder}/{path.relative_to(folders[folder]).as_posix()}", path)
    return None


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n")


@cache
def _imports(path: Path) -> tuple[_Import, ...]:
    """What a file imports."""
    found = []
    for node in _statements(_parsed(_read(path)).body):
        if isinstance(node, ast.Import):
            found += [_Import(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append(_Import(node.level, node.module or "", names))
    return tuple(found)


def _parsed(text: bytes) -> ast.Module:
    """The syntax of a file as far as it may import anything.

    That is a tenth of the time for all of it. Without the word "import" nothing is imported, so what
    follows the last one does not matter from the next class or function on.
    """
    words = [word.end() for word in _WORD.finditer(text)]
    end = _DEFINITION.search(text, words[-1]) if words else None
    if end is not None:
        try:
            return ast.parse(text[: end.start()])
        except SyntaxError:  # what looked like a definition is a line of a text
            pass
    return ast.parse(text)


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All statements, also those inside others, but for what only type checkers see."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            if name == "body" and isinstance(node, ast.If) and _for_types(node.test):
                continue
            inner = getattr(node, name, None)
            if isinstance(inner, list):  # the body of a lambda is no list
                yield from _statements(inner)


def _for_types(test: ast.expr) -> bool:
    """Whether a condition is `TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"
