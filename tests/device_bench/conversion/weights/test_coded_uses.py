"""Uses of coded tensors in a program."""

import numpy as np
import torch
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.conversion.weights.coded_uses import CodedUses
from palettune.device_bench.conversion.weights.weight_codes import WeightCodes
from palettune.space.layer import LayerKind, WeightView
from tests.device_bench.conversion.weights.coded import function_of

CODES = WeightCodes(
    {"a": torch.rand(6, 6), "b": torch.rand(18, 6), "kernel": torch.rand(4, 2, 1), "c": torch.rand(6, 1)}
)


def uses_of(body, shape=(1, 6)):
    return CodedUses(function_of(CODES, body, shape), CODES)


def test_weights_of_ops_are_found_with_what_the_ops_do():
    found = uses_of(lambda x, tensor: mb.matmul(x=mb.linear(x=x, weight=tensor("a")), y=tensor("a")))
    assert [(use.kind, use.part.view, use.turns) for use in found.uses["a"]] == [
        (LayerKind.LINEAR, None, False),
        (LayerKind.MATMUL, None, True),
    ]
    assert not found.computed


def test_parts_of_a_tensor_are_told():
    def body(x, tensor):
        first, second, third = mb.split(x=tensor("b"), num_splits=3, axis=0)
        y = mb.linear(x=mb.linear(x=x, weight=first), weight=third)
        return mb.linear(x=y, weight=mb.transpose(x=second, perm=(1, 0)))

    views = {use.part.view for use in uses_of(body).uses["b"]}
    assert views == {WeightView(0, (6, 1)), WeightView(72, (6, 1)), WeightView(36, (1, 6))}


def test_groups_of_a_convolution_are_known():
    found = uses_of(lambda x, tensor: mb.conv(x=x, weight=tensor("kernel"), groups=2), (1, 4, 9))
    assert [(use.kind, use.groups) for use in found.uses["kernel"]] == [(LayerKind.CONV1D, 2)]


def test_what_is_no_weight_says_why():
    found = uses_of(lambda x, tensor: mb.add(x=x, y=tensor("a")))
    assert [(use.kind, use.reason) for use in found.uses["a"]] == [
        (None, "operand 'y' of add, which is not a weight operand and has fewer than 1024 elements")
    ]
    returned = uses_of(lambda x, tensor: (mb.identity(x=x), tensor("a")))
    assert returned.uses["a"][0].reason == "returned by the model as it is"


def test_a_choice_that_takes_all_of_a_tensor_only_moves_it():
    def chosen(hidden):
        shown = np.arange(36).reshape(6, 6) >= hidden
        return uses_of(lambda x, tensor: mb.linear(x=x, weight=mb.select(cond=shown, a=tensor("a"), b=np.float32(-9))))

    whole, part = chosen(0), chosen(1)
    assert [(use.kind, use.part.view) for use in whole.uses["a"]] == [(LayerKind.LINEAR, None)]
    assert not whole.computed
    assert "(select) computes with its weight" in part.computed["a"]


def test_what_computes_with_a_tensor_is_named_though_others_only_move_the_result():
    def body(x, tensor):
        scaled = mb.mul(x=tensor("a"), y=np.float32(2), name="scaling")
        return mb.linear(x=x, weight=mb.transpose(x=scaled, perm=(1, 0)))

    found = uses_of(body)
    assert not found.uses
    assert found.computed["a"].startswith("op 'scaling' (mul) computes with its weight before use")


def test_a_shape_is_no_use():
    found = uses_of(lambda x, tensor: mb.reshape(x=x, shape=mb.shape(x=mb.transpose(x=tensor("c"), perm=(1, 0)))))
    assert not found.uses
    assert not found.computed


def test_a_mean_of_rows_is_computed_though_it_looks_like_a_row():
    def body(x, tensor):
        return mb.add(x=x, y=mb.reduce_mean(x=tensor("a"), axes=[0], keep_dims=True))

    assert uses_of(body).computed.keys() == {"a"}
