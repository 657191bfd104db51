"""Weights of every kind travel to coremltools' two layouts and back."""

import logging
import sys

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.compression.carrier import Carrier, quiet, spread, to_half
from palettune.space.encoding import Encoding

MODULES = {
    "linear": lambda: nn.Linear(6, 4),
    "embedding": lambda: nn.Embedding(6, 4),
    "conv3d": lambda: nn.Conv3d(4, 6, (2, 3, 1)),
    "grouped": lambda: nn.Conv2d(8, 6, 3, groups=2),
    "transposed": lambda: nn.ConvTranspose2d(4, 6, 3),
}


def carrier_of(module):
    (layer,) = layers_of(nn.Sequential(module))
    return Carrier(layer, Encoding.parse("lut4"))


@pytest.mark.parametrize("kind", MODULES)
def test_a_weight_comes_back_and_its_output_channels_come_first(kind):
    module = MODULES[kind]()
    carrier = carrier_of(module)
    carried = carrier.module(module.weight.detach())
    (inner,) = carried
    assert isinstance(inner, nn.Linear if module.weight.ndim == 2 else nn.Conv2d)
    assert inner.weight.shape[0] == carrier.layer.output_channels
    assert torch.equal(carrier.weight(carried), module.weight.detach())
    assert torch.equal(carrier.weight_of(module.weight.detach()), inner.weight.detach())


def test_a_buffer_of_a_transposed_convolution_is_turned():
    carrier = carrier_of(MODULES["transposed"]())
    scale = carrier.per_axis(torch.arange(6.0).reshape(6, 1))
    assert scale.shape == (1, 6, 1, 1)
    assert carrier.axis(0) == 1


def test_errors_name_the_layer_also_where_single_values_travel():
    carrier = carrier_of(nn.Linear(6, 4))
    values = torch.ones(5)
    assert carrier.flat(values).module(values[None])[0].weight.shape == (1, 5)
    assert str(carrier.flat(values).failure("pruning", "why")) == "layer '0' as lut4: pruning failed: why"


def test_warnings_of_coremltools_are_collected_and_logging_is_put_back(capsys):
    logger = logging.getLogger("coremltools.optimize.torch")
    before = (list(logger.handlers), logger.propagate)
    with quiet() as heard:
        logger.warning("skipped %s", "a layer")
        print("progress", file=sys.stderr)
    assert heard == ["skipped a layer"]
    assert (list(logger.handlers), logger.propagate) == before
    assert "progress" not in capsys.readouterr().err


def test_block_values_are_repeated_and_fp16_is_exact():
    assert spread(torch.tensor([[1.0, 2.0]]), torch.Size((2, 4))).tolist() == [[1, 1, 2, 2]]
    assert to_half(torch.tensor([1 / 3])).item() == torch.tensor(1 / 3).half().item()
