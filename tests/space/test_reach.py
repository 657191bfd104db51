"""Reachable sizes and budgets."""

from __future__ import annotations

import itertools

import pytest

from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.layer import Layer, LayerKind
from palettune.space.reach import BudgetError, check_budget, reachable_sizes
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

TARGET = DeploymentTarget.IOS18
LAYERS = (
    Layer("a", LayerKind.CONV2D, (8, 3, 3, 3)),
    Layer("b", LayerKind.LINEAR, (40, 33)),
    Layer("c", LayerKind.LINEAR, (32, 64)),
)
ENCODINGS = [Encoding.parse(s) for s in ("lut8", "lut4-g16", "lut2", "sparse50")]
SPACE = SearchSpace.build(LAYERS, ENCODINGS, TARGET, groups=[("b", "c")], keep=["a"])


def test_reach_is_that_of_all_configurations() -> None:
    parameters = [
        dict(zip(SPACE.choices, chosen, strict=True)) for chosen in itertools.product(*SPACE.choices.values())
    ]
    sizes = [configuration_bytes(LAYERS, SPACE.from_parameters(one), TARGET) for one in parameters]
    found = reachable_sizes(SPACE, TARGET, rest_bytes=1000)
    assert found.smallest_bytes == 1000 + min(sizes)
    assert found.largest_bytes == 1000 + max(sizes)
    assert configuration_bytes(LAYERS, found.smallest, TARGET) == min(sizes)
    assert isinstance(found.smallest, Configuration)
    assert sum(size for _, size in found.blocking) == min(sizes)
    assert [size for _, size in found.blocking] == sorted((size for _, size in found.blocking), reverse=True)


def test_a_budget_below_the_smallest_names_it_and_the_layers_that_block() -> None:
    found = reachable_sizes(SPACE, TARGET, rest_bytes=5000)
    check_budget(found, found.smallest_bytes)
    with pytest.raises(
        BudgetError, match=rf"smallest is {found.smallest_bytes / 1e6:.3f} MB.*spent on c .*lut2"
    ) as error:
        check_budget(found, found.smallest_bytes - 1)
    assert "0.005 MB belong to no layer" in str(error.value)
