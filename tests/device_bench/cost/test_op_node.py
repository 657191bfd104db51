"""Nodes of a program: shapes and constants."""

import pytest
from coremltools import proto

from palettune.device_bench.cost.op_node import OpNode, ProgramOpsError

KINDS = proto.MIL_pb2.DataType


def value_type(*sizes, kind=KINDS.FLOAT16):
    found = proto.MIL_pb2.ValueType()
    found.tensorType.dataType = kind
    found.tensorType.rank = len(sizes)
    for size in sizes:
        dimension = found.tensorType.dimensions.add()
        if size is None:
            dimension.unknown.variadic = False
        else:
            dimension.constant.size = size
    return found.SerializeToString()


def node(*types, **operands):
    return OpNode("op", "linear", {name: tuple(values) for name, values in operands.items()}, types)


def test_shapes_and_elements_of_outputs():
    found = node(value_type(2, 3), value_type(4))
    assert (found.output_shape(), found.output_shape(1), found.output_elements) == ((2, 3), (4,), 10)
    assert not found.computes_in_float32
    assert node(value_type(1, kind=KINDS.FLOAT32)).computes_in_float32


def test_a_list_has_no_shape():
    found = proto.MIL_pb2.ValueType()
    found.listType.type.tensorType.dataType = KINDS.FLOAT16
    assert node(found.SerializeToString()).output_shape() == ()


def test_a_size_that_is_not_fixed_is_refused_with_the_ops_name():
    with pytest.raises(ProgramOpsError, match="op: a dimension has no fixed size; state the shape"):
        node(value_type(None, 3)).output_shape()


def test_the_first_operand_is_x_or_input():
    assert node(x=["a"], y=["b"]).first_operand == "a"
    assert node(input=["c"]).first_operand == "c"
    assert node().first_operand == ""
