"""Kinds of ops by their types."""

import pytest

from palettune.device_bench.cost.op import OpKind
from palettune.device_bench.cost.op_names import ACTIVATIONS, FREE, OF_CONSTANTS, PASSED_ON, kind_of_op
from palettune.device_bench.runtime.coverage import op_set


@pytest.mark.parametrize(
    ("op_type", "kind"),
    [
        ("softmax", OpKind.SOFTMAX), ("max_pool", OpKind.POOL), ("reduce_mean", OpKind.POOL), ("concat", OpKind.MOVE),
        ("topk", OpKind.HOST), ("lstm", OpKind.RECURRENT), ("layer_norm", OpKind.NORM), ("add", OpKind.ELEMENTWISE),
    ],
)  # fmt: skip
def test_kinds(op_type, kind):
    assert kind_of_op(op_type) is kind


def test_every_name_is_an_op_of_the_op_set():
    assert (FREE | ACTIVATIONS | PASSED_ON | OF_CONSTANTS) - op_set() == {"function", "return"}
