"""Fine-tuning of small networks of several kinds, and everything that may go wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from palettune.device_bench.model.layer_weight import layer_weight
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.evaluators.weights.model_state import DATA_FREE
from palettune.evaluators.workflow.evaluator import WorkflowResult
from palettune.space.configuration import Configuration, Precision
from palettune.testing.workloads import NETWORKS, parse_configuration, setting_of
from tests.evaluators.every_use import every_setting
from tests.evaluators.fine_tuning.tuned import SHORT, tuned
from tests.evaluators.gradient_cases import HALVES

MIXED = {
    "convolutions": ("lut2", {"depthwise": "int4", "project": "sparse75+lut4", "classes": "lut4-scaled"}),
    "transformer": ("int4", {"tokens": "lut3-g10", "query": "lut4-v2", "up": "sparse2:4", "down": "sparse50+int8"}),
    "recurrent": ("lut2", {"outside": "uint4-asym"}),
    "audio": ("lut2", {"second": "sparse50", "back": "lut3-int8"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_of_several_kinds_come_nearer_to_their_float_model(network: str, tmp_path: Path) -> None:
    spelling, others = MIXED[network]
    setting = setting_of(tmp_path, network, without=["loss"])
    start = DataFreeEvaluator(setting).evaluate(parse_configuration(setting, spelling, **others))
    found = tuned(setting, spelling, start=start, **others)
    assert isinstance(found, WorkflowResult)
    assert found.evaluation.divergence < 0.8 * start.evaluation.divergence
    assert [gain.method for gain in found.gains] == ["norms_and_biases", "everything"]
    assert any(gain.kept for gain in found.gains)
    for name, weight in found.state.weights.items():
        assert set(weight.buffers) == set(start.state.weights[name].buffers)


@pytest.mark.slow
def test_weights_that_are_no_modules_are_trained_in_the_form_of_their_encodings(tmp_path: Path) -> None:
    setting = every_setting(tmp_path)
    others = {"lstm_weight_hh_l1": "int4", "gru_weight_ih_l0_1": "sparse50", "attention_in_proj_weight": "lut3"}
    start = DataFreeEvaluator(setting).evaluate(parse_configuration(setting, "lut2", **others))
    found = tuned(setting, "lut2", start=start, **others)
    assert isinstance(found, WorkflowResult)
    assert found.evaluation.divergence < 0.6 * start.evaluation.divergence
    assert all(gain.kept for gain in found.gains)
    assert set(found.state.methods.values()) == {"fine_tuning"}
    for name, weight in found.state.weights.items():
        assert set(weight.buffers) == set(start.state.weights[name].buffers)
        assert not torch.equal(weight.weight, start.state.weights[name].weight)
        if name.replace(".", "_") not in others:
            assert len(weight.weight.unique()) <= 4
    assert int(found.state.weights["gru.weight_ih_l0.1"].weight.count_nonzero()) == 128
    applied = found.state.apply(setting.workload.model)
    for name, layer in setting.weights.layers.items():
        assert torch.equal(layer_weight(applied, layer), found.state.weights[name].weight)


@pytest.mark.slow
def test_activations_in_8_bits_are_trained_with(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, "transformer", without=["loss"])
    plain = parse_configuration(setting, "int4")
    asked = Configuration(plain.encodings, dict.fromkeys(("query", "up", "down"), Precision.INT8))
    rounded = FineTuningEvaluator(setting, replace(SHORT, vector_steps=0, steps=0)).evaluate(asked)
    found = FineTuningEvaluator(setting, SHORT).evaluate(asked)
    assert set(found.state.activations) == {"query", "up", "down"}
    assert found.state.configuration == asked
    assert found.evaluation.divergence < 0.9 * rounded.evaluation.divergence
    again = FineTuningEvaluator(setting, replace(SHORT, steps=0)).evaluate(asked, found)
    assert again.state.activations == found.state.activations
    embedded = Configuration(plain.encodings, {"tokens": Precision.INT8})
    failed = FineTuningEvaluator(setting, SHORT).evaluate(embedded)
    assert isinstance(failed, Failure)
    assert (failed.stage, failed.layer) == (Stage.CALIBRATE, "tokens")


@pytest.mark.slow
def test_weights_without_a_module_are_trained_with_rounded_inputs(tmp_path: Path) -> None:
    setting = every_setting(tmp_path)
    plain = parse_configuration(setting, "int4")
    asked = Configuration(plain.encodings, dict.fromkeys(("product", "attention.in_proj_weight"), Precision.INT8))
    rounded = FineTuningEvaluator(setting, replace(SHORT, vector_steps=0, steps=0)).evaluate(asked)
    found = FineTuningEvaluator(setting, SHORT).evaluate(asked)
    assert isinstance(rounded, WorkflowResult)
    assert isinstance(found, WorkflowResult)
    assert all(one.by_op for one in found.state.activations.values())
    assert found.state.activations == rounded.state.activations
    assert found.evaluation.divergence < 0.6 * rounded.evaluation.divergence


@pytest.mark.slow
def test_norms_and_biases_alone_leave_every_weight_as_it_was(tmp_path: Path) -> None:
    setting = setting_of(tmp_path)
    start = DataFreeEvaluator(setting).evaluate(parse_configuration(setting, "lut1"))
    found = tuned(setting, "lut1", tuning=FineTuningSetting(vector_steps=30, steps=0, held_out=8))
    assert set(found.state.methods.values()) == {DATA_FREE}
    assert all(torch.equal(w.weight, start.state.weights[n].weight) for n, w in found.state.weights.items())
    assert set(found.state.tensors) == {
        *("norm.weight", "norm.bias", "norm2.weight", "norm2.bias", "project.bias", "classes.bias")
    }
    assert found.evaluation.divergence < start.evaluation.divergence


def test_what_does_not_gain_is_not_kept(tmp_path: Path) -> None:
    setting = setting_of(tmp_path)
    start = DataFreeEvaluator(setting).evaluate(parse_configuration(setting, "fp16"))
    found = tuned(setting, "fp16", FineTuningSetting(vector_steps=2, steps=2, rate=0.9, vector_rate=0.9, held_out=8))
    assert not any(gain.kept for gain in found.gains)
    assert found.state.digest == start.state.digest
    assert found.evaluation.divergence == pytest.approx(start.evaluation.divergence)


@pytest.mark.slow
def test_calibration_data_do_where_there_is_no_training_data(tmp_path: Path) -> None:
    assert isinstance(tuned(setting_of(tmp_path / "a", without=["training_data"])), WorkflowResult)
    setting = setting_of(tmp_path / "b", without=["training_data", "calibration_data"])
    assert "training_data() or calibration_data()" in FineTuningEvaluator.missing(setting.workload)


def test_a_part_that_no_gradient_reaches_is_left_and_said(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, HALVES.replace("CUT", "hidden.detach()"), without=["loss"])
    found = tuned(setting, "lut2")
    assert isinstance(found, WorkflowResult)
    assert [gain.method for gain in found.gains] == ["everything"]
    assert any("norms_and_biases: no gradient reaches" in note for note in found.notes)


def test_a_training_without_gradients_fails_with_its_reason(tmp_path: Path, monkeypatch) -> None:
    """Where the evaluation data have gradients and the training data do not."""
    monkeypatch.setattr(FineTuningEvaluator, "missing", classmethod(lambda _cls, _workload: None))
    setting = setting_of(tmp_path, HALVES.replace("CUT", "hidden).detach("), without=["loss"])
    found = tuned(setting, "lut2")
    assert isinstance(found, Failure)
    assert found.stage is Stage.TRAIN
    assert "no gradient reaches a trained parameter: the forward pass runs under torch.no_grad" in found.reason
