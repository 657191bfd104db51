"""Layers as JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from palettune.space.layer import Layer, LayerKind, WeightView
from palettune.space.layer_json import layer_from_json, layer_to_json

AXES = st.lists(st.one_of(st.integers(-9, 9), st.lists(st.integers(0, 9), max_size=3).map(tuple)), max_size=3)
LAYERS = st.builds(
    Layer,
    st.text(),
    st.sampled_from(LayerKind),
    st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple),
    st.integers(1, 4),
    st.lists(st.tuples(st.text(), st.sampled_from(LayerKind)), max_size=2).map(tuple),
    st.sampled_from([16, 32]),
    st.text(),
    st.none() | st.builds(WeightView, st.integers(0, 9), AXES.map(tuple)),
)


@given(LAYERS)
def test_what_is_written_is_read(layer):
    assert layer_from_json(layer.name, json.loads(json.dumps(layer_to_json(layer)))) == layer
