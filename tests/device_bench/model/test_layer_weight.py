"""The weight of a layer: read from the tensor that holds it, and put back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from palettune.device_bench.model.layer_weight import (
    elements_of,
    held_tensor,
    layer_weight,
    put_layer_weight,
    taken_from,
    with_weight,
)
from palettune.space.layer import Layer, LayerKind, WeightView


def holder(*shape: int) -> nn.Module:
    module = nn.Module()
    module.part = nn.Module()
    module.part.register_parameter("packed", nn.Parameter(torch.rand(shape)))
    module.part.register_buffer("table", torch.rand(4, 5))
    return module


def layer(shape, start, *axes, parameter="part.packed") -> Layer:
    return Layer("x", LayerKind.LINEAR, shape, parameter=parameter, view=WeightView(start, axes))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (layer((2, 4), 8, 4, 1), lambda t: t[2:4]),  # rows
        (layer((6, 2), 1, 4, 1), lambda t: t[:, 1:3]),  # columns
        (layer((4, 6), 0, 1, 4), lambda t: t.T),  # transposed
        (layer((4, 4), 0, (0, 4, 16, 20), 1), lambda t: t[[0, 1, 4, 5]]),  # rows in another order
        (layer((3, 4), 20, -8, 1), lambda t: t[[5, 3, 1]]),  # backwards
        (layer((3, 2, 4), 0, 8, 4, 1), lambda t: t.reshape(3, 2, 4)),
    ],
)
def test_elements_are_read_and_written_and_no_others(made, expected):
    module = holder(6, 4)
    before = module.part.packed.detach().clone()
    assert torch.equal(layer_weight(module, made), expected(before))
    new = torch.rand(made.shape)
    put_layer_weight(module, made, new)
    after = module.part.packed.detach()
    assert torch.equal(expected(after), new)
    touched = expected(torch.arange(24).reshape(6, 4)).reshape(-1)
    others = torch.ones(24, dtype=torch.bool).index_fill(0, touched, False)
    assert torch.equal(after.reshape(-1)[others], before.reshape(-1)[others])


@given(st.permutations(range(6)), st.integers(1, 6))
def test_reading_what_was_written_gives_it_back_and_carries_gradients(order, count):
    made = layer((count, 4), 0, tuple(4 * row for row in order[:count]), 1)
    tensor, new = torch.rand(6, 4), torch.rand(count, 4, requires_grad=True)
    written = with_weight(tensor, made, new)
    assert torch.equal(taken_from(written, made), new)
    written.sum().backward()
    assert torch.equal(new.grad, torch.ones_like(new))


def test_buffers_and_tensors_that_are_not_contiguous_are_held_too():
    module = holder(6, 4)
    module.part.packed.data = module.part.packed.data.T.contiguous().T
    made = layer((2, 4), 4, 4, 1)
    put_layer_weight(module, made, torch.ones(2, 4))
    assert module.part.packed[1:3].tolist() == [[1] * 4] * 2
    table = Layer("t", LayerKind.EMBEDDING, (4, 5), parameter="part.table")
    put_layer_weight(module, table, torch.zeros(4, 5))
    assert not module.part.table.any()
    assert elements_of(module.part.table, None, (4, 5)) is module.part.table


def test_a_name_that_nothing_has_is_said():
    with pytest.raises(AttributeError, match=r"module 'part' .* holds no tensor 'missing'"):
        held_tensor(holder(2, 2), "part.missing")
    with pytest.raises(ValueError, match=r"layer 'x': its weight has shape \(2, 4\), not \(4, 2\)"):
        put_layer_weight(holder(6, 4), layer((2, 4), 0, 4, 1), torch.ones(4, 2))
