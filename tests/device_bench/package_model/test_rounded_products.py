"""Roundings at ops, as a model notes them and a program holds them."""

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb
from torch import nn

from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.device_bench.package_model.rounded_products import (
    RoundedProducts,
    clear_rounded_products,
    round_input,
    rounded_products,
)
from palettune.space.layer import Layer, LayerKind


class Noted(RoundedProducts):
    def __call__(self, model, inputs):
        return None


def test_what_is_noted_on_a_model_is_read_and_removed_and_other_hooks_stay():
    model, layer = nn.Linear(2, 2), Layer("held", LayerKind.LINEAR, (2, 2), parameter="held")
    rounding = ActivationQuantization(0.5, 3, by_op=True)
    seen = []
    model.register_forward_pre_hook(lambda *_: seen.append(1))
    model.register_forward_pre_hook(Noted({layer: rounding}))
    assert rounded_products(model) == {layer: rounding}
    clear_rounded_products(model)
    assert rounded_products(model) == {}
    model(torch.zeros(1, 2))
    assert seen == [1]


@pytest.mark.parametrize("signed", [False, True])
def test_only_the_op_itself_takes_the_rounded_value(signed):
    @mb.program(input_specs=[mb.TensorSpec((1, 4))], opset_version=ct.target.iOS17)
    def program(x):
        first = mb.linear(x=x, weight=np.eye(4, dtype=np.float32), name="first")
        return mb.add(x=first, y=x, name="sum")

    (function,) = program.functions.values()
    op = next(op for op in function.operations if op.name == "first")
    rounded = round_input(op, "x", ActivationQuantization(0.25, 0 if signed else 7, signed))
    kinds = [op.op_type for op in function.operations if op.op_type != "const"]
    assert kinds == ["quantize", "dequantize", "linear", "add"]
    assert op.inputs["x"] is rounded
    assert next(op for op in function.operations if op.name == "sum").inputs["y"].name == "x"
    quantize = rounded.op.inputs["input"].op
    assert quantize.inputs["zero_point"].val == (0 if signed else 7)
    assert quantize.inputs["output_dtype"].val == ("int8" if signed else "uint8")
