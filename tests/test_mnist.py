"""Real digits on the simulated chip, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from relaxon.cli import app


def test_two_thousand_entangled_digits_train_exactly_as_on_the_model(
    data_folder: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    command = (
        f"train --board sim --data mnist:{data_folder / 'mnist'} --entangle 100 --preset paper "
        f"--neurons 256 --lanes 32 --samples 2000 --epochs 1 --seed 0 --check "
        f"--out {tmp_path} --json {figures}"
    )
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["equal_to_model"] is True
    assert found["train_samples"] == 2000
    assert found["test_accuracy"] > 0.6
    assert found["saturations"] > 0
    assert found["cycles_per_sample"] > found["cycles_per_inference"] > 0
