"""Boards of the foundation: the gateware and model before fields survived between samples.

It is a revision of this repository, unpacked into ``build/``. Its boards run in a process of their
own (`serve`, at the end of this file, is what runs there), beside today's.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

REVISION = "74ec424f3d239a4c03ec802e8a1b3119152d6dca"
ROOT = Path(__file__).resolve().parent.parent


class Foundation:
    """A board of the foundation with fresh couplings, behind the calls of `relaxon.board.Board`.

    Parameters
    ----------
    url
        As for `Board.open`: ``model`` or ``sim``.
    preset, sizes
        As for `Config.preset`.
    seed
        Of the couplings.
    """

    def __init__(self, url: str, preset: str, sizes: dict[str, int], seed: int):
        environment = os.environ | {"PYTHONPATH": str(unpacked() / "package")}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment,
        )  # fmt: skip
        self._ask(url, preset, sizes, seed)

    def train(self, x: Any, y: Any) -> Any:
        """`Board.train`."""
        return self._ask("train", x, y)

    def infer(self, x: Any) -> Any:
        """`Board.infer`."""
        return self._ask("infer", x)

    def counters(self) -> dict[str, int]:
        """`Board.counters`."""
        counters: dict[str, int] = self._ask("counters")
        return counters

    def load(self, couplings: Any) -> None:
        """`Board.load`."""
        self._ask("load", couplings)

    def couplings(self) -> Any:
        """`Board.couplings`."""
        return self._ask("couplings")

    def _ask(self, *request: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump(request, self._process.stdin)
        self._process.stdin.flush()
        try:
            return pickle.load(self._process.stdout)
        except EOFError:
            raise SystemExit("the foundation's process ended; its error is above") from None

    def __enter__(self) -> Foundation:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def present() -> bool:
    """Whether the revision is unpacked, or in this repository."""
    return _folder().is_dir() or not _git("cat-file", "-e", f"{REVISION}^{{commit}}").returncode


def unpacked() -> Path:
    """The folder of the foundation, whose folder ``package`` has its package `relaxon`."""
    folder = _folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name) / "made"
        tree, package = made / "tree", made / "package" / "relaxon"
        archive = Path(name) / "tree.tar"
        if _git("archive", "-o", str(archive), REVISION).returncode:
            raise SystemExit(
                f"this copy of the repository lacks the revision {REVISION[:7]} to compare with; "
                "a shallow copy gets it with: git fetch --unshallow"
            )
        with tarfile.open(archive) as tar:
            tar.extractall(tree, filter="data")
        package.mkdir(parents=True)
        for path in (*tree.joinpath("sw").iterdir(), *(tree / n for n in ("hw", "sim", "boards"))):
            (package / path.name).symlink_to(Path("../..") / path.relative_to(made))
        made.rename(folder)
    return folder


def _folder() -> Path:
    return ROOT / "build" / f"foundation-{REVISION[:7]}"


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)


# ---- in its process -----------------------------------------------------------------------------


def serve() -> None:
    """Open a board of the `relaxon` that is on the path; call its methods as asked on stdin."""
    from relaxon import Config, Couplings
    from relaxon.board import Board

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed must not come between the answers
    url, preset, sizes, seed = pickle.load(sys.stdin.buffer)
    config = Config.preset(preset, **sizes)
    with Board.open(url, config) as board:
        board.load(Couplings.fresh(config, seed, preset))
        answer = None
        while True:
            pickle.dump(answer, answers)
            answers.flush()
            try:
                method, *arguments = pickle.load(sys.stdin.buffer)
            except EOFError:
                break
            answer = getattr(board, method)(*arguments)


if __name__ == "__main__":
    serve()
