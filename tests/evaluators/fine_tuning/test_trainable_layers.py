"""What training leaves of a weight is what its encoding can hold; real packages are the oracle."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from experiments.benchmarks.random_layers import layer_of, package, random_encoding, random_module
from palettune.device_bench.proof.package_encoding import differences
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.fine_tuning.trainable_layers import trainable_weight
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget
from tests.evaluators.fine_tuning.trainables import pair, trained

SPELLINGS = (
    *("fp16", "lut4", "lut2-g8", "lut3-g8in", "lut4-v2", "lut3-g8-v4", "lut2-scaled", "lut4-int8", "lut2-uint8"),
    *("int8", "int4-asym", "uint8-asym-b8", "int4-b8", "int8-tensor", "uint4", "int4-b4x2"),
    *("sparse50", "sparse75", "sparse2:4", "sparse50-b2", "sparse75+lut2", "sparse50+lut4-g8", "sparse50+lut4-scaled"),
    *("sparse50+int8", "sparse75+uint8-asym", "sparse50+int4-b8"),
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_before_the_first_step_it_is_what_it_started_from(spelling: str) -> None:
    torch.manual_seed(0)
    for module in (nn.Linear(32, 24), nn.Conv2d(16, 24, 3), nn.ConvTranspose2d(16, 8, 2)):
        layer, encoding = layer_of(module), Encoding.parse(spelling)
        start = compress(module.weight, layer, encoding)
        found = trainable_weight(layer, encoding, start, module.weight.detach().clone()).compressed()
        assert torch.equal(found.weight, start.weight)
        assert set(found.buffers) == set(start.buffers)
        for key, value in start.buffers.items():
            assert found.buffers[key].shape == value.shape
            assert torch.equal(found.buffers[key].float(), value.float()), key


@pytest.mark.slow
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_training_lowers_the_error_and_keeps_the_form(spelling: str) -> None:
    torch.manual_seed(1)
    trainable = pair(nn.Conv2d(16, 24, 3), spelling)
    before = trainable.compressed()
    losses = trained(trainable, steps=12)
    assert min(losses) < losses[0]
    after = trainable.compressed()
    assert torch.equal(after.weight, trainable.decoded().detach())
    assert not torch.equal(after.weight, before.weight)
    table = trainable.encoding.table
    if table is not None and not table.scaled and table.vector == 1:
        held = after.buffers["lut"].flatten()
        assert set(after.weight[after.weight != 0].tolist()) <= set(held.half().float().tolist())
    if trainable.encoding.sparsity is not None:
        assert torch.equal(after.weight != 0, before.weight != 0)


@pytest.mark.slow
def test_packages_hold_what_was_trained() -> None:
    torch.manual_seed(2)
    torch.set_num_threads(1)
    modules = [nn.Linear(16, 24) for _ in SPELLINGS] + [nn.Conv2d(16, 8, 2) for _ in SPELLINGS]
    trainables = [pair(module, spelling) for module, spelling in zip(modules, SPELLINGS * 2, strict=True)]
    for trainable in trainables:
        trained(trainable)
    made = [trainable.compressed() for trainable in trainables]
    found = package(modules, made, DeploymentTarget.IOS18)
    for trainable, one, weight in zip(trainables, made, found.weights, strict=True):
        spelling = str(trainable.encoding)
        assert list(differences(weight, trainable.layer, trainable.encoding)) == [], spelling
        np.testing.assert_allclose(weight.value, one.weight.numpy(), rtol=2**-10, atol=2**-24, err_msg=spelling)
        kept = int(one.weight.count_nonzero())
        offsets = one.buffers.get("zero_point")
        if offsets is None or offsets.any():  # the converter leaves out zero points that are all zero
            assert weight.bytes == layer_bytes(trainable.layer, trainable.encoding, DeploymentTarget.IOS18, kept)


@pytest.mark.slow
def test_random_layers_and_encodings_start_as_compressed_and_stay_storable() -> None:
    rng, torch_threads = random.Random(5), torch.get_num_threads()
    torch.set_num_threads(1)
    modules, trainables = [], []
    while len(trainables) < 25:
        module, encoding = random_module(rng), random_encoding(rng)
        layer = layer_of(module)
        if layer.parameters > 5000 or refusal(layer, encoding, DeploymentTarget.IOS18):
            continue
        try:
            start = compress(module.weight, layer, encoding)
        except CompressionError:
            continue
        trainable = trainable_weight(layer, encoding, start, module.weight.detach().clone())
        assert torch.equal(trainable.compressed().weight, start.weight), encoding
        trained(trainable, steps=3)
        modules.append(module)
        trainables.append(trainable)
    made = [trainable.compressed() for trainable in trainables]
    found = package(modules, made, DeploymentTarget.IOS18)
    for trainable, one, weight in zip(trainables, made, found.weights, strict=True):
        assert list(differences(weight, trainable.layer, trainable.encoding)) == [], str(trainable.encoding)
        np.testing.assert_allclose(weight.value, one.weight.numpy(), rtol=2**-10, atol=2**-24)
    torch.set_num_threads(torch_threads)
