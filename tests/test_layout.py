"""Every element has one place, arrays survive the way to words and back, padding stays empty."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from recorded import random_couplings

from relaxon import Config, Couplings
from relaxon.errors import DataError
from relaxon.layout import ARRAYS, Layout
from relaxon.protocol import FRAME_OVERHEAD, WINDOW, Space

# modules, neurons, inputs, classes, weight_bits, lanes: H below, at and above P, and not dividing
SHAPES = [
    (1, 8, 5, 3, 8, 4),
    (1, 8, 5, 3, 8, 8),
    (1, 9, 4, 2, 8, 4),
    (3, 5, 7, 4, 6, 16),
    (5, 4, 3, 2, 10, 8),
    (7, 3, 2, 10, 12, 8),
    (4, 16, 9, 3, 5, 2),
    (2, 6, 11, 5, 8, 32),
]


@pytest.fixture(params=SHAPES, ids=lambda s: "m{}-h{}-n{}-c{}-w{}-p{}".format(*s))
def config(request: pytest.FixtureRequest) -> Config:
    m, h, n, c, w, p = request.param
    return Config(modules=m, neurons=h, inputs=n, classes=c, weight_bits=w, lanes=p)


def test_every_neuron_has_a_slot_of_its_own(config: Config):
    layout = Layout(config)
    assert np.unique(layout.slot).size == config.total_neurons
    assert layout.slot.min() >= 0 and layout.slot.max() < layout.slots
    assert layout.lane.max() < config.lanes and layout.group.max() == layout.groups - 1


def test_a_modules_neurons_fill_its_own_groups_in_order(config: Config):
    layout = Layout(config)
    per_module = [np.unique(layout.group[m]) for m in range(config.modules)]
    assert all(len(groups) == layout.groups_per_module for groups in per_module)
    if layout.strips == 1:
        assert len(set(np.concatenate(per_module))) == layout.groups
    wanted = -(-config.modules // layout.strips) * -(-config.neurons // config.lanes)
    assert layout.groups == wanted


def test_padding_masks_mark_exactly_the_lanes_with_a_neuron(config: Config):
    layout = Layout(config)
    ordinary, tail = layout.padding()
    used: dict[int, int] = {}
    for group, lane in zip(layout.group.flat, layout.lane.flat, strict=True):
        used[int(group)] = used.get(int(group), 0) | 1 << int(lane)
    for group, mask in used.items():
        is_tail = (group + 1) % layout.tail_period == 0
        assert mask == (tail if is_tail else ordinary), group


def test_no_two_elements_share_a_place(config: Config):
    layout = Layout(config)
    seen: dict[Space, set[tuple[int, int]]] = {space: set() for space in Space}
    for name in ARRAYS:
        space, first, words = layout.place(name)
        word, element = layout._index(name)
        assert word.shape == layout.shape(name)
        assert word.max() < words and first + words <= layout.words(space)
        assert element.max() < (config.classes if name == "readout" else layout.lanes)
        places = set(zip((first + word).flat, element.flat, strict=True))
        assert len(places) == word.size and not places & seen[space]
        seen[space] |= places


def test_columns_lie_where_the_documentation_says(config: Config):
    layout, groups = Layout(config), Layout(config).groups
    for m, i in itertools.product(range(config.modules), range(config.neurons)):
        gamma = int(layout.group[m, i])
        for name, column, word in (
            ("input", n := config.inputs - 1, gamma * config.inputs + n),
            ("recurrent", j := config.neurons - 1,
             groups * config.inputs + gamma * config.neurons + j),
            ("feedback", c := 1,
             groups * (config.inputs + config.neurons) + c * groups + gamma),
        ):  # fmt: skip
            _, first, _ = layout.place(name)
            assert first + layout._index(name)[0][m, i, column] == word


def test_arrays_survive_packing_bit_for_bit_and_padding_is_zero(config: Config):
    layout, rng = Layout(config), np.random.default_rng(1)
    arrays = vars(random_couplings(config, 1)) | {
        "state": rng.choice([-1, 1], layout.shape("state")).astype(np.int8)
    }
    for name, array in arrays.items():
        space, _, words = layout.place(name)
        data = layout.pack(name, array)
        assert len(data) == words * layout.word_bytes(space)
        back = layout.unpack(name, data)
        assert np.array_equal(back, array) and back.dtype == array.dtype
        empty = np.frombuffer(layout.pack(name, -np.ones_like(array)), np.uint8)
        filled = np.unpackbits(empty).sum()
        bits = 16 if name == "readout" else 8 * layout.element_bytes
        assert filled == (0 if name == "state" else array.size * bits)


def test_inputs_are_packed_least_significant_bit_first():
    layout = Layout(Config(neurons=8, inputs=10))
    x = np.full((1, 10), -1, np.int8)
    x[0, [0, 9]] = 1
    assert layout.pack_inputs(x).tolist() == [[0b0000_0001, 0b10]]
    assert layout.input_bytes == 2


def test_wrong_shapes_and_lengths_are_refused():
    layout = Layout(Config(neurons=8, inputs=5))
    with pytest.raises(DataError, match=r"input must have shape \(1, 8, 5\), not \(8, 5\)"):
        layout.pack("input", np.zeros((8, 5)))
    with pytest.raises(DataError, match="bytes, not 3"):
        layout.unpack("input", b"abc")


def test_every_frame_fits_the_buffers(config: Config):
    layout = Layout(config)
    for space in Space:
        count = layout.words_per_frame(space)
        assert 1 <= count <= 255
        assert count * layout.word_bytes(space) <= layout.reply_body
    assert layout.slot_bytes >= layout.reply_body + FRAME_OVERHEAD + 2
    assert layout.rx_bytes >= 4 * layout.request_payload
    assert layout.rx_bytes >= WINDOW * layout.sample_payload


def test_fresh_couplings_have_the_layouts_shapes(config: Config):
    couplings = Couplings.fresh(config, seed=0)
    for name in Couplings.NAMES:
        assert getattr(couplings, name).shape == Layout(config).shape(name)


def test_a_column_store_has_a_place_for_every_element_of_the_readout(config: Config):
    layout = Layout(config.replace(store="column"))
    slots = layout.groups * layout.strip_lanes
    assert layout.readout_base >= layout.weight_words
    assert layout.readout_base % layout.readout_stride == 0
    assert layout.readout_stride * layout.readout_pack >= slots  # of a class
    assert layout.strip_lanes % layout.readout_pack == 0  # no group begins within a word
    assert 2 * layout.readout_pack <= layout.strip_bytes
