"""Tables in the place of weights, and the values of all other tensors put back."""

import numpy as np
import torch
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.conversion.weights.stand_in import StandIn
from palettune.device_bench.conversion.weights.weight_codes import WeightCodes
from palettune.device_bench.conversion.weights.weight_tables import CodedProgram, _replace
from tests.device_bench.conversion.weights.coded import function_of

TENSORS = {"kept": torch.rand(1, 6), "weight": torch.rand(6, 6), "scaled": torch.rand(6, 6)}


def replaced(choose=lambda weight: StandIn(weight.part.tensor, weight.part.shape, 0)):
    def body(x, tensor):
        x = mb.add(x=x, y=tensor("kept"))
        x = mb.linear(x=mb.matmul(x=x, y=mb.transpose(x=tensor("weight"), perm=(1, 0))), weight=tensor("weight"))
        return mb.linear(x=x, weight=mb.mul(x=tensor("scaled"), y=np.float32(2)))

    coded = CodedProgram(WeightCodes(TENSORS), TENSORS, choose)
    function = function_of(coded.codes, body)
    with function:
        _replace(function, coded)
    ops = [op for op in function.operations if op.op_type in ("add", "matmul", "linear")]
    return coded, ops


def test_a_weight_is_one_table_for_all_its_uses():
    coded, (_, product, linear, _) = replaced()
    ((weight, stand_in),) = coded.weights
    assert weight.part.tensor == "weight"
    assert linear.weight.op.op_type == "constexpr_lut_to_dense"
    assert np.ravel(linear.weight.op.lut.val).tolist() == [-stand_in.size, stand_in.size]
    assert product.y.op.op_type == "transpose"
    assert product.y.op.x is linear.weight


def test_other_tensors_have_their_values_again_and_computed_ones_are_said():
    coded, (add, *_) = replaced()
    assert np.array_equal(add.y.val, TENSORS["kept"].numpy())
    assert coded.refused["kept"].startswith("operand 'y' of add, which is not a weight operand")
    assert coded.computed.keys() == {"scaled"}


def test_a_weight_that_gets_no_stand_in_has_its_values():
    coded, (_, product, linear, _) = replaced(lambda weight: None)
    assert not coded.weights
    assert np.array_equal(linear.weight.val, TENSORS["weight"].numpy())
    assert np.array_equal(product.y.val, TENSORS["weight"].numpy().T)
