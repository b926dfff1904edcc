"""Every experiment runs, repeats itself on the simulated board, and goes on after a crash."""

from __future__ import annotations

import json
import os
import signal
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from relaxon.cli import app
from relaxon.data import Dataset
from relaxon.errors import ConfigError, DataError, LinkError
from relaxon.experiments import (
    NAMES,
    TOLD,
    Form,
    bare,
    find,
    learner,
    question,
    results,
    sweep,
)
from relaxon.experiments.baselines import (
    LINEAR,
    STRENGTHS,
    binarised_mlp,
    linear,
    mlp_of,
    mlp_parameters,
)
from relaxon.experiments.entropy import annealed
from relaxon.experiments.lab import VALIDATION, Lab
from relaxon.experiments.learner import at_limit, machine, trainable
from relaxon.experiments.relaxation import Network, random_state
from relaxon.greys import Thermometer
from relaxon.settings import PRESETS
from relaxon.sim.model import Model
from relaxon.training import Run

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with sweep.workers(Lab(), count=1) as client:
        yield client


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The datasets where they lie; elsewhere scikit-learn's digits of 8 × 8 in their place, each
    pixel four times as wide and high, over and over, in the same files: a smoke form asks no more."""
    datasets = ROOT.parent / "shared" / "data"
    if datasets.is_dir():
        return datasets
    digits = load_digits()
    x = np.kron(digits.images.astype(np.uint8), np.ones((1, 4, 4), np.uint8))[:, 2:30, 2:30] * 15
    y = digits.target.astype(np.uint8)
    for name in ("mnist", "fashion-mnist"):
        folder = tmp_path_factory.getbasetemp() / "data" / name
        folder.mkdir(parents=True)
        for part, many in (("train", VALIDATION + 1000), ("t10k", 500)):
            rows = np.arange(many) % len(x)
            for kind, array in (("images-idx3", x[rows]), ("labels-idx1", y[rows])):
                header = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
                (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return folder.parent


@pytest.fixture
def lab(images: Path) -> Lab:
    return Lab(data=images)


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_comes_to_a_table_a_figure_and_a_verdict(
    name: str, lab: Lab, client: Client, tmp_path: Path
) -> None:
    script = find(name)
    swept = sweep.Sweep(name, script.points(Form.SMOKE), tmp_path)
    assert swept.run(lab, client) == []
    assert swept.missing() == []
    assert results.write(name, script, swept.frame(), tmp_path)
    table = pd.read_csv(tmp_path / f"{name}-table.csv")
    assert len(table) and len(pd.read_csv(tmp_path / f"{name}.csv")) == len(swept.frame())
    assert (tmp_path / f"{name}.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("name", NAMES)
def test_a_point_of_every_experiment_is_identical_on_the_simulated_board(
    name: str, lab: Lab, tmp_path: Path
) -> None:
    script = find(name)
    point = next(p for p in script.points(Form.SMOKE) if p.get("learner") != LINEAR)
    point = bare(point)
    measured = sweep.measure(name, point, lab)
    swept = sweep.Sweep(name, [point], tmp_path)
    swept.keep(point, *measured)
    kept = sweep.load(swept.file(point))
    assert sweep.repeat(name, kept, replace(lab, board="sim")) == []


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("name", NAMES)
def test_points_are_plain_and_differ(name: str, form: Form) -> None:
    points = find(name).points(form)
    assert len({json.dumps(point) for point in points}) == len(points)
    assert all(json.loads(json.dumps(point)) == point for point in points)
    assert all("seed" in point for point in points)
    assert question(find(name)).endswith("?")


def test_unknown_experiments_are_refused() -> None:
    with pytest.raises(ConfigError, match="experiment must be one of size, .*, not 'sise'"):
        find("sise")


# ---- the sweep ----------------------------------------------------------------------------------

POINT = dict(seed=0, modules=1, neurons=3, self_coupling=0.5, chain_coupling=0.0, networks=1)


def test_finished_points_are_not_measured_again(client: Client, tmp_path: Path) -> None:
    first = sweep.Sweep("entropy", [POINT], tmp_path)
    assert first.run(Lab(), client) == []
    written = first.file(POINT).stat().st_mtime_ns
    both = sweep.Sweep("entropy", [POINT, POINT | {"seed": 1}], tmp_path)
    assert both.missing() == [POINT | {"seed": 1}]
    done: list[int] = []
    assert both.run(Lab(), client, done.append) == []
    assert done == [1] and first.file(POINT).stat().st_mtime_ns == written
    assert list(both.frame()["seed"]) == [0, 1]


def test_points_that_are_equal_but_for_what_is_told_are_measured_once(
    client: Client, tmp_path: Path
) -> None:
    named = [POINT | {TOLD: dict(equal=equal)} for equal in ("neurons", "memory")]
    both = sweep.Sweep("entropy", named, tmp_path)
    assert both.missing() == [POINT] and len(both) == 1
    done: list[int] = []
    assert both.run(Lab(), client, done.append) == []
    assert done == [1] and both.missing() == []
    frame = both.frame()
    assert list(frame["equal"]) == ["neurons", "memory"]
    assert frame["key"].nunique() == 1 and frame["fixed_points"].nunique() == 1
    assert sweep.load(both.file(named[0]))["point"] == POINT


def test_a_point_that_fails_does_not_stop_the_others(client: Client, tmp_path: Path) -> None:
    wrong = POINT | {"neurons": 1}
    swept = sweep.Sweep("entropy", [wrong, POINT], tmp_path)
    (line,) = swept.run(Lab(), client)
    assert line.startswith(str(wrong)) and "neurons must be 2 to 4096" in line
    assert swept.missing() == [wrong]


def test_a_damaged_point_is_named(tmp_path: Path) -> None:
    swept = sweep.Sweep("entropy", [POINT], tmp_path)
    swept.keep(POINT, [{"fixed_points": 1}], 0.1, {})
    path = swept.file(POINT)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match=f"{path.name} is no finished point"):
        swept.frame()


def test_a_missing_scheduler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PATIENCE", 0.5)
    with pytest.raises(LinkError, match="no dask scheduler at tcp://127.0.0.1:9"):
        with sweep.workers(Lab(), "tcp://127.0.0.1:9"):
            pass


def test_a_scheduler_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PATIENCE", 2.0)
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        with pytest.raises(LinkError, match="has no workers: start `dask worker"):
            with sweep.workers(Lab(), cluster.scheduler_address):
                pass


def test_a_real_board_is_not_shared_by_a_cluster() -> None:
    with pytest.raises(ConfigError, match="board serial:x is one"):
        with sweep.workers(Lab(board="serial:x"), "tcp://127.0.0.1:9"):
            pass


def test_what_a_killed_worker_was_doing_is_begun_again(tmp_path: Path) -> None:
    """The only worker dies when the first of three points is finished."""
    points = [POINT | {"neurons": 8, "networks": 80, "seed": n} for n in range(3)]
    swept, victims = sweep.Sweep("entropy", points, tmp_path), []

    def kill(done: int) -> None:
        if victims:
            os.kill(victims.pop(), signal.SIGKILL)

    with sweep.workers(Lab(), count=1) as client:
        (pid,) = client.run(os.getpid).values()
        victims.append(pid)
        assert swept.run(Lab(), client, kill) == []
        assert pid not in client.run(os.getpid).values()
    assert swept.missing() == []


def test_an_interrupted_machine_is_no_result(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    monkeypatch.setattr(learner, "train", lambda *_: Run(interrupted=True))
    script = find("stability")
    with pytest.raises(KeyboardInterrupt):
        script.measure(script.points(Form.SMOKE)[0], lab)


def test_points_of_other_sources_are_told_apart(tmp_path: Path) -> None:
    points = [POINT, POINT | {"seed": 1}]
    swept = sweep.Sweep("entropy", points, tmp_path)
    for point, git in zip(points, ("a", "b"), strict=True):
        swept.keep(point, [{"fixed_points": 1, "config": {}}], 0.1, {"board": "model", "git": git})
    assert swept.origins() == {("model", "a"), ("model", "b")}
    assert list(swept.frame().columns) == ["key", *POINT, "fixed_points"]


def test_what_a_repetition_finds_is_told(tmp_path: Path) -> None:
    figures, *_ = sweep.measure("entropy", POINT, Lab())
    kept: dict[str, Any] = {"point": POINT, "figures": figures}
    assert sweep.repeat("entropy", kept, Lab()) == []
    kept["figures"][0]["fixed_points"] += 1
    (line,) = sweep.repeat("entropy", kept, Lab())
    assert line.startswith("row 0: fixed_points is ")


# ---- the command --------------------------------------------------------------------------------


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["experiment", *arguments])


def test_the_command_lists_every_experiment() -> None:
    told = command("list").output
    assert all(name in told and question(find(name)) in told for name in NAMES)


def test_the_command_runs_and_repeats_a_point(tmp_path: Path) -> None:
    ran = command("entropy", "--smoke", "--out", str(tmp_path), "--workers", "1")
    assert ran.exit_code == 0, ran.output
    folder = tmp_path / "smoke" / "entropy"
    assert (folder / "entropy-table.csv").exists()
    point = next((folder / "points").glob("*.json"))
    again = command("entropy", "--smoke", "--out", str(tmp_path), "--repeat", point.stem)
    assert again.exit_code == 0 and "IDENTICAL" in again.output
    kept = json.loads(point.read_text())
    kept["figures"][0]["fixed_points"] += 1
    point.write_text(json.dumps(kept))
    again = command("entropy", "--smoke", "--out", str(tmp_path), "--repeat", point.stem)
    assert again.exit_code == 1 and "differs" in again.output


def test_the_command_needs_no_workers_where_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("entropy", "--smoke", "--out", str(tmp_path), "--workers", "1").exit_code == 0
    monkeypatch.setattr(sweep, "workers", None)
    again = command("entropy", "--smoke", "--out", str(tmp_path))
    assert again.exit_code == 0 and "2 points, 2 finished before" in again.output


def test_points_of_one_board_do_not_pass_for_another_s(tmp_path: Path) -> None:
    assert command("entropy", "--smoke", "--out", str(tmp_path), "--workers", "1").exit_code == 0
    told = command("entropy", "--smoke", "--out", str(tmp_path), "--board", "sim")
    assert told.exit_code and "measured on model" in " ".join(told.output.split())


def test_a_repetition_that_no_board_takes_part_in_says_so(images: Path, tmp_path: Path) -> None:
    point = dict(learner=LINEAR, task="mnist", inputs=100, samples=200, tested=200, seed=0)
    swept = sweep.Sweep("few-shot", [point], tmp_path / "smoke" / "few-shot")
    swept.keep(point, *sweep.measure("few-shot", point, Lab(data=images)))
    told = command("few-shot", "--smoke", "--data", str(images), "--out", str(tmp_path),
                   "--repeat", swept.file(point).stem, "--board", "sim")  # fmt: skip
    assert told.exit_code == 0 and "no machine takes part" in told.output
    told = command("few-shot", "--smoke", "--data", str(images), "--out", str(tmp_path),
                   "--repeat", swept.file(point).stem, "--workers", "2")  # fmt: skip
    assert told.exit_code and "leave out --scheduler and --workers" in " ".join(told.output.split())


def test_workers_of_a_cluster_are_asked_for_the_data(client: Client, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="worker tcp.*mnist is missing"):
        sweep.look(client, Lab(data=tmp_path), {"mnist"})


def test_missing_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mnist is missing: --data must name a folder"):
        Lab(data=tmp_path).dataset("mnist", 0)
    told = command("chain", "--smoke", "--data", str(tmp_path), "--out", str(tmp_path))
    assert told.exit_code and "points)" not in told.output  # before anything is begun


# ---- what they stand on -------------------------------------------------------------------------


def test_a_network_relaxes_as_written_down() -> None:
    """By hand: s ← sign(J s + J_D s) until nothing turns."""
    with Network.open(Lab(), neurons=12, seed=3, self_coupling=0.8) as net:
        recurrent = net.board.couplings().recurrent[0].astype(int)
        own = net.board.registers.self_coupling
        rng = np.random.default_rng(0)
        for _ in range(20):
            start = random_state(rng, net.shape)
            s, sweeps = start[0].astype(int), 0
            while sweeps < 100:
                new = np.where(recurrent @ s + own * s >= 0, 1, -1)
                if (new == s).all():
                    break
                s, sweeps = new, sweeps + 1
            end, taken = net.relax(start)
            assert (end[0] == s).all() and sweeps < 100
            assert taken == sweeps
            assert net.is_fixed(end) and net.is_fixed(start) == (taken == 0)


def test_the_annealed_entropy_counts_what_it_says() -> None:
    """A sum over all states of products of chances, with no use made of their symmetry."""
    from itertools import product

    from scipy.stats import norm

    for modules, h, own, chain in ((1, 5, 0.4, 0.0), (2, 3, 0.3, 0.7)):
        total = 0.0
        for state in product((-1, 1), repeat=modules * h):
            s = np.array(state).reshape(modules, h)
            others = s[::-1] if modules == 2 else np.zeros_like(s)
            fields = (own * s + chain * others) * s / np.sqrt((h - 1) / h)
            total += float(norm.cdf(fields).prod())
        assert annealed(own, chain, modules, h) == pytest.approx(np.log(total) / (modules * h))


def test_a_point_makes_the_machine_it_names() -> None:
    point = dict(
        preset="patient", modules=3, neurons=20, weight_bits=6, gate=1.0, self_coupling=0.25,
        learn_input=0, sweeps_infer=7, seed=5, wiring="no recurrence",
    )  # fmt: skip
    made = machine(point, 50, 4)
    assert made.settings == replace(PRESETS["patient"], gate=1.0, self_coupling=0.25)
    config = made.config
    assert (config.modules, config.neurons, config.inputs, config.classes) == (3, 20, 50, 4)
    assert (config.weight_bits, config.readout_bits) == (6, 15)
    assert config.registers.sweeps_infer == 7
    assert config.registers.self_coupling == round(0.25 * made.settings.k(config))
    assert not made.couplings.recurrent.any() and made.couplings.input.any()
    assert trainable(config) == 60 * (19 + 4)
    limited = at_limit(config, replace(made.couplings, input=np.full((3, 20, 50), -31)))
    assert limited == dict(recurrent_at_limit=0, input_at_limit=1, readout_at_limit=0)


def dataset(n: int, rule: Any, seed: int = 0) -> Dataset:
    """Random bits, labelled by a rule, half of them for testing."""
    x = np.where(np.random.default_rng(seed).random((2 * n, 8)) < 0.5, -1, 1).astype(np.int8)
    y = rule(x).astype(np.uint8)
    return Dataset("made", x[:n], y[:n], x[n:], y[n:], (0, 1), Thermometer((0.0,)))


def test_the_mlp_learns_what_no_linear_readout_can() -> None:
    parity = dataset(2000, lambda x: x[:, 0] * x[:, 1] > 0)
    assert binarised_mlp(parity, 64, 60, 0) > 0.95
    assert linear(parity)["accuracy"] < 0.6


def test_a_linear_readout_is_regularised_as_held_out_samples_want_and_fitted_to_all() -> None:
    told = dataset(600, lambda x: x[:, 0] > 0)
    assert linear(told) == {"accuracy": 1.0, "strength": STRENGTHS[-1]}  # all do, the least suffices
    wrong = np.random.default_rng(1).random(240) < 0.4
    noisy = dataset(120, lambda x: (x[:, 0] > 0) ^ wrong)
    found = linear(noisy)
    assert found["strength"] == STRENGTHS[0]
    all_of_them = LogisticRegression(C=STRENGTHS[0]).fit(noisy.x_train, noisy.y_train)
    assert found["accuracy"] == all_of_them.score(noisy.x_test, noisy.y_test)
    one = replace(told, x_train=told.x_train[:2], y_train=np.array([0, 1], np.uint8))
    assert 0 <= linear(one)["accuracy"] <= 1  # nothing to choose by


def test_the_mlp_of_as_many_parameters_has_as_many() -> None:
    for parameters in (1000, 36_000, 145_000):
        hidden = mlp_of(parameters, 100, 10)
        assert abs(mlp_parameters(hidden, 100, 10) - parameters) <= 111 / 2 + 1


def test_relaxation_needs_what_the_model_offers() -> None:
    """W = 0, a state that is kept: the reference model does what `Network` says, too."""
    with Network.open(Lab(), neurons=10, seed=1, self_coupling=1.0) as net:
        start = random_state(np.random.default_rng(1), net.shape)
        end, _ = net.relax(start)
        reference = Model(net.board.config, net.board.couplings())
        reference.state = start
        reference.infer_one(np.ones(1, np.int8))
        assert (reference.state == end).all()




@pytest.mark.parametrize(("needed", "told"), [(99, 99), (100, 100), (101, None), (102, None)])
def test_a_hundred_sweeps_are_enough_and_one_more_is_too_many(needed: int, told: int | None) -> None:
    """A front that goes one neuron further with every sweep, along a line of `needed` neurons."""
    with Network.open(Lab(), neurons=needed + 1, seed=0, self_coupling=0.0) as net:
        recurrent = np.zeros((1, needed + 1, needed + 1), np.int16)
        recurrent[0, np.arange(1, needed + 1), np.arange(needed)] = 1
        net.board.write("recurrent", recurrent)
        start = np.full(net.shape, -1, np.int8)
        start[0, 0] = 1  # nobody pulls it: its field is 0, which is +
        assert net.relax(start)[1] == told


def test_overlaps_and_parts_are_those_of_hand_made_rows() -> None:
    common = dict(kicked="end", self_coupling=1.0, neurons=10, starts=2, turned=1)
    rows = [
        common | dict(network=0, agreeing=20, fixed=2, same=1),
        common | dict(network=1, agreeing=10, fixed=0, same=0),
    ]
    (row,) = find("kicks").table(pd.DataFrame(rows)).to_dict("records")
    assert (row["kick"], row["overlap"], row["returned"], row["fixed_pairs"]) == (0.1, 0.5, 0.5, 2)
    assert row["error"] == pytest.approx(0.5)
    common = dict(kind="synchronous", neurons=100, self_coupling=0.6, starts=4)
    rows = [common | dict(network=n, reached=r, sweeps=10 * r) for n, r in enumerate((4, 0))]
    (row,) = find("fixed-points").table(pd.DataFrame(rows)).to_dict("records")
    assert (row["fraction"], row["error"], row["mean_sweeps"], row["relaxations"]) == (0.5, 0.5, 10, 8)


def test_the_verdict_on_size_is_of_the_largest_machine_not_of_the_luckiest() -> None:
    common = dict(task="mnist", inputs=100, neurons=32, seed=0)
    rows = [
        common | dict(learner="relaxon", modules=m, trainable=m, accuracy=a)
        for m, a in ((4, 0.90), (64, 0.88))
    ]
    rows.append(dict(task="mnist", inputs=100, learner=LINEAR, trainable=9, accuracy=0.8, seed=0))
    told = find("size").verdict(pd.DataFrame(rows))
    assert told == "Entangled MNIST, N = 100: 64 × 32 reaches 0.880 (linear readout 0.800)"


def test_capacity_ends_where_recall_first_falls_short() -> None:
    common = dict(shape="one module", modules=1, neurons=64, seed=0, unstable=0)
    recalled = ((100, 100), (200, 160), (400, 200), (800, 640))
    rows = [common | dict(patterns=p, recalled=r, recalled_best=r) for p, r in recalled]
    (row,) = find("capacity").table(pd.DataFrame(rows)).to_dict("records")
    assert row["recalled_90"] == 150 and row["recalled_99"] == 105
    assert (row["dip_at"], row["dip"], row["beyond_it"]) == (400, 0.5, 0.8)
    (row,) = find("capacity").table(pd.DataFrame(rows[:1])).to_dict("records")
    assert row["recalled_90"] == 100  # all that were tried
    (row,) = find("capacity").table(pd.DataFrame(rows[2:3])).to_dict("records")
    assert row["recalled_90"] == 0


def test_codes_are_named_after_their_bits() -> None:
    common = dict(seed=0, task="fashion", accuracy=0.8)
    rows = [common | dict(levels=2, learner="relaxon"), common | dict(levels=2, learner=LINEAR)]
    rows += [common | dict(inputs=784, learner="relaxon")]
    table = find("codes").table(pd.DataFrame(rows))
    assert list(table["code"]) == ["pixels, 2 levels", "pixels, 2 levels", "784 projections"]
    told = find("codes").verdict(pd.DataFrame(rows[:2]))
    assert told == "Fashion-MNIST: pixels, 2 levels 0.800 (linear 0.800)"


def test_what_a_figure_is_of_is_written_below_it() -> None:
    frame = pd.DataFrame(dict(seed=[0, 1], samples=[10, None], tested=[200, 200], epochs=[3, 3]))
    told = results.images(frame)
    assert told == (
        "2 seeds, error bars: ± their standard deviation; 10 to 60\u202f000 training images, "
        "3 epochs; 200 test images"
    )
    held_out = results.images(pd.DataFrame(dict(seed=[0], split=["validation"])))
    assert held_out == "1 seed; 50\u202f000 training images; 10\u202f000 validation images"


def test_every_panel_of_the_ablation_shows_its_accuracies() -> None:
    common = dict(machine="32 × 32, gated", seed=0, accuracy=0.8)
    rows = [common | dict(axis="switch", value=name) for name in ("preset", "J frozen")]
    rows += [common | dict(axis="J_D / K", value=v, accuracy=a) for v, a in ((0, 0.2), (0.5, 0.8))]
    figure = Figure()
    find("ablation").draw(pd.DataFrame(rows), figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["preset", "J frozen"]
    assert figure.axes[1].get_ylim() == (0, 1)
