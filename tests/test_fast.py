"""The fast path and the board made of it equal the reference model in everything they tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recorded import Recorded, random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.board import Board
from relaxon.cycles import Activity
from relaxon.errors import ConfigError, DataError
from relaxon.layout import Layout
from relaxon.sim import kernel
from relaxon.sim.fast import FastModel
from relaxon.sim.model import Model, Result
from relaxon.sim.modelboard import CHUNK, ModelBoard


def assert_equal_run(
    model: Model, fast: FastModel, results: list[Result], ran: tuple[Any, Activity]
) -> None:
    """Results, activity, memory and counters of the two after the same samples."""
    outcomes, activity = ran
    for name in ("prediction", "learned", "sweeps", "unstable"):
        assert getattr(outcomes, name).tolist() == [getattr(r, name) for r in results], name
    for name, values in vars(activity).items():
        assert values.tolist() == [int(getattr(r.activity, name)[0]) for r in results], name
    for name, array in vars(fast.couplings).items():
        assert np.array_equal(array, getattr(model, name)), name
    assert np.array_equal(fast.state, model.state)
    assert fast.counters == model.counters


def random_machine(seed: int) -> Config:
    """A machine of random sizes, widths, lanes and registers; a third are chains, half gated, a third
    sequential."""
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    bits = draw(3, 12)
    sizes = dict(
        modules=draw(1, 12), neurons=draw(2, 24), inputs=draw(1, 40), classes=draw(2, 10),
        weight_bits=bits, readout_bits=draw(4, 14), lanes=draw(2, 40),
    )  # fmt: skip
    sizes["recurrent_bits"] = bits if draw(0, 1) else draw(3, 12)
    config = Config.preset(("paper", "modules")[draw(0, 1)], **sizes)
    k = round(config.k)
    return config.with_registers(
        recurrent_shift=draw(0, 3) if draw(0, 1) else 0,
        self_coupling=draw(-k // 4, k),
        chain_coupling=draw(-2 * k, 2 * k) if draw(0, 2) == 0 else 0,
        margin=draw(0, 3 * k),
        sweeps_clamped=draw(0, 4),
        sweeps_released=draw(0, 3),
        sweeps_infer=draw(0, 4),
        readout_step_true=draw(0, 9),
        readout_step_false=draw(0, 3),
        gate_enable=draw(0, 1),
        gate=draw(-10, 40),
        learn_recurrent=int(draw(0, 3) > 0),
        learn_input=int(draw(0, 3) > 0),
        learn_readout=int(draw(0, 3) > 0),
        keep_state=int(draw(0, 3) == 0),
        sequential=int(draw(0, 2) == 0),
    )


@pytest.mark.parametrize("seed", range(40))
def test_random_machines_train_and_infer_like_the_model(seed: int):
    config = random_machine(seed)
    start = random_couplings(config, seed) if seed % 2 else Couplings.fresh(config, seed)
    model, fast = Model(config, start), FastModel(config, start)
    x, y = random_samples(config, 60, seed)
    for part in (slice(0, 1), slice(1, 40)):
        results = [model.train_one(a, int(b)) for a, b in zip(x[part], y[part], strict=True)]
        assert_equal_run(model, fast, results, fast.train(x[part], y[part]))
    results = [model.infer_one(a) for a in x[40:50]]
    assert_equal_run(model, fast, results, fast.infer(x[40:50]))
    assert fast.scores(x[50:]).tolist() == [model.infer_one(a).scores.tolist() for a in x[50:]]
    assert fast.counters == model.counters


def test_random_machines_cover_what_matters():
    """Chains, gates that let through and that end samples, saturation, padding, each switch off, states
    that are kept, groups in turn."""
    seen = set()
    for seed in range(40):
        config = random_machine(seed)
        fast = FastModel(config, random_couplings(config, seed))
        outcomes, _ = fast.train(*random_samples(config, 60, seed))
        r, ended = config.registers, 60 - int(outcomes.learned.sum())
        seen |= {name for name in ("learn_recurrent", "learn_input", "learn_readout")
                 if not getattr(r, name)}  # fmt: skip
        seen |= {"keep_state"} if r.keep_state else set()
        layout = Layout(config)
        if r.sequential and layout.groups > 1 and r.sweeps_clamped:
            seen |= {"in turn, modules side by side" if layout.strips > 1 else "in turn"}
        seen |= {"chain"} if r.chain_coupling and config.modules > 2 else set()
        seen |= {"gate"} if 0 < ended < 60 else set()
        seen |= {"saturation"} if fast.counters["saturations"] > 1000 else set()
        seen |= {"readout"} if fast.counters["readout_saturations"] > 100 else set()
        seen |= {"padding"} if config.neurons % config.lanes else set()
        seen |= {"below"} if 2 * config.neurons <= config.lanes and config.modules > 3 else set()
    assert seen == {
        "learn_recurrent", "learn_input", "learn_readout", "chain", "gate", "saturation",
        "readout", "padding", "below", "keep_state", "in turn", "in turn, modules side by side",
    }  # fmt: skip


@pytest.mark.parametrize("sequential", [0, 1])
def test_a_state_that_is_written_is_relaxed_without_input(sequential: int):
    """W = 0: write a state, relax, read the state."""
    config = random_machine(3).with_registers(
        keep_state=1, sequential=sequential, sweeps_infer=3, chain_coupling=0
    )
    couplings = random_couplings(config, 3)
    couplings.input[:] = 0
    model, fast = Model(config, couplings), FastModel(config, couplings)
    x, _ = random_samples(config, 10, 3)
    rng, moved = np.random.default_rng(3), 0
    for one in x:
        state = rng.choice([-1, 1], fast.state.shape).astype(np.int8)
        fast.state, model.state = state, state
        model.invalidate()
        assert_equal_run(model, fast, [model.infer_one(one)], fast.infer(one[None]))
        moved += np.count_nonzero(fast.state != state)
    assert moved > 0


def test_registers_and_couplings_may_change_between_samples(tiny: Recorded):
    model, fast = Model(tiny.config, tiny.before), FastModel(tiny.config, tiny.before)
    for step, changes in enumerate(({"input_shift": 1}, {"margin": 400}, {"gate_enable": 1})):
        part = slice(20 * step, 20 * step + 20)
        x, y = tiny.x[part], tiny.y[part]
        model.registers = fast.registers = fast.registers.replace(**changes)
        results = [model.train_one(a, int(b)) for a, b in zip(x, y, strict=True)]
        assert_equal_run(model, fast, results, fast.train(x, y))
    fast.load(tiny.before)
    fresh = Model(fast.config, tiny.before)
    results = [fresh.train_one(a, int(b)) for a, b in zip(tiny.x[:30], tiny.y[:30], strict=True)]
    fast.set_counters({})
    assert_equal_run(fresh, fast, results, fast.train(tiny.x[:30], tiny.y[:30]))


# ---- the board ----------------------------------------------------------------------------------


def test_the_model_board_reproduces_recorded_runs(golden: Recorded):
    with ModelBoard(golden.config) as board:
        board.load(golden.before)
        assert np.array_equal(board.train(golden.x, golden.y).prediction, golden.prediction)
        assert board.couplings().differences(golden.after) == dict.fromkeys(Couplings.NAMES, 0)
        assert np.array_equal(board.read("state"), golden.state)
        n = len(golden.prediction_after)
        assert np.array_equal(board.infer(golden.x[:n]).prediction, golden.prediction_after)


def test_chunks_do_not_show_and_progress_counts_every_sample(golden: Recorded):
    board, whole, told = ModelBoard(golden.config), FastModel(golden.config, golden.before), []
    board.load(golden.before)
    outcomes = board.train(golden.x, golden.y, progress=told.append)
    expected, activity = whole.train(golden.x, golden.y)
    for name, values in vars(expected).items():
        assert np.array_equal(getattr(outcomes, name), values)
    assert board.activity is not None
    for name, values in vars(activity).items():
        assert np.array_equal(getattr(board.activity, name), values)
    assert board.counters() == whole.counters
    assert sum(told) == len(golden.x) and max(told) <= CHUNK
    scores = board.scores(golden.x)
    assert np.array_equal(scores.argmax(1), board.infer(golden.x).prediction)


def test_an_interrupted_run_can_be_read_and_continued(golden: Recorded):
    """Ctrl-C in the progress callback, the only place between two chunks where it can strike."""
    board, whole = ModelBoard(golden.config), FastModel(golden.config, golden.before)
    board.load(golden.before)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        board.train(golden.x, golden.y, progress=interrupt)
    done = board.counters()["samples"]
    assert done == CHUNK
    whole.train(golden.x[:done], golden.y[:done])
    assert board.couplings().differences(whole.couplings) == dict.fromkeys(Couplings.NAMES, 0)
    board.train(golden.x[done:], golden.y[done:])
    assert board.couplings().differences(golden.after) == dict.fromkeys(Couplings.NAMES, 0)


def test_samples_that_ran_before_an_interrupt_inside_a_chunk_are_counted(
    tiny: Recorded, monkeypatch: pytest.MonkeyPatch
):
    """A signal is handled when the kernel returns, before anything else is."""
    compiled, model = kernel.run, FastModel(tiny.config, tiny.before)
    expected = FastModel(tiny.config, tiny.before)
    expected.train(tiny.x[:7], tiny.y[:7])

    def struck(*arguments: Any) -> None:
        *memory_to_log, x, y, train = arguments
        compiled(*memory_to_log, x[:7], y[:7], train)
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel, "run", struck)
    with pytest.raises(KeyboardInterrupt):
        model.train(tiny.x, tiny.y)
    assert model.counters == expected.counters


def test_a_fresh_board_is_empty_and_state_and_arrays_are_written_and_read_back(tiny: Recorded):
    board: Board = ModelBoard(tiny.config)
    assert (board.read("state") == -1).all()
    assert not any(array.any() for array in vars(board.couplings()).values())
    for name in Couplings.NAMES:
        board.write(name, getattr(tiny.before, name))
        assert np.array_equal(board.read(name), getattr(tiny.before, name))
    state = -board.read("state")
    board.write("state", state)
    assert np.array_equal(board.read("state"), state) and board.read("state").dtype == np.int8
    board.infer(tiny.x[:3])
    board.clear_counters()
    assert not any(board.counters().values())
    registers = board.registers.replace(margin=3)
    board.registers = registers
    assert board.config.registers == registers


def test_what_a_read_returns_is_a_copy(tiny: Recorded):
    board = ModelBoard(tiny.config)
    board.load(tiny.after)
    for name in (*Couplings.NAMES, "state"):
        board.read(name)[:] = 0
        assert board.read(name).any()


def test_what_does_not_fit_is_refused(tiny: Recorded):
    board = ModelBoard(tiny.config)
    board.load(tiny.before)
    bad: list[tuple[Any, str]] = [
        (tiny.x[:, :4], r"x must have shape \(n, 5\), not \(300, 4\)"),
        (tiny.x[0], r"one sample is x\[None, :\]"),
        ((tiny.x + 1) // 2, "-1 and \\+1 only, but x\\[.*\\] is 0"),
        (tiny.x * 0.5, "-1 and \\+1 only"),
        (np.full((1, 5), np.nan), "-1 and \\+1 only, but x\\[0, 0\\] is nan"),
        (np.full((1, 5), "a"), "x must hold the numbers"),
    ]
    for x, message in bad:
        for call in (lambda x=x: board.infer(x), lambda x=x: board.train(x, tiny.y[: len(x)])):
            with pytest.raises(DataError, match=message):
                call()
    for y, message in (
        (tiny.y[:-1], r"y must have one label per sample, shape \(300,\)"),
        (tiny.y + 3, "y must lie in 0 to 2, but y"),
        (tiny.y.astype(int) - 5, "y must lie in 0 to 2, but y"),
        (tiny.y * 0.5, "y must hold integers"),
    ):
        with pytest.raises(DataError, match=message):
            board.train(tiny.x, y)
    with pytest.raises(DataError, match="must be one of recurrent"):
        board.read("weights")
    with pytest.raises(DataError, match="must be one of recurrent"):
        board.write("weights", [1])
    with pytest.raises(DataError, match="zero diagonal"):
        board.write("recurrent", np.ones((1, 8, 8), np.int16))
    with pytest.raises(DataError, match="state must have shape"):
        board.write("state", [1])
    with pytest.raises(DataError, match="-1 and \\+1 only"):
        board.write("state", np.zeros((1, 8)))
    with pytest.raises(ConfigError):
        board.registers = board.registers.replace(self_coupling=1 << 22)
    assert board.couplings().differences(tiny.before) == dict.fromkeys(Couplings.NAMES, 0)
    assert not any(board.counters().values())


def test_no_samples_are_no_error(tiny: Recorded):
    board = ModelBoard(tiny.config)
    assert len(board.train(tiny.x[:0], tiny.y[:0]).prediction) == 0
    assert board.scores(tiny.x[:0]).shape == (0, 3)
    assert board.infer(tiny.x[:0]).sweeps.shape == (0,)
