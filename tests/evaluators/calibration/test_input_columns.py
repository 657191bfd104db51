"""Input columns: those of modules by sample, all others in a bounded number, in the order of the layer's columns."""

from __future__ import annotations

import torch

from palettune.evaluators.calibration.input_columns import MOST_COLUMNS, fewer_columns, input_columns
from palettune.evaluators.weights.weight_products import MovingWindow
from palettune.evaluators.weights.weight_uses import WeightUse
from palettune.space.layer import Layer, LayerKind

LAYER = Layer("layer", LayerKind.LINEAR, (3, 4))


def test_samples_of_a_module_give_some_positions_each() -> None:
    values = torch.randn(5, 100, 4)
    assert input_columns(WeightUse(values, by_module=True), LAYER).shape == (1, 4, 5 * 64)
    assert input_columns(WeightUse(torch.randn(4), by_module=True), LAYER).shape == (1, 4, 1)


def test_other_uses_give_few_columns_all_of_them_rows() -> None:
    values = torch.randn(100, 5, 4)
    columns = input_columns(WeightUse(values), LAYER)
    assert columns.shape == (1, 4, MOST_COLUMNS)
    rows = {tuple(row) for row in values.reshape(-1, 4).tolist()}
    assert {tuple(column) for column in columns[0].t().tolist()} <= rows
    few = torch.randn(7, 4)
    assert torch.equal(input_columns(WeightUse(few), LAYER), few.t()[None])


def test_columns_follow_the_layers_order_and_missing_ones_are_zero() -> None:
    values = torch.randn(6, 3)
    columns = input_columns(WeightUse(values, inputs=torch.tensor([2, -1, 0, 1])), LAYER)
    assert torch.equal(columns[0, 0], values[:, 2])
    assert not bool(columns[0, 1].any())
    assert torch.equal(columns[0, 2:], values[:, :2].t())


def test_a_convolution_without_an_axis_of_samples_is_one_sample() -> None:
    layer = Layer("layer", LayerKind.CONV1D, (6, 4, 3))
    window = MovingWindow((3,), (1,), (1,), (0, 0))
    values = torch.randn(4, 9)
    columns = input_columns(WeightUse(values, window), layer)
    assert torch.equal(columns, input_columns(WeightUse(values[None], window), layer))
    assert columns.shape == (1, 12, 7)


def test_steps_of_a_sequence_are_thinned_out() -> None:
    columns = torch.randn(2, 3, 1000)
    assert fewer_columns(columns).shape == (2, 3, MOST_COLUMNS)
    assert torch.equal(fewer_columns(columns[..., :9]), columns[..., :9])
