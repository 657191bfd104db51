"""Compressed weights in a module: values and metadata buffers."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.compressed_weight import CompressedWeight, buffer_name, clear, install, metadata

INT8 = {"compression_type": torch.tensor([3]), "quantization_scale": torch.full((2, 1), 0.5)}


def test_values_and_metadata_are_put_in_and_taken_out_again():
    root = nn.Sequential(nn.Linear(2, 2))
    install(root, "0", CompressedWeight(torch.ones(2, 2), INT8))
    assert torch.equal(root[0].weight, torch.ones(2, 2))
    assert set(metadata(root[0])) == set(INT8)
    assert metadata(root[0], "bias") == {}
    assert buffer_name("weight", "quantization_scale") in dict(root[0].named_buffers())
    install(root, "0", CompressedWeight(torch.zeros(2, 2)))
    assert metadata(root[0]) == {}
    assert root[0].weight.sum() == 0


def test_the_metadata_of_one_parameter_is_cleared_alone():
    module = nn.Linear(2, 2)
    for parameter in ("weight", "bias"):
        module.register_buffer(buffer_name(parameter, "compression_type"), torch.tensor([3]))
    module.register_buffer("own", torch.ones(1))
    clear(module)
    assert metadata(module) == {}
    assert set(metadata(module, "bias")) == {"compression_type"}
    assert module.own == 1


def test_a_weight_of_another_shape_is_refused_with_the_layer():
    root = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"layer '0': the module holds a weight of shape \(3, 2\)"):
        install(root, "0", CompressedWeight(torch.ones(2, 3)))
