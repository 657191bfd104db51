"""Columns of a layer in an operand: whatever became of the tensor on the way, each column finds its input."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palettune.evaluators.weights.weight_columns import Strides, weight_columns
from palettune.space.layer import Layer, LayerKind, WeightView

Copies = tuple[tuple[Strides, Strides], ...]


def changed(tensor: Tensor, copies: Copies, draw: st.DrawFn) -> tuple[Tensor, Copies]:
    """One step of what a model does with a parameter before it uses it."""
    step = draw(st.sampled_from(["permute", "narrow", "copy"]))
    if step == "permute":
        return tensor.permute(draw(st.permutations(range(tensor.ndim)))), copies
    if step == "narrow":
        axis = draw(st.integers(0, tensor.ndim - 1))
        start = draw(st.integers(0, tensor.shape[axis] - 1))
        return tensor.narrow(axis, start, draw(st.integers(1, tensor.shape[axis] - start))), copies
    copied = tensor.clone(memory_format=draw(st.sampled_from([torch.contiguous_format, torch.preserve_format])))
    return copied, (*copies, (Strides.of(tensor), Strides.of(copied)))


@st.composite
def operands(draw: st.DrawFn) -> tuple[Tensor, Copies]:
    """An operand whose values are the positions of its elements in the parameter, and the way to it."""
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    values = torch.arange(torch.Size(shape).numel()).reshape(shape)
    offset = draw(st.integers(0, 3))
    held = torch.zeros(offset + values.numel(), dtype=torch.long)[offset:].reshape(shape).copy_(values)
    copies: Copies = ((Strides.of(values), Strides.of(held)),)
    for _ in range(draw(st.integers(0, 4))):
        held, copies = changed(held, copies, draw)
    return held, copies


@settings(max_examples=60, deadline=None)
@given(operands(), st.data())
def test_each_column_finds_its_input(made: tuple[Tensor, Copies], data: st.DataObject) -> None:
    operand, copies = made
    axes = tuple(data.draw(st.sets(st.integers(0, operand.ndim - 1), min_size=1, max_size=operand.ndim - 1)))
    rest = [axis for axis in range(operand.ndim) if axis not in axes]
    matrix = operand.permute(*rest, *axes).reshape(-1, torch.Size(operand.shape[axis] for axis in axes).numel())
    rows = data.draw(st.permutations(range(len(matrix))))
    columns = data.draw(st.permutations(range(matrix.shape[1])))
    ordered = matrix[rows][:, columns]
    start = int(ordered[0, 0])
    along = tuple(tuple((values - start).tolist()) for values in (ordered[:, 0], ordered[0]))
    kind = data.draw(st.sampled_from([LayerKind.LINEAR, LayerKind.MATMUL]))
    turned = kind is LayerKind.MATMUL
    layer = Layer(
        "weight",
        kind,
        tuple(ordered.shape)[:: -1 if turned else 1],
        parameter="held",
        view=WeightView(start, along[:: -1 if turned else 1]),
    )
    found = weight_columns(layer, copies, Strides.of(operand), axes)
    assert found is not None
    assert found.batch is None
    inputs = torch.arange(matrix.shape[1]) if found.inputs is None else found.inputs
    assert inputs.tolist() == list(columns)


def test_a_part_of_the_layer_leaves_columns_out() -> None:
    layer = Layer("weight", LayerKind.LINEAR, (3, 4), parameter="weight")
    whole = torch.zeros(3, 4)
    copies = ((Strides.of(whole), Strides.of(whole)),)
    for part, expected in (
        (whole[:, 1:3], [-1, 0, 1, -1]),
        (whole[2:, :1], [0, -1, -1, -1]),
        (whole[1:2, 1:2], [-1, 0, -1, -1]),
    ):
        found = weight_columns(layer, copies, Strides.of(part), (1,))
        assert found is not None
        assert found.inputs is not None
        assert found.inputs.tolist() == expected


def test_other_elements_and_sums_over_output_channels_are_none() -> None:
    layer = Layer("weight", LayerKind.LINEAR, (2, 4), parameter="weight", view=WeightView(0, (4, 1)))
    whole = torch.zeros(4, 4)
    copies = ((Strides.of(whole), Strides.of(whole)),)
    assert weight_columns(layer, copies, Strides.of(whole[2:]), (1,)) is None
    assert weight_columns(layer, copies, Strides.of(whole), (0,)) is None
    assert weight_columns(layer, copies, Strides.of(whole), (1,)) is not None


def test_matrices_that_are_multiplied_one_by_one_are_told_apart() -> None:
    whole = torch.zeros(3, 4, 2)
    copies = ((Strides.of(whole), Strides.of(whole)),)
    second = Layer("weight", LayerKind.MATMUL, (4, 2), parameter="weight", view=WeightView(8, (2, 1)))
    across = Layer("weight", LayerKind.MATMUL, (4, 3), parameter="weight", view=WeightView(0, (2, 8)))
    found = weight_columns(second, copies, Strides.of(whole), (1,), 0)
    assert found is not None
    assert (found.inputs, found.batch) == (None, 1)
    assert weight_columns(across, copies, Strides.of(whole), (1,), 0) is None  # its rows have inputs of their own
    alike = torch.zeros(4, 2).expand(3, 4, 2)
    alone = ((Strides.of(alike[0]), Strides.of(alike[0])),)
    found = weight_columns(
        Layer("weight", LayerKind.MATMUL, (4, 2), parameter="weight"), alone, Strides.of(alike), (1,), 0
    )
    assert found is not None
    assert found.batch is None
