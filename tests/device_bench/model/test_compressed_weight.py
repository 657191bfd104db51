"""Compressed weights in a module: values in its tensors, and metadata beside them."""

import copy

import pytest
import torch
from torch import nn

from palettune.device_bench.model.compressed_weight import CompressedWeight, clear, install, installed
from palettune.space.layer import Layer, LayerKind, WeightView

INT8 = {"compression_type": torch.tensor([3]), "quantization_scale": torch.full((2, 1), 0.5)}
PLAIN = Layer("0", LayerKind.LINEAR, (2, 2))


def test_values_and_metadata_are_put_in_and_taken_out_again():
    root = nn.Sequential(nn.Linear(2, 2))
    assert not installed(root)
    install(root, PLAIN, CompressedWeight(torch.ones(2, 2), INT8))
    assert torch.equal(root[0].weight, torch.ones(2, 2))
    assert installed(root)["0"].buffers == INT8
    assert installed(copy.deepcopy(root)).keys() == {"0"}
    install(root, PLAIN, CompressedWeight(torch.zeros(2, 2)))
    assert installed(root)["0"].buffers == {}
    assert root[0].weight.sum() == 0
    clear(root, "0")
    assert not installed(root)


def test_what_is_no_part_of_the_layer_stays():
    root = nn.Module()
    root.register_parameter("packed", nn.Parameter(torch.zeros(4, 3)))
    layer = Layer("packed.1", LayerKind.LINEAR, (2, 3), parameter="packed", view=WeightView(6, (3, 1)))
    install(root, layer, CompressedWeight(torch.ones(2, 3), INT8))
    assert root.packed.tolist() == [[0] * 3] * 2 + [[1] * 3] * 2


def test_a_weight_of_another_shape_is_refused_with_the_layer():
    root = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"layer '0': its weight has shape \(3, 2\), not \(2, 3\)"):
        install(root, Layer("0", LayerKind.LINEAR, (3, 2)), CompressedWeight(torch.ones(2, 3)))
