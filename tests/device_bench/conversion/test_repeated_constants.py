"""What a large constant repeats is stored once, and the program computes the same."""

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.conversion.repeated_constants import store_repeated_constants_once


def passed(body, shape=(1, 32, 64), target=ct.target.iOS18):
    """The ops of a program after the pass, without plain constants."""

    @mb.program(input_specs=[mb.TensorSpec(shape=shape)], opset_version=target)
    def program(x):
        return body(x)

    store_repeated_constants_once().apply(program)
    return program.functions["main"].operations


def constant_of(ops, op_type, operand="y"):
    (op,) = [op for op in ops if op.op_type == op_type]
    value = op.inputs[operand]
    return value[-1] if isinstance(value, (list, tuple)) else value


ROWS = np.tile(np.arange(64, dtype=np.float32), (1, 32, 1))


def test_equal_rows_are_one_where_the_op_broadcasts():
    found = constant_of(passed(lambda x: mb.add(x=x, y=ROWS)), "add")
    assert found.shape == (1, 1, 64)
    assert np.array_equal(found.val, ROWS[:, :1])
    zeros = constant_of(passed(lambda x: mb.mul(x=x, y=np.zeros((1, 32, 64), np.float32))), "mul")
    assert (zeros.shape, zeros.val.item()) == ((1, 1, 1), 0)


@pytest.mark.parametrize(
    "shape", [(1, 1, 64), (1, 32, 1)], ids=["rows are made by the constant", "columns are made by the constant"]
)
def test_an_axis_that_the_constant_makes_stays(shape):
    found = constant_of(passed(lambda x: mb.add(x=x, y=ROWS), shape), "add")
    assert found.shape == ((1, 32, 64) if shape[1] == 1 else (1, 1, 64))


def test_few_values_are_a_table_where_nothing_broadcasts():
    zeros = np.full((1, 32, 64), 0.25, np.float32)
    ops = passed(lambda x: mb.concat(values=[x, zeros], axis=0))
    assert constant_of(ops, "concat", "values").op.op_type == "constexpr_lut_to_dense"
    table = constant_of(ops, "concat", "values").op
    assert np.ravel(table.lut.val).tolist() == [0.25, 0.25]
    assert not np.any(table.indices.val)
    old = passed(lambda x: mb.concat(values=[x, zeros], axis=0), target=ct.target.iOS17)
    assert constant_of(old, "concat", "values").op.op_type == "const"


@pytest.mark.parametrize(
    "body",
    [
        lambda x: mb.add(x=x, y=np.random.default_rng(0).random((1, 32, 64), np.float32)),
        lambda x: mb.add(x=x, y=np.zeros((1, 1, 64), np.float32)),
        lambda x: mb.linear(x=x, weight=np.zeros((64, 64), np.float32)),
        lambda x: (mb.relu(x=x), mb.const(val=ROWS, name="returned")),
    ],
    ids=["other values", "small", "a weight", "returned"],
)
def test_all_else_stays(body):
    before = [op.op_type for op in passed(lambda x: mb.relu(x=x))]
    assert before
    ops = passed(body)
    assert not any(op.op_type.startswith("constexpr") for op in ops)
    shapes = {op.outputs[0].shape for op in ops if op.op_type == "const"}
    assert shapes & {(1, 32, 64), (1, 1, 64), (64, 64)}


@pytest.mark.parametrize(("count", "bits"), [(2, 1), (3, 2), (16, 4), (17, None)])
def test_a_mask_is_a_table_of_its_values(count, bits):
    levels = np.linspace(-100, 0, count, dtype=np.float32)
    mask = np.random.default_rng(0).choice(levels, (1, 32, 64))
    found = constant_of(passed(lambda x: mb.add(x=x, y=mask)), "add")
    if bits is None:
        assert found.op.op_type == "const"
        return
    lut = np.ravel(found.op.lut.val)
    assert len(lut) == 2**bits
    assert np.array_equal(lut[np.array(found.op.indices.val, int)], mask)
