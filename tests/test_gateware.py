"""The gateware, simulated, against the reference model: every bit, counter and cycle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from recorded import Recorded, random_couplings, random_samples

from relaxon import Config, Couplings
from relaxon.layout import Layout
from relaxon.linkboard import LinkBoard
from relaxon.protocol import CHIP_COUNTERS, STORES, Space
from relaxon.sim.modelboard import ModelBoard
from relaxon.sim.simulated import SimulatedTransport

SAMPLES = 250


def machine(
    modules: int, neurons: int, lanes: int, inputs: int, *, weight_bits: int = 8,
    recurrent_bits: int | None = None, readout_bits: int = 12, classes: int = 10,
    preset: str = "paper", chain: float = 0.0, margin: float = 1.0, **registers: int,
) -> Config:  # fmt: skip
    """A machine with `chain_coupling` and `margin` given in units of K."""
    config = Config.preset(
        preset, modules=modules, neurons=neurons, inputs=inputs, classes=classes, lanes=lanes,
        weight_bits=weight_bits, recurrent_bits=recurrent_bits, readout_bits=readout_bits,
    )  # fmt: skip
    coupling = round(chain * config.k)
    limit = round(margin * config.k)
    return config.with_registers(chain_coupling=coupling, margin=limit, **registers)


MACHINES = {
    # lanes below, at and above H; groups padded where H is no multiple of them
    "one-module": machine(1, 32, 8, 33),
    "one-group": machine(1, 16, 16, 7, classes=3),
    "fewer-neurons-than-lanes": machine(1, 20, 32, 19, weight_bits=9),
    "padded": machine(2, 13, 5, 17, weight_bits=7, classes=4),
    "two-lanes": machine(2, 5, 2, 9, classes=3),  # fewer by far than banks
    "smallest": machine(1, 2, 4, 1, classes=2, weight_bits=5, readout_bits=5),
    # modules side by side in a group, the last group partly empty
    "side-by-side": machine(7, 4, 16, 25, preset="modules", gate=60),
    "side-by-side-padded": machine(12, 3, 11, 21, preset="modules", gate=60, weight_bits=6),
    "two-strips": machine(5, 32, 64, 40, preset="modules", gate=600),
    # evaluating takes longer than the first unstable neuron does on its way to learning
    "many-groups": machine(19, 4, 4, 21, preset="modules", gate=60),
    # chains: within groups, across groups, over groups of several words
    "chain": machine(3, 8, 8, 31, chain=0.4),
    "chain-within-group": machine(5, 5, 16, 15, chain=0.3, preset="modules", gate=60),
    "chain-of-large": machine(3, 19, 6, 29, chain=-0.3, weight_bits=10),
    # wide margins and steps: saturation both ways
    "saturating": machine(
        2, 9, 4, 23, weight_bits=5, readout_bits=6, margin=4.0,
        readout_step_true=13, readout_step_false=255,
    ),
    # J of another width than W, both of which saturate
    "narrow-recurrent": machine(2, 9, 4, 23, weight_bits=7, recurrent_bits=4, margin=4.0),
    "wide-recurrent": machine(
        3, 8, 16, 21, weight_bits=4, recurrent_bits=9, margin=3.0, chain=0.2, recurrent_shift=2,
    ),
    # every sweep count and learning enable, early ends included
    "many-sweeps": machine(
        1, 24, 8, 27, sweeps_clamped=9, sweeps_released=6, sweeps_infer=7, self_coupling=40,
    ),
    "no-sweeps": machine(
        4, 6, 12, 13, preset="modules", gate=60, sweeps_clamped=0, sweeps_released=0,
        sweeps_infer=0,
    ),
    "input-alone-learns": machine(2, 10, 10, 12, learn_recurrent=0, learn_readout=0),
    "recurrent-alone-learns": machine(2, 10, 10, 12, learn_input=0),
    "readout-alone-learns": machine(2, 10, 10, 12, learn_recurrent=0, learn_input=0),
    # a sample starts from the last one's state
    "kept": machine(2, 13, 5, 17, classes=4, keep_state=1),
    "kept-side-by-side": machine(7, 4, 16, 25, preset="modules", gate=60, keep_state=1, input_shift=4),
    # several events of the first sample go to one group while the states of later ones are being read
    "kept-many-groups": machine(8, 12, 4, 21, preset="modules", gate=60, keep_state=1, input_shift=4),
    # groups in turn: several to a module, one, several modules to a group
    "in-turn": machine(1, 24, 8, 27, sequential=1, sweeps_clamped=5, sweeps_released=4),
    "in-turn-padded": machine(2, 13, 5, 17, weight_bits=7, classes=4, sequential=1),
    "in-turn-chain": machine(4, 8, 8, 31, chain=0.4, sequential=1, sweeps_released=3),
    "in-turn-chain-of-large": machine(3, 19, 6, 29, chain=-0.3, sequential=1, keep_state=1),
    "in-turn-within-group": machine(
        5, 5, 16, 15, chain=0.3, preset="modules", gate=60, sequential=1, sweeps_infer=6,
    ),
    "in-turn-one-group": machine(1, 16, 16, 7, classes=3, sequential=1),
    "in-turn-side-by-side": machine(
        12, 3, 11, 21, preset="modules", gate=60, weight_bits=6, sequential=1, sweeps_clamped=4,
    ),
    "in-turn-no-sweeps": machine(
        4, 6, 6, 13, preset="modules", gate=60, sequential=1, sweeps_clamped=0, sweeps_released=0,
        sweeps_infer=0,
    ),
}  # fmt: skip


COLUMNS = (
    "one-module", "fewer-neurons-than-lanes", "padded", "side-by-side", "no-sweeps",
    "saturating", "narrow-recurrent", "many-sweeps", "recurrent-alone-learns", "kept",
    "kept-side-by-side", "in-turn", "in-turn-padded", "in-turn-one-group", "in-turn-side-by-side",
    "in-turn-no-sweeps",
)  # fmt: skip
"""Machines that are run with the column store, too."""
COMPACT = {
    "like-the-icebreaker": machine(3, 16, 4, 21, preset="modules", gate=300),
    "many-rows": machine(21, 4, 2, 9, preset="modules", gate=60),  # several of them in a bin
    "kept-in-turn": machine(21, 4, 2, 9, preset="modules", gate=60, sequential=1, keep_state=1),
}
"""Machines for the column store alone."""
CASES = [(name, "skewed") for name in MACHINES]
CASES += [(name, "column") for name in (*COLUMNS, *COMPACT)]
MACHINES |= COMPACT


@contextmanager
def simulated(config: Config) -> Iterator[LinkBoard]:
    """The gateware of a machine, behind the driver."""
    with LinkBoard(SimulatedTransport(config), config) as board:
        yield board


def assert_same(board: LinkBoard, model: ModelBoard) -> None:
    """Couplings, state and counters agree; the formulas of `relaxon.cycles` give the cycles."""
    differences = board.couplings().differences(model.couplings())
    assert not any(differences.values()), differences
    assert np.array_equal(board.read("state"), model.read("state"))
    counted, wanted = board.counters(), model.counters()
    assert {n: counted[n] for n in CHIP_COUNTERS} == {n: wanted[n] for n in CHIP_COUNTERS}


@pytest.mark.parametrize("name, store", CASES)
def test_learns_exactly_as_the_model(name: str, store: str) -> None:
    config = MACHINES[name].replace(store=store)
    wild = name == "saturating"
    start = random_couplings(config, 3) if wild else Couplings.fresh(config, 3)
    x, y = random_samples(config, SAMPLES, seed=4)
    with simulated(config) as board, ModelBoard(config) as model:
        for each in (board, model):
            each.load(start)
        for part in (slice(0, 3), slice(3, SAMPLES)):  # the first makes its fields from nothing
            got, want = board.train(x[part], y[part]), model.train(x[part], y[part])
            for field in ("prediction", "learned", "sweeps", "unstable"):
                assert np.array_equal(getattr(got, field), getattr(want, field)), field
            assert_same(board, model)
        assert np.array_equal(board.scores(x[:40]), model.scores(x[:40]))
        assert np.array_equal(board.infer(x[:40]).prediction, model.infer(x[:40]).prediction)
        assert_same(board, model)
        counters = board.counters()
    # The run must have exercised what its name says.
    assert counters["samples"] == SAMPLES + 80
    assert counters["flips"] > 0 or name in ("no-sweeps", "in-turn-no-sweeps", "smallest")
    if wild:
        assert counters["saturations"] > 500 and counters["readout_saturations"] > 1000
    if config.registers.gate_enable:
        assert 0 < counters["learned"] < SAMPLES


def test_phases_add_up_to_all_cycles() -> None:
    config = MACHINES["side-by-side"]
    x, y = random_samples(config, 30, seed=1)
    with simulated(config) as board:
        board.load(Couplings.fresh(config, 1))
        board.train(x, y)
        counters = board.counters()
    phases = [value for name, value in counters.items() if name.startswith("cycles_")]
    assert sum(phases) - counters["cycles_link"] == counters["cycles"]
    # Only the first sample is fetched, and the last one answered, while nothing is computed.
    assert counters["cycles_link"] < 50 + 2 * Layout(config).input_bytes


LANES = {"tiny-h8-n5": 4, "chain-m3-h32": 8, "digits-h64": 16, "gated-m8-h16": 32}


def test_replays_recorded_runs(golden: Recorded) -> None:
    config = golden.config.replace(lanes=LANES.get(golden.name, 32))
    with simulated(config) as board:
        board.load(golden.before)
        assert not any(board.couplings().differences(golden.before).values())
        outcomes = board.train(golden.x, golden.y)
        assert np.array_equal(outcomes.prediction, golden.prediction)
        assert not any(board.couplings().differences(golden.after).values())
        assert np.array_equal(board.read("state"), golden.state)
        n = len(golden.prediction_after)
        assert np.array_equal(board.infer(golden.x[:n]).prediction, golden.prediction_after)


def test_every_word_can_be_written_and_read_back() -> None:
    config = MACHINES["padded"]
    couplings = random_couplings(config, 9)
    rng = np.random.default_rng(9)
    state = rng.choice([-1, 1], (config.modules, config.neurons)).astype(np.int8)
    with simulated(config) as board:
        board.load(couplings)
        board.write("state", state)
        assert not any(board.couplings().differences(couplings).values())
        assert np.array_equal(board.read("state"), state)
        registers = config.registers.replace(gate=-5, margin=-77, sweeps_infer=3, learn_input=0)
        board.registers = registers
        assert board.registers == registers


def test_padding_never_learns() -> None:
    """What the host wrote into padding is still there after training."""
    config = MACHINES["fewer-neurons-than-lanes"]
    x, y = random_samples(config, 60, seed=2)
    with simulated(config) as board, ModelBoard(config) as model:
        for each in (board, model):
            each.load(Couplings.fresh(config, 2))
        layout = Layout(config)
        places = [layout.input_base, layout.recurrent_base + 3, layout.feedback_base]
        for address in places:
            stored = np.frombuffer(board.read_words(Space.WEIGHTS, address, 1), "<i2").copy()
            stored[config.neurons :] = 99
            board.write_words(Space.WEIGHTS, address, stored.tobytes())
        board.train(x, y)
        model.train(x, y)
        assert_same(board, model)
        for address in places:
            stored = np.frombuffer(board.read_words(Space.WEIGHTS, address, 1), "<i2")
            assert (stored[config.neurons :] == 99).all()


def test_a_free_sweep_that_moves_nothing_is_no_fixed_point() -> None:
    """Samples that come again find their own state: a free sweep of A alone may leave it as it is."""
    config = MACHINES["side-by-side"]
    x, y = random_samples(config, 20, seed=7)
    x, y = np.repeat(x, 4, axis=0), np.repeat(y, 4)
    with simulated(config) as board, ModelBoard(config) as model:
        for each in (board, model):
            each.load(Couplings.fresh(config, 7))
        assert np.array_equal(board.infer(x).sweeps, model.infer(x).sweeps)
        assert np.array_equal(board.train(x, y).sweeps, model.train(x, y).sweeps)
        assert_same(board, model)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("sequential", [0, 1])
def test_a_state_that_is_written_is_relaxed_without_input(sequential: int, store: str) -> None:
    """W = 0: write a state, relax, read the state. T sweeps twice are 2 T sweeps, whatever the input;
    all at once, some states never come to rest."""
    config = machine(
        3, 13, 5, 7, classes=3, keep_state=1, sequential=sequential, sweeps_infer=100, self_coupling=9
    ).replace(store=store)
    couplings = random_couplings(config, 5)
    couplings.input[:] = 0
    rng = np.random.default_rng(5)
    x, _ = random_samples(config, 2, seed=5)
    lengths = set()
    with simulated(config) as board, ModelBoard(config) as model:
        for each in (board, model):
            each.load(couplings)
        for _ in range(6):
            state = rng.choice([-1, 1], (config.modules, config.neurons)).astype(np.int8)
            for each in (board, model):
                each.registers = config.registers
                each.write("state", state)
            assert np.array_equal(board.infer(x).sweeps, model.infer(x).sweeps)
            assert_same(board, model)
            reached = board.read("state")
            board.registers = config.registers.replace(sweeps_infer=200)
            board.write("state", state)
            lengths.update(board.infer(x[:1]).sweeps.tolist())
            assert np.array_equal(board.read("state"), reached)
            model.set_counters(board.counters())
    assert min(lengths) > 2 and (sequential or 201 in lengths), lengths
