"""Power-up registers fit every machine: it opens, tests itself and verifies on every board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import random_couplings, random_samples
from typer.testing import CliRunner

from relaxon import Board, Config, Couplings, Registers, checkpoint, cli, verify
from relaxon.boards.parts import ICE40_UP5K
from relaxon.config import _nearest as nearest
from relaxon.config import default_registers, power_up_registers
from relaxon.errors import ConfigError
from relaxon.hw.core import Core
from relaxon.linkboard import LinkBoard
from relaxon.protocol import CHIP_COUNTERS
from relaxon.selftest import Script
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.netlist import netlist
from relaxon.sim.reference import ReferenceBoard
from relaxon.sim.selftest import expected
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.verilate import library_of

SHIFTS = ("input_shift", "feedback_shift", "recurrent_shift")
"""In the order in which they become less."""


def narrowest(config: Config) -> Config:
    """The same machine with the fewest field bits that its registers fit."""
    for bits in range(8, config.field_bits):
        try:
            return config.replace(field_bits=bits)
        except ConfigError:
            pass
    return config


def weak(registers: Registers, **changes: int) -> Registers:
    """Registers with all shifts and J_D at 0."""
    return registers.replace(**dict.fromkeys(SHIFTS, 0), self_coupling=0, margin=40, **changes)


def tight(store: str, **sizes: int) -> Config:
    """A small machine with as few field bits as its weakest registers need."""
    config = Config(classes=3, store=store, **sizes)
    return narrowest(config.replace(registers=weak(config.registers)))


MACHINES = {
    "many-inputs": Config.preset(
        "paper", neurons=64, inputs=784, lanes=8, registers={"input_shift": 0}
    ),
    # hardly any room for J_D
    "tight": tight("skewed", modules=2, neurons=25, inputs=18, lanes=8, weight_bits=3),
    # J's shift is too large
    "tight-column": tight(
        "column", modules=3, neurons=4, inputs=5, lanes=8, weight_bits=7, recurrent_bits=3
    ),
}
"""Machines whose fields hold their own registers and not the papers'."""


# ---- the registers ------------------------------------------------------------------------------


@st.composite
def machines(draw: st.DrawFn) -> Config:
    """Any machine there can be: both stores, any registers, any `field_bits` that hold these."""
    sizes = {}
    for name, (low, high) in Config.LIMITS.items():
        if name == "modules":
            high = 15  # so many of the largest are allowed
        sizes[name] = draw(st.integers(low, min(low + 40, high)) | st.integers(low, high))
    store = draw(st.sampled_from(("skewed", "column")))
    registers = draw(strengths(store))
    fitting = []
    for bits in range(8, 33):
        try:
            fitting.append(Config(**sizes, store=store, registers=registers, field_bits=bits))
        except ConfigError:
            pass
    if not fitting:  # the fields would need more than 32 bits
        registers = weak(registers, chain_coupling=0)
        fitting = [narrowest(Config(**sizes, store=store, registers=registers))]
    return fitting[0] if draw(st.booleans()) else draw(st.sampled_from(fitting))


@st.composite
def strengths(draw: st.DrawFn, store: str | None = None) -> Registers:
    """Any registers of a store, or for a start: no chain, and neither J_D nor the margin below 0."""
    shift = st.just(0) | st.integers(0, 7)
    word = st.integers(0, 23).flatmap(lambda bits: st.integers((1 << bits) // 2, (1 << bits) - 1))
    if store is not None:
        word |= word.map(lambda value: -value)
    return Registers(
        **{name: draw(shift) for name in SHIFTS}, self_coupling=draw(word),
        chain_coupling=draw(word) if store == "skewed" else 0, margin=draw(word),
        readout_margin_true=0, readout_margin_false=0,
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(machines())
def test_every_machine_has_power_up_registers_that_fit(config: Config) -> None:
    found, papers = power_up_registers(config), default_registers(config)
    config.check_registers(found)
    assert found == power_up_registers(config.replace(registers=found)), "the structure decides"
    assert found == nearest(config, papers)
    assert Script(config).registers == found


@settings(max_examples=600, deadline=None)
@given(machines(), strengths())
def test_registers_change_no_more_than_they_must(config: Config, wanted: Registers) -> None:
    found = nearest(config, wanted)
    config.check_registers(found)
    try:
        config.check_registers(wanted)
    except ConfigError:
        assert found != wanted
    else:
        assert found == wanted
    changed = [n for n, value in wanted.as_dict().items() if getattr(found, n) != value]
    assert set(changed) <= {*SHIFTS, "self_coupling", "margin"}
    assert all(0 <= getattr(found, name) < getattr(wanted, name) for name in changed)
    before: dict[str, int] = {}
    for name in SHIFTS:
        value = getattr(found, name)
        if name in changed:
            more = wanted.replace(**before, **{name: value + 1})
            assert config.field_bound(more) > config.field_max, f"{name} could be one more"
        before[name] = value
    for name in ("self_coupling", "margin"):
        if name in changed:
            more = found.replace(margin=0).replace(**{name: getattr(found, name) + 1})
            with pytest.raises(ConfigError):
                config.check_registers(more)


def test_machines_of_more_than_32_field_bits_are_refused() -> None:
    """IDENTITY and the counter `field_envelope` have no room for more."""
    config = Config(neurons=4, inputs=4096, weight_bits=16)
    with pytest.raises(ConfigError, match="field_bits must be 8 to 32, not 35"):
        Config(neurons=4, inputs=4096, weight_bits=16,
               registers=config.registers.replace(input_shift=7))  # fmt: skip


# ---- boards -------------------------------------------------------------------------------------


def same(board: Board, model: Board) -> None:
    """All that either has learned and counted."""
    assert not any(board.couplings().differences(model.couplings()).values())
    assert np.array_equal(board.read("state"), model.read("state"))
    counted, counts = board.counters(), model.counters()
    assert {n: counted[n] for n in CHIP_COUNTERS} == {n: counts[n] for n in CHIP_COUNTERS}


def trained_alike(board: Board, config: Config, samples: int) -> None:
    """The board learns what the model learns, from couplings at the ends of their ranges on."""
    with ModelBoard(config) as model:
        x, y = random_samples(config, samples, seed=7)
        for each in (board, model):
            each.load(random_couplings(config, seed=6))
            each.clear_counters()
        got, want = board.train(x, y), model.train(x, y)
        for name, values in vars(want).items():
            assert np.array_equal(getattr(got, name), values), name
        same(board, model)
        assert model.counters()["updates"] > 0
        assert np.array_equal(board.scores(x[:20]), model.scores(x[:20]))


@pytest.mark.parametrize("name", MACHINES)
def test_such_machines_are_what_they_seem(name: str) -> None:
    config = MACHINES[name]
    with pytest.raises(ConfigError, match="holds fields up to"):
        config.check_registers(default_registers(config))
    with pytest.raises(ConfigError):
        config.replace(field_bits=config.field_bits - 1)


@pytest.mark.parametrize("name", MACHINES)
def test_the_simulated_board_starts_with_its_power_up_registers(name: str) -> None:
    config = MACHINES[name]
    with LinkBoard(SimulatedTransport(config)) as board:  # writes none of its own
        assert board.config == config.replace(registers=power_up_registers(config))
        trained_alike(board, board.config, 40)


@pytest.mark.parametrize("name", MACHINES)
def test_the_simulated_board_opens_tests_itself_and_learns_like_the_model(name: str) -> None:
    config = MACHINES[name]
    with Board.open("sim", config) as board:
        assert board.registers == config.registers
        tested = board.self_test()
        assert tested.passed and tested.signature == expected(config).signature
        assert board.registers == config.registers
        trained_alike(board, config, 60)
        assert board.self_test() == tested


def test_a_netlist_tests_itself_and_learns_like_the_model() -> None:
    config = MACHINES["tight-column"]
    core = Core(config, self_test=expected(config).signature)
    path = library_of(netlist(core, ICE40_UP5K))
    with LinkBoard(SimulatedTransport(path=path), config) as board:
        assert board.self_test().passed
        trained_alike(board, config, 40)


def record(path: Path, config: Config, samples: int) -> None:
    """A recorded run, made by the reference model."""
    start = Couplings.fresh(config, 1)
    x, y = random_samples(config, samples, seed=2)
    with ReferenceBoard(config) as reference:
        reference.load(start)
        prediction = reference.train(x, y).prediction
        learned, state = reference.couplings(), reference.read("state")
        after = reference.infer(x[:20]).prediction
    assert any(learned.differences(start).values())
    checkpoint.save(
        path, config, start, x=x, y=y, prediction=prediction, state_out=state,
        prediction_after=after, recurrent_out=learned.recurrent, input_out=learned.input,
        readout_out=learned.readout,
    )  # fmt: skip


@pytest.mark.parametrize("board", ["model", "sim"])
@pytest.mark.parametrize("name", MACHINES)
def test_their_recorded_runs_verify(name: str, board: str, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    record(file, MACHINES[name], 40)
    result = CliRunner().invoke(cli.app, ["verify", str(file), "--board", board])
    assert result.exit_code == 0, result.output
    findings = verify.replay(Board.open(board, MACHINES[name]), verify.load_run(file))
    assert len(findings) == 7 and all(finding.agrees for finding in findings)
