"""Menus without encodings that another one beats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.space.encoding import FP16, Encoding
from palettune.space.encoding_spelling import common_spellings
from palettune.space.layer import Layer, LayerKind
from palettune.space.pruning import dominated, prune_menus
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

ENCODINGS = st.sampled_from([Encoding.parse(s) for s in common_spellings()])
NUMBERS = st.integers(0, 6).map(float)


def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[0] and a[1] <= b[1] and a != b


@given(st.dictionaries(ENCODINGS, st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_what_is_dropped_is_beaten_and_what_stays_is_not(costs) -> None:
    lost = set(dominated(costs))
    kept = set(costs) - lost
    for encoding in lost:
        assert any(beats(costs[k], costs[encoding]) or costs[k] == costs[encoding] for k in kept)
    for encoding in kept:
        assert not any(beats(costs[other], costs[encoding]) for other in costs)
    assert len({costs[k] for k in kept}) == len(kept)


def test_costs_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        dominated({FP16: (1.0, float("nan"))})


def test_groups_are_pruned_as_one_and_fp16_stays() -> None:
    layers = [Layer("a", LayerKind.LINEAR, (64, 64)), Layer("b", LayerKind.LINEAR, (64, 64))]
    encodings = [Encoding.parse(s) for s in ("lut4", "lut4-g16", "int8")]
    space = SearchSpace.build(layers, encodings, DeploymentTarget.IOS18, groups=[("a", "b")])
    errors = {"fp16": 0.5, "lut4": 0.1, "lut4-g16": 0.2, "int8": 0.05}
    sizes = {"fp16": 16.0, "lut4": 4.0, "lut4-g16": 5.0, "int8": 8.0}
    pruned = prune_menus(space, lambda name, e: (sizes[str(e)], errors[str(e)]))
    assert pruned.count == 1
    assert [str(e) for e in pruned.dropped["a"]] == ["lut4-g16"]
    for name in ("a", "b"):
        assert [str(e) for e in pruned.space.menus[name].encodings] == ["fp16", "lut4", "int8"]
        assert "no larger" in pruned.space.menus[name].refused[Encoding.parse("lut4-g16")]
