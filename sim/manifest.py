"""A folder's manifest: the hash and size of every file in it, by which damage is found before use.

What was cut off by a full disk or a power cut, and what has changed by a single bit, does not get as
far as the loader of a library, which would crash. It is no protection against malice.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

NAME = "manifest.json"
"""The file that lists all others."""


def seal(folder: Path) -> None:
    """Write the manifest of a folder, and all of it to the disk. OSError where that fails."""
    files, folders = {}, [folder]
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            folders.append(path)
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        name = path.relative_to(folder).as_posix()
        files[name] = {"sha256": digest, "size": path.stat().st_size}
    with (folder / NAME).open("w", encoding="utf-8") as manifest:
        json.dump({"files": files}, manifest, indent=1)
        manifest.flush()
        os.fsync(manifest.fileno())
    for path in reversed(folders):
        sync(path)


def sync(folder: Path) -> None:
    """Write a folder itself, which is the names in it, to the disk."""
    with suppress(OSError):  # some file systems cannot; the manifest then tells what is missing
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def sealed(folder: Path) -> bool:
    """Whether a folder is there, and has a manifest that can be read."""
    try:
        with (folder / NAME).open("rb"):
            return True
    except OSError:
        return False


def damage(folder: Path) -> str | None:
    """What is not as it was when the folder was sealed; None if everything is."""
    try:
        listed = json.loads((folder / NAME).read_bytes())["files"]
        files = [(name, file["size"], file["sha256"]) for name, file in listed.items()]
    except OSError as error:
        return f"{NAME}: {error.strerror}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"{NAME} cannot be understood"
    for name, size, digest in files:
        try:
            with (folder / name).open("rb") as file:
                if os.fstat(file.fileno()).st_size != size:
                    return f"{name} has another size"
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return f"{name} has another content"
        except OSError as error:
            return f"{name}: {error.strerror}"
        except ValueError:  # a name that no file can have
            return f"{NAME} cannot be understood"
    return None
