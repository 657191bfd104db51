"""Pruning: as many values as asked for are kept, and none of them so small that the converter drops it."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.compression.sparse import SMALLEST_KEPT, TAKEN_FOR_ZERO, prune_weight
from palettune.space.encoding import Encoding
from palettune.space.sparsity import nonzero_count


def pruned(spelling, weight):
    module = nn.Linear(weight.shape[1], weight.shape[0])
    (layer,) = layers_of(nn.Sequential(module))
    encoding = Encoding.parse(spelling)
    return layer, prune_weight(Carrier(layer, encoding), weight, encoding.sparsity, encoding.values)


@pytest.mark.parametrize("spelling", ["sparse50", "sparse75", "sparse2:4", "sparse50+lut4", "sparse50+int8"])
def test_the_strongest_values_are_kept_and_as_many_as_asked_for(spelling):
    weight = torch.randn(16, 32)
    layer, found = pruned(spelling, weight)
    kept = found.weight != 0
    assert int(kept.sum()) == nonzero_count(layer, Encoding.parse(spelling).sparsity)
    if "2:4" not in spelling:
        assert weight[kept].abs().min() >= weight[~kept].abs().max()
    assert found.weight[kept].abs().min() > TAKEN_FOR_ZERO


def test_values_of_one_size_are_dropped_down_to_the_count():
    layer, found = pruned("sparse50", torch.ones(8, 8))
    assert int(found.weight.count_nonzero()) == nonzero_count(layer, Encoding.parse("sparse50").sparsity)


def test_a_small_value_that_is_kept_is_lifted_above_what_the_converter_takes_for_zero():
    weight = torch.full((8, 8), 1e-5) * torch.arange(1, 65).reshape(8, 8) / 64
    _, found = pruned("sparse50", weight)
    assert found.weight[found.weight != 0].tolist() == pytest.approx([SMALLEST_KEPT] * 32, rel=2**-10)


def test_a_weight_of_which_nothing_is_left_is_an_error():
    with pytest.raises(CompressionError, match="pruning failed: no weight is left"):
        pruned("sparse50", torch.zeros(8, 8))
