"""One layer's weight through coremltools' own algorithms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.compression.errors import CompressionError
from palettune.space.encoding import Encoding
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget

MODULES = {
    "linear": lambda: nn.Linear(64, 48),
    "conv1d": lambda: nn.Conv1d(32, 64, 3),
    "conv2d": lambda: nn.Conv2d(32, 64, 3),
    "depthwise": lambda: nn.Conv2d(32, 64, 3, groups=32),
    "conv3d": lambda: nn.Conv3d(16, 32, 2),
    "conv_transpose2d": lambda: nn.ConvTranspose2d(32, 64, 3),
    "embedding": lambda: nn.Embedding(64, 48),
}


def compressed(module: nn.Module, spelling: str, seed: int = 0):
    (layer,) = layers_of(nn.Sequential(module))
    return compress(module.weight, layer, Encoding.parse(spelling), seed)


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("spelling", ["lut4", "lut4-g16", "lut2-g16in", "lut4-scaled", "int8", "int4-b16", "sparse50"])
def test_weight_becomes_what_the_encoding_can_hold(kind: str, spelling: str) -> None:
    torch.manual_seed(1)
    module = MODULES[kind]()
    (layer,) = layers_of(nn.Sequential(module))
    encoding = Encoding.parse(spelling)
    if refusal(layer, encoding, DeploymentTarget.IOS18):
        pytest.skip("not legal here")
    result = compress(module.weight, layer, encoding)
    assert result.weight.shape == module.weight.shape
    assert result.buffers
    if encoding.sparsity is not None:
        assert (result.weight == 0).sum().item() == layer.parameters // 2
    elif not (encoding.table and encoding.table.scaled) and encoding.table:
        tables = 1 if encoding.table.group is None else result.buffers["lut"].numel() // 2**encoding.bits
        assert result.weight.unique().numel() <= tables * 2**encoding.bits
    error = (result.weight - module.weight).norm() / module.weight.norm()
    assert error < {16: 0.5, 8: 0.01, 4: 0.15, 2: 0.5}[encoding.bits]


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Conv2d(8, 16, 3)
    before = module.weight.detach().clone()
    compressed(module, "lut2")
    assert torch.equal(module.weight, before)
    assert not list(module.named_buffers())


def test_same_seed_same_weight() -> None:
    torch.manual_seed(0)
    module = nn.Linear(64, 32)
    assert torch.equal(compressed(module, "lut4-v2", 7).weight, compressed(module, "lut4-v2", 7).weight)


def test_a_weight_that_is_not_finite_is_an_error_with_its_layer_and_stage() -> None:
    module = nn.Linear(8, 8)
    module.weight.data[0, 0] = float("nan")
    with pytest.raises(CompressionError, match="layer '0' as lut4: reading failed"):
        compressed(module, "lut4")


def test_a_silent_skip_of_coremltools_is_an_error() -> None:
    with pytest.raises(CompressionError, match="skipped"):
        compressed(nn.Linear(8, 12), "lut4-g16")
