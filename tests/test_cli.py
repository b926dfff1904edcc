"""The commands do what they say, write what they promise, and end with the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from recorded import GOLDEN, Recorded

from relaxon import Config, Couplings, checkpoint, doctor
from relaxon.board import Board
from relaxon.errors import ConfigError
from relaxon.linkboard import LinkBoard
from relaxon.protocol import CHIP_COUNTERS, PHASES
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.selftest import expected
from relaxon.sim.twin import Twin, TwinTransport

TINY = next(path for path in GOLDEN if path.stem == "tiny-h8-n5")


@pytest.fixture(autouse=True)
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """Every command runs in a folder of its own, without plots unless a test asks for them."""
    monkeypatch.chdir(tmp_path)
    if "plots" not in request.fixturenames:
        monkeypatch.setattr("relaxon.plots.plot_accuracy", lambda *_: None)
        monkeypatch.setattr("relaxon.plots.plot_couplings", lambda *_: None)
    return tmp_path


@pytest.fixture
def plots() -> None:
    """Asks for plots."""


SMALL = ("--modules", 2, "--neurons", 8, "--samples", 200, "--epochs", 2)


@pytest.fixture
def trained(here: Path) -> Path:
    """A checkpoint of a small machine, trained on digits with seed 3."""
    assert run("train", *SMALL, "--seed", 3, "--out", here / "run").exit_code == 0
    return here / "run" / "couplings.npz"


# ---- train --------------------------------------------------------------------------------------


def test_train_writes_couplings_figures_and_plots(here: Path, plots: None):
    result = run("train", *SMALL, "--check", "--baseline", "--out", "o", "--json", "deep/f.json")
    assert result.exit_code == 0
    assert "EQUAL, bit for bit" in result.output
    assert {path.name for path in (here / "o").iterdir()} == {
        "couplings.npz", "metrics.json", "accuracy.png", "couplings.png",
    }  # fmt: skip
    figures = json.loads((here / "deep" / "f.json").read_text())
    assert figures == json.loads((here / "o" / "metrics.json").read_text())
    for name in (
        "test_accuracy", "cycles_per_sample", "cycles_per_inference", "samples_per_second",
        "saturations", "readout_saturations", "field_bits_used", "largest_field_bound",
        "wall_samples_per_second", "baseline_accuracy", "weight_memory_busy",
    ):  # fmt: skip
        assert figures[name] is not None, name
    assert set(figures["cycles_per_phase"]) == set(PHASES)
    cycles = sum(figures["cycles_per_phase"].values())
    assert cycles == pytest.approx(figures["cycles_per_sample"])
    assert f"{figures['weight_memory_busy']:.1%} of these cycles" in result.output
    assert (figures["train_samples"], figures["samples_trained"], figures["epochs"]) == (200, 400, 2)
    assert figures["equal_to_model"] is True and figures["differences"] == {}
    assert (figures["preset"], figures["board"], figures["data"]) == ("modules", "model", "digits")
    assert figures["config"]["modules"] == 2 and figures["config"]["inputs"] == 128
    assert figures["registers"]["gate_enable"] == 1
    assert set(figures["counters"]) == set(CHIP_COUNTERS)
    assert len(figures["accuracy_per_epoch"]["test"]) == 2
    assert f"{figures['test_accuracy']:.4f}" in result.output
    machine = checkpoint.load(here / "o" / "couplings.npz")
    assert machine.extra["labels"] == list(range(10)) and machine.extra["seed"] == 0
    assert (here / "o" / "accuracy.png").read_bytes()[:4] == b"\x89PNG"


def test_without_check_nothing_is_said_about_the_model(here: Path):
    assert run("train", *SMALL, "--json", "f.json", "--clock", 20).exit_code == 0
    figures = json.loads((here / "f.json").read_text())
    assert figures["equal_to_model"] is None and figures["baseline_accuracy"] is None
    assert figures["samples_per_second"] == pytest.approx(20e6 / figures["cycles_per_sample"])
    assert (here / "runs" / "digits-n128-2x8-model-seed0" / "couplings.npz").is_file()


def test_the_seed_decides_everything(here: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("train", *SMALL, "--seed", seed, "--out", name).exit_code == 0
    a, b, c = (checkpoint.load(here / name / "couplings.npz").couplings for name in "abc")
    assert not any(a.differences(b).values()) and a.differences(c)["input"] > 0


def test_sizes_and_projection_reach_the_machine(here: Path):
    sizes = ("--preset", "paper", "--neurons", 12, "--lanes", 8, "--entangle", 30)
    assert run("train", *sizes, "--samples", 50, "--epochs", 1, "--out", "o").exit_code == 0
    config = checkpoint.load(here / "o" / "couplings.npz").config
    assert (config.modules, config.neurons, config.lanes, config.inputs) == (1, 12, 8, 30)
    assert config.registers.gate_enable == 0


def test_the_store_decides_the_cycles_and_nothing_else(here: Path):
    figures, machines = {}, {}
    for store in ("column", "skewed", None):
        chosen = () if store is None else ("--store", store)
        assert run("train", *SMALL, *chosen, "--out", str(store)).exit_code == 0
        figures[store] = json.loads((here / str(store) / "metrics.json").read_text())
        machines[store] = checkpoint.load(here / str(store) / "couplings.npz")
        assert figures[store]["config"]["store"] == (store or "skewed")
        assert machines[store].config.store == (store or "skewed")
    column, skewed = figures["column"], figures["skewed"]
    assert not any(
        machines["column"].couplings.differences(machines["skewed"].couplings).values()
    )
    assert column["test_accuracy"] == skewed["test_accuracy"]
    assert column["cycles_per_sample"] > skewed["cycles_per_sample"]
    assert figures[None]["cycles_per_sample"] == skewed["cycles_per_sample"]


def test_a_board_that_errs_is_found_out(here: Path, monkeypatch: pytest.MonkeyPatch):
    """Exit code 1, and the results are there all the same."""

    class Faulty(ModelBoard):
        def couplings(self) -> Couplings:
            right = super().couplings()
            right.input[0, 0, 0] ^= 1
            return right

    boards = iter([Faulty, ModelBoard])
    monkeypatch.setattr(Board, "open", lambda url, config: next(boards)(config))
    result = run("train", *SMALL, "--check", "--out", "o")
    assert result.exit_code == 1
    assert "1 of 2,048 differ" in result.output and "NOT EQUAL" in result.output
    figures = json.loads((here / "o" / "metrics.json").read_text())
    assert figures["equal_to_model"] is False and figures["differences"] == {"input": 1}


def test_ctrl_c_writes_what_there_is_and_exits_130(here: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []

    def interrupted(self: ModelBoard, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    original = ModelBoard.train
    monkeypatch.setattr(ModelBoard, "train", interrupted)
    result = run("train", "--modules", 2, "--neurons", 8, "--check", "--out", "o", "--json", "f.json")
    assert result.exit_code == 130
    figures = json.loads((here / "f.json").read_text())
    assert figures["interrupted"] and figures["samples_trained"] == 500
    assert figures["test_accuracy"] is None and figures["equal_to_model"] is None
    machine = checkpoint.load(here / "o" / "couplings.npz")
    assert machine.extra["samples_trained"] == 500


def test_ctrl_c_while_comparing_keeps_the_results(here: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("relaxon.verify.against_model", interrupted)
    result = run("train", *SMALL, "--check", "--out", "o")
    assert result.exit_code == 130
    checkpoint.load(here / "o" / "couplings.npz")
    assert json.loads((here / "o" / "metrics.json").read_text())["equal_to_model"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "--data", "cifar"), 3, "data must be digits"),
        (("train", "--data", "mnist:nowhere"), 3, "nowhere has no train-images"),
        (("train", "--neurons", 1), 2, "neurons must be 2 to 4096, not 1"),
        (("train", "--samples", 10_000), 3, "samples must be 1 to"),
        (("train", "--board", "usb"), 2, "no such board 'usb'"),
        (("train", "--preset", "best"), 2, "'--preset'"),
        (("train", "--epochs", 0), 2, "'--epochs'"),
        (("train", "--samples", 9, "--epochs", 1, "--out", "taken"), 3, "taken cannot be made"),
        (("predict", "none.npz"), 3, "none.npz does not exist"),
        (("predict", TINY), 3, "name the samples with --data"),
        (("predict", TINY, "--data", "digits"), 3, r"x must have shape (n, 5), not (450, 128)"),
        (("verify", "none.npz"), 3, "none.npz does not exist"),
        (("info",), 2, "either a FILE or --board URL"),
        (("info", "--board", "model"), 2, "needs a configuration"),
        (("serve", "--tcp", "host"), 2, "[HOST:]PORT with a port"),
        (("selftest", "model"), 2, "needs a configuration"),
        (("selftest", "serial:/dev/none"), 4, "/dev/none"),
    ],
)
def test_expected_errors_are_one_message_and_an_exit_code_of_their_own(
    here: Path, arguments: tuple[object, ...], code: int, message: str
):
    (here / "taken").write_text("")
    result = run(*arguments)
    said = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, message in said) == (code, True), said
    assert "Traceback" not in result.output


# ---- the other commands -------------------------------------------------------------------------


def test_serve_offers_the_machine_asked_for(monkeypatch: pytest.MonkeyPatch):
    served: list[Config] = []
    monkeypatch.setattr("relaxon.sim.serve.serve", lambda config, **_: served.append(config))
    sizes = ("--neurons", 12, "--lanes", 8, "--store", "column", "--inputs", 30)
    assert run("serve", *sizes).exit_code == 0
    assert run("serve", "--neurons", 12).exit_code == 0
    first, second = served
    assert (first.store, first.neurons, first.lanes, first.inputs) == ("column", 12, 8, 30)
    assert second.store == "skewed"


def test_predict_repeats_the_test_of_the_training(trained: Path, here: Path):
    accuracy = json.loads((trained.parent / "metrics.json").read_text())["test_accuracy"]
    result = run("predict", trained, "--out", "p.csv", "--json", "f.json")
    assert result.exit_code == 0 and f"accuracy {accuracy:.4f} on 450 samples" in result.output
    lines = (here / "p.csv").read_text().splitlines()
    assert lines[0] == "index,predicted,label" and len(lines) == 451
    right = [line.split(",")[1] == line.split(",")[2] for line in lines[1:]]
    assert np.mean(right) == accuracy == json.loads((here / "f.json").read_text())["accuracy"]


def test_predict_codes_new_samples_as_in_training(trained: Path, here: Path):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    np.savez(here / "new.npz", x=images[:40])
    np.savez(here / "known.npz", x=images[:40], y=labels[:40])
    bare = run("predict", trained, "--data", "new.npz")
    assert bare.exit_code == 0
    predicted = [int(line) for line in bare.stdout.split()]
    known = run("predict", trained, "--data", "known.npz")
    accuracy = np.mean(np.array(predicted) == labels[:40])
    assert f"accuracy {accuracy:.4f} on 40 samples" in known.output


def test_info_shows_a_checkpoint(trained: Path):
    result = run("info", trained)
    assert result.exit_code == 0
    for word in ("modules", "self_coupling", "recurrent", "2 × 8 × 128", "test_accuracy"):
        assert word in result.output


def test_verify_accepts_recorded_runs(golden: Recorded):
    for store in ("column", "skewed"):
        file = golden.folder / f"{golden.name}.npz"
        result = run("verify", file, "--lanes", 8, "--store", store)
        if store == "column" and golden.config.registers.chain_coupling:
            assert result.exit_code == ConfigError.exit_code
            assert "a column store has no chain coupling" in result.output
        else:
            assert result.exit_code == 0 and "AGREES in everything recorded" in result.output


def test_verify_refuses_a_run_with_a_single_other_weight(here: Path):
    with np.load(TINY) as file:
        arrays = dict(file)
    arrays["input_out"] = arrays["input_out"].copy()
    arrays["input_out"][0, 2, 3] += 1
    np.savez(here / "other.npz", **arrays)
    result = run("verify", "other.npz")
    assert result.exit_code == 1
    assert "1 of 40 differ" in result.output and "DOES NOT AGREE" in result.output


@pytest.mark.parametrize(
    "measures, expects, code, said",
    [
        ("right", "right", 0, "PASSED"),
        ("right", "other", 1, "the board expects another signature"),
        ("wrong", "right", 1, "the board does not compute what the model does"),
        ("wrong", "wrong", 1, "the board does not compute what the model does"),
    ],
)
def test_selftest_believes_the_model_alone(
    monkeypatch: pytest.MonkeyPatch, measures: str, expects: str, code: int, said: str
):
    config = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
    right = expected(config).signature
    signatures = {"right": right, "other": right ^ 1, "wrong": right ^ 2}
    twin = Twin(config, about=b"board=some\n", self_test=signatures[expects])
    if measures == "wrong":
        monkeypatch.setattr(twin, "self_test", lambda: signatures["wrong"])
    monkeypatch.setattr(Board, "open", lambda url, config: LinkBoard(TwinTransport(twin)))
    result = run("selftest", "tcp:somewhere:1", "--timeout", 3)
    assert (result.exit_code, said in result.output) == (code, True), result.output
    assert f"the model's {right:#010x}" in result.output and "board some" in result.output


def test_info_shows_a_board_and_its_build(monkeypatch: pytest.MonkeyPatch):
    config = Config(modules=2, neurons=4, inputs=6, classes=3, lanes=4)
    twin = Twin(config, about=b"board=some\ngit=v1-dirty\n")
    monkeypatch.setattr(Board, "open", lambda url: LinkBoard(TwinTransport(twin)))
    result = run("info", "--board", "tcp:somewhere:1")
    assert result.exit_code == 0
    for word in ("git", "v1-dirty", "neurons", "weight_accesses"):
        assert word in result.output


def test_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    assert run("doctor").exit_code == 0
    monkeypatch.setitem(doctor.PACKAGES, "not-there-at-all", "this test")
    monkeypatch.setitem(doctor.PROGRAMS, "nor-this", ("nothing", "build it yourself"))
    result = run("doctor")
    assert result.exit_code == 1
    assert "MISSING not-there-at-all: for this test; pip install not-there-at-all" in result.output
    assert "nor-this: for nothing; build it yourself" in result.output


def test_the_packages_doctor_looks_for_are_those_the_project_needs():
    import tomllib

    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    wanted = {d.split(">")[0] for d in tomllib.loads(text)["project"]["dependencies"]}
    assert set(doctor.PACKAGES) == wanted


def test_the_console_script_answers_quickly_without_a_traceback():
    def script(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "relaxon.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "relaxon" in script("--version").stdout
    assert "train" in script("--help").stdout
    failed = script("verify", "none.npz")
    assert failed.returncode == 3 and failed.stderr.startswith("error: none.npz does not exist")


@pytest.mark.parametrize(
    ("sizes", "preset", "modules"),
    [
        (["--neurons", "9"], "paper", 1),
        (["--neurons", "9", "--modules", "2"], "modules", 2),
        (["--neurons", "9", "--preset", "modules"], "modules", 32),
    ],
)
def test_neurons_alone_mean_one_module(here: Path, sizes: list[str], preset: str, modules: int):
    result = run("train", "--samples", "20", "--epochs", "1", *sizes, "--json", "f.json")
    assert result.exit_code == 0, result.output
    figures = json.loads((here / "f.json").read_text())
    assert figures["preset"] == preset
    assert figures["config"]["modules"] == modules
