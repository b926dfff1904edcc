"""Finds boards: every module of this folder that says ``BOARDS``, and files of a user's own."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

from relaxon.boards.target import Target
from relaxon.errors import ConfigError

_DEFINES = re.compile(r"^BOARDS\b", re.MULTILINE)


@cache
def targets() -> dict[str, Target]:
    """The boards of this folder, by name."""
    found: dict[str, Target] = {}
    package = importlib.import_module(__package__)
    for path in sorted(Path(package.__path__[0]).glob("*.py")):
        if not _DEFINES.search(path.read_text(encoding="utf-8")):
            continue
        for target in _boards_of(importlib.import_module(f"{__package__}.{path.stem}")):
            if target.name in found:
                raise ConfigError(f"two boards are called {target.name}")
            found[target.name] = target
    return dict(sorted(found.items()))


def find(name: str) -> Target:
    """The board of that name, or the one in that file (anything that ends in ``.py``).

    A file with several boards is followed by a colon and the board's name. `ConfigError` if there is
    no such board, no such file, or no board in it.
    """
    file, _, which = name.rpartition(":") if ".py:" in name else (name, "", "")
    if file.endswith(".py"):
        return _pick(_from_file(Path(file)), which, file)
    known = targets()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"no board is called {name!r}{meant} (known: {', '.join(known)}; "
        "a file of your own: ./my_board.py)"
    )


def _from_file(path: Path) -> dict[str, Target]:
    if not path.is_file():
        raise ConfigError(f"{path} is not there")
    spec = importlib.util.spec_from_file_location(f"relaxon_board_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    return {target.name: target for target in _boards_of(module)}


def _pick(boards: dict[str, Target], which: str, file: str) -> Target:
    if not boards:
        raise ConfigError(f"{file} has no board: it must say BOARDS = [Target(…)]")
    if which in boards:
        return boards[which]
    if which or len(boards) > 1:
        raise ConfigError(
            f"{file} has the boards {', '.join(boards)}: name one as {file}:{next(iter(boards))}"
        )
    return next(iter(boards.values()))


def _boards_of(module: ModuleType) -> list[Target]:
    boards = getattr(module, "BOARDS", [])
    if not all(isinstance(board, Target) for board in boards):
        raise ConfigError(f"{module.__name__}: BOARDS must be a list of Target")
    return list(boards)
