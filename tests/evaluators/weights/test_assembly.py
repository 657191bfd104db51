"""Assembled models hold the weights of their configuration."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.compressed_weight import installed
from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.weights import assembly
from palettune.evaluators.weights.assembly import Assembler, LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

LUT4, LUT2 = Encoding.parse("lut4"), Encoding.parse("lut2")


@pytest.fixture
def weights(tmp_path):
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 8))
    return LayerWeights(model, layers_of(model), WeightBank(tmp_path))


@pytest.fixture
def assembler(weights):
    return Assembler(weights._model, weights)


def test_only_layers_whose_encoding_changed_are_copied(weights, assembler, monkeypatch):
    module = assembler.assemble(Configuration({"0": LUT4, "1": LUT4}))
    assert torch.equal(module[0].weight, weights.get("0", LUT4).weight)
    asked = []
    get = weights.get
    monkeypatch.setattr(weights, "get", lambda *key: asked.append(key) or get(*key))
    module = assembler.assemble(Configuration({"0": LUT4, "1": LUT2}))
    assert asked == [("1", LUT2)]
    assert torch.equal(module[1].weight, get("1", LUT2).weight)


def test_after_a_layer_was_replaced_every_layer_is_assembled_anew(weights, assembler):
    assembler.assemble(Configuration({"0": LUT4, "1": LUT4}))
    module = assembler.replace({"0": torch.zeros(16, 16)})
    assert not module[0].weight.any()
    assert torch.equal(module[1].weight, weights.float_weight("1"))
    module = assembler.assemble(Configuration({"0": LUT4, "1": LUT4}))
    assert torch.equal(module[0].weight, weights.get("0", LUT4).weight)


def test_a_copy_for_conversion_carries_metadata_and_the_reused_model_none(weights, assembler):
    made = assembler.with_metadata(Configuration({"0": LUT4, "1": LUT2}))
    assert "lut" in installed(made)["0"].buffers
    assert not installed(assembler.module)


def test_a_weight_is_compressed_once_and_the_cache_is_bounded(tmp_path, monkeypatch):
    compress, calls = assembly.compress_with_free_scales, []
    monkeypatch.setattr(assembly, "compress_with_free_scales", lambda *a, **k: calls.append(a) or compress(*a, **k))
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 8))
    weights = LayerWeights(model, layers_of(model), WeightBank(tmp_path), cache_bytes=1)
    for _ in range(2):
        for layer in ("0", "1"):
            weights.get(layer, LUT4)
    assert len(calls) == 2
    assert len(weights._cache) == 1
