"""Verilog for other flows says at its head what it is and what its ports are."""

from __future__ import annotations

import re

import pytest

from relaxon import Config
from relaxon.boards.generic import generic_verilog
from relaxon.errors import ConfigError

CONFIG = Config.preset("modules", modules=2, neurons=8, inputs=12, classes=3, lanes=8)


@pytest.mark.parametrize("component, streams", [("core", True), ("top", False)])
def test_every_port_is_explained_at_the_head(component: str, streams: bool) -> None:
    text = generic_verilog(CONFIG, component, name="mine", clock_hz=48_000_000, baud=1_000_000)  # type: ignore[arg-type]
    head, _, rest = text.partition("\n\n")
    assert all(line.startswith("//") for line in head.splitlines())
    explained = re.findall(r"^// ([a-z_]+)(?:\[(\d+):0\])? +(input|output) +\S", head, re.MULTILINE)
    (body,) = re.findall(r"^module mine\(.*?^endmodule", rest, re.DOTALL | re.MULTILINE)
    declared = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+) ?;", body, re.MULTILINE)
    assert {(d, bits, name) for name, bits, d in explained} == set(declared)
    assert ("rx__payload" in head) is streams
    assert "2 x 8 neurons, 12 inputs, 3 classes, 8 lanes" in head and "48 MHz" in head


def test_a_line_rate_that_the_clock_cannot_make_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot make 3000000 baud"):
        generic_verilog(CONFIG, "top", name="mine", clock_hz=10_000_000, baud=3_000_000)
