"""Choice of the weights among the uses of one tensor."""

import torch
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.conversion.weights.coded_uses import CodedUses
from palettune.device_bench.conversion.weights.weight_choice import chosen_weights
from palettune.device_bench.conversion.weights.weight_codes import WeightCodes
from palettune.space.layer import LayerKind, WeightView
from tests.device_bench.conversion.weights.coded import function_of

CODES = WeightCodes({"a": torch.rand(8, 6), "ids": torch.rand(1, 1)})


def chosen(body, shape=(1, 6)):
    weights, refused = chosen_weights(CodedUses(function_of(CODES, body, shape), CODES).uses.get("a", []))
    return weights, [reason for _, reason in refused]


def turned(variable):
    return mb.transpose(x=variable, perm=(1, 0))


def test_a_product_and_a_layer_share_a_weight_in_the_order_that_the_layer_demands():
    (weight,), refused = chosen(lambda x, tensor: mb.matmul(x=mb.linear(x=x, weight=tensor("a")), y=tensor("a")))
    assert (weight.part.view, weight.kinds, weight.turned) == (None, (LayerKind.LINEAR, LayerKind.MATMUL), (False,) * 2)
    assert not refused
    (weight,), _ = chosen(
        lambda x, tensor: mb.matmul(x=mb.linear(x=x, weight=turned(tensor("a"))), y=turned(tensor("a"))), (1, 8)
    )
    assert (weight.part.view, weight.part.shape) == (WeightView(0, (1, 6)), (6, 8))


def test_products_take_a_matrix_as_the_tensor_has_it():
    (weight,), _ = chosen(lambda x, tensor: mb.matmul(x=x, y=turned(tensor("a"))))
    assert (weight.part.view, weight.part.shape) == (None, (8, 6))
    assert (weight.kinds, weight.turned) == ((LayerKind.LINEAR,), (True,))


def test_linear_ops_there_and_back_are_one_weight():
    def body(x, tensor):
        return mb.linear(x=mb.linear(x=x, weight=tensor("a")), weight=turned(tensor("a")))

    (weight,), refused = chosen(body)
    assert (weight.part.view, weight.turned) == (None, (False, True))
    assert not refused


def test_parts_that_do_not_overlap_are_weights_of_their_own_in_order():
    def body(x, tensor):
        last = mb.slice_by_index(x=tensor("a"), begin=[4, 0], end=[8, 6])
        first = mb.slice_by_index(x=tensor("a"), begin=[0, 0], end=[4, 6])
        return mb.linear(x=x, weight=last), mb.linear(x=x, weight=first)

    weights, refused = chosen(body)
    assert [weight.part.view.start for weight in weights] == [0, 24]
    assert not refused


def test_parts_that_overlap_and_elements_that_are_used_in_another_way_are_none():
    def overlapping(x, tensor):
        part = mb.slice_by_index(x=tensor("a"), begin=[0, 0], end=[4, 6])
        return mb.linear(x=x, weight=tensor("a")), mb.linear(x=x, weight=part)

    weights, refused = chosen(overlapping)
    assert not weights
    assert refused == ["parts of it that overlap are used"] * 2
    weights, refused = chosen(lambda x, tensor: (mb.linear(x=x, weight=tensor("a")), mb.add(x=x, y=tensor("a"))))
    assert not weights
    assert set(refused) == {"operand 'y' of add, which is not a weight operand and has fewer than 1024 elements"}
    assert chosen(lambda x, tensor: mb.relu(x=x)) == ([], [])
