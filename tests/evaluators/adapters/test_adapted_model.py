"""A frozen model with adapters: which layers get one, and what training it changes."""

import pytest
import torch

from palettune.evaluators.adapters.adapted_model import AdaptedModel, AdapterError, adaptable, unadapted
from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.adapters.setting import AdapterSetting
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.testing.workloads import parse_configuration, setting_of
from tests.evaluators.every_use import every_layer, every_setting


def test_layers_that_are_large_enough_are_adapted_and_others_only_where_asked_for(tmp_path):
    layers = setting_of(tmp_path).weights.layers
    assert adaptable(layers, 1) == ("stem", "project", "classes")
    assert adaptable(layers, 1000) == ()
    assert adaptable(layers, 1000, ["project"]) == ("project",)
    with pytest.raises(AdapterError, match=r"no layer 'stemm'; the layers are stem"):
        adaptable(layers, 1, ["stemm"])
    with pytest.raises(AdapterError, match="expected an ungrouped layer"):
        adaptable(layers, 1, ["depthwise"])


def test_nothing_is_added_beside_a_weight_that_no_module_is_called_with():
    layers = {layer.name: layer for layer in every_layer()}
    assert adaptable(layers, 1) == ("attention.out_proj", "dense")
    assert adaptable(layers, 1, called=["dense"]) == ("dense",)
    reasons = {name: unadapted(layer, 1, ["dense"]) for name, layer in layers.items()}
    assert reasons["dense"] is None
    assert reasons["words"] == "layers of kind embedding have none"
    assert reasons["functional"] == reasons["attention.out_proj"] == "the weight is used without a call of a module"
    assert "rank 1000" in str(unadapted(layers["dense"], 1000))
    for name in ("functional", "attention.out_proj"):
        with pytest.raises(AdapterError, match="called as a module"):
            adaptable(layers, 1, [name], ["dense"])


def test_only_adapters_change_and_they_start_at_nothing(tmp_path):
    setting = setting_of(tmp_path)
    model = setting.workload.model
    state = ModelState.data_free(parse_configuration(setting, "lut4"), setting.weights, model_digest(model))
    adapted = AdaptedModel(model, state, ["project"], 2, torch.device("cpu"))
    inputs = setting.workload.example_inputs
    before = adapted(inputs)
    assert torch.allclose(before, state.apply(model)(*inputs), atol=1e-5)
    assert all("lora" in name for name in adapted.parameters())
    start = adapted.tensors()
    with torch.no_grad():
        for value, _ in adapted.parameters().values():
            value.add_(0.1)
    assert not torch.allclose(adapted(inputs), before)
    (branch,) = adapted.branches().values()
    product = branch.up.reshape(32, 2) @ branch.down.reshape(2, 16)
    assert torch.allclose(product, adapted.merged()["project"].reshape(32, 16), atol=1e-3)
    adapted.restore(start)
    assert torch.allclose(adapted(inputs), before)


def test_a_projection_that_attention_uses_without_a_call_gets_none(tmp_path):
    adapters = AdapterSetting(rank=1, tuning=FineTuningSetting(vector_steps=1, steps=1))
    assert AdapterEvaluator(every_setting(tmp_path), adapters).adapted == ("dense",)
