"""Which layers take 8-bit activations."""

from types import SimpleNamespace

import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.workload.sampling import Sampling
from palettune.search.preparation.int8_rounding import rounding
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.again, self.alone = (nn.Linear(8, 8) for _ in range(3))
        self.again.weight = self.first.weight

    def forward(self, x):
        return self.alone(self.again(self.first(x)))


def test_a_weight_that_modules_share_keeps_inputs_in_floats_since_each_would_need_a_scale_of_its_own():
    model = Tied()
    layers = layers_of(model)
    workload = SimpleNamespace(model=model, example_inputs=(torch.rand(1, 8),), sampling=Sampling())
    rounded = rounding(SimpleNamespace(workload=workload, layers=layers))
    int8 = dict.fromkeys(("first", "alone"), Encoding.parse("int8"))
    assert rounded(Configuration(int8)).activations == {"alone": Precision.INT8}
    assert rounded(Configuration({**int8, "alone": Encoding.parse("lut4")})) is None


def test_a_parameter_that_is_no_modules_is_rounded_at_its_product():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.weights = nn.Linear(8, 8), nn.ParameterList([nn.Parameter(torch.randn(8, 8))])

        def forward(self, x):
            return self.first(x) @ self.weights[0]

    model = Mixed()
    layers = (*layers_of(model), Layer("weights.0", LayerKind.MATMUL, (8, 8), parameter="weights.0"))
    workload = SimpleNamespace(model=model, example_inputs=(torch.rand(1, 8),), sampling=Sampling())
    rounded = rounding(SimpleNamespace(workload=workload, layers=layers))
    int8 = dict.fromkeys(("first", "weights.0"), Encoding.parse("int8"))
    assert rounded(Configuration(int8)).activations == dict.fromkeys(int8, Precision.INT8)
