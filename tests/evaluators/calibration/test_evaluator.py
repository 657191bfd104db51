"""The calibration workflow as a whole; what every workflow does is in the contract."""

import itertools
from dataclasses import replace

import pytest
import torch

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.program_graph import program_nodes
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.calibration.layer_choices import LayerChoices
from palettune.evaluators.calibration.moment_matching import MomentMatching
from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.evaluators.workload.workload import WorkloadError
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget
from palettune.testing.workloads import CONVOLUTIONS, parse_configuration, setting_of
from tests.evaluators.every_use import every_layer, every_setting


@pytest.mark.parametrize("network", ["convolutions", "transformer", "recurrent", "audio"])
def test_it_gains_on_every_kind_of_network(tmp_path, network):
    setting = setting_of(tmp_path, network)
    configuration = parse_configuration(setting, "lut2")
    before = DataFreeEvaluator(setting).evaluate(configuration).evaluation.divergence
    outcome = CalibrationEvaluator(setting).evaluate(configuration)
    assert outcome.evaluation.divergence < 0.8 * before
    tried = {gain.method for gain in outcome.gains}
    assert {"moment_matching", "layer_weights", "compensated_tables"} <= tried
    methods = {gain.layer: gain.method for gain in outcome.gains if gain.layer and gain.kept}
    whole = next(gain for gain in outcome.gains if gain.method == "layer_weights")
    for name, method in outcome.state.methods.items():
        assert method == (methods.get(name, "data_free") if whole.kept else "data_free")


def test_it_gains_where_no_weight_is_a_modules(tmp_path):
    setting = every_setting(tmp_path)
    configuration = parse_configuration(setting, "int4")
    before = DataFreeEvaluator(setting).evaluate(configuration).evaluation.divergence
    outcome = CalibrationEvaluator(setting).evaluate(configuration)
    assert outcome.evaluation.divergence < 0.5 * before
    assert next(gain.kept for gain in outcome.gains if gain.method == "layer_weights")
    assert outcome.state.methods["lstm.weight_hh_l1"] == outcome.state.methods["conv1d"] == "gptq"
    assert outcome.state.methods["words"] == "data_free"
    assert any(gain.layer == "words" and "embedding" in gain.reason for gain in outcome.gains)
    assert any(note.startswith("moments are not matched by attention.in_proj_bias") for note in outcome.notes)


@pytest.mark.slow
def test_weights_found_for_every_use_are_those_of_the_package(tmp_path):
    setting, target = every_setting(tmp_path), DeploymentTarget.IOS18
    model, inputs = setting.workload.model, setting.workload.example_inputs
    layers = base_program(model, inputs, target).layers
    by_name = {layer.name: layer for layer in every_layer()}
    assert [one for one in layers if one.name in by_name] == [
        by_name[one.name] for one in layers if one.name in by_name
    ]
    assert len([one for one in layers if one.name in by_name]) == len(by_name) - 6  # gates may be one weight
    setting = replace(setting, weights=LayerWeights(model, layers, setting.weights.bank))
    spellings = itertools.cycle(("int4", "lut3-g8in", "sparse50", "lut4", "int4-b8"))
    legal = {
        layer.name: next(e for e in map(Encoding.parse, spellings) if refusal(layer, e, target) is None)
        for layer in layers
    }
    start = ModelState.data_free(Configuration(legal), setting.weights, model_digest(model))
    chosen = LayerChoices(setting, calibration_samples(setting.workload))
    choices = {name: chosen.choose(name, encoding, start.weights[name]) for name, encoding in legal.items()}
    assert {choice.method for choice in choices.values()} >= {"gptq", "compensated_tables", "sparse_gpt"}
    state = replace(
        start,
        weights={name: choice.weight for name, choice in choices.items()},
        methods={name: choice.method for name, choice in choices.items()},
    )
    module, path = state.apply(model), tmp_path / "model.mlpackage"
    convert(module, inputs, target).save(str(path))
    assert not prove(path, module, inputs, Configuration(legal), layers, target).failures
    assert compare(path, as_stored(module), [inputs]).passed


def test_nothing_that_does_not_gain_is_kept(tmp_path, monkeypatch):
    setting = setting_of(tmp_path)
    configuration = parse_configuration(setting, "lut3")
    before = DataFreeEvaluator(setting).evaluate(configuration)

    def spoil(self, module, strength=1.0):
        module.norm.bias.data += 5
        return {"norm.bias": module.norm.bias.detach().clone()}

    monkeypatch.setattr(MomentMatching, "apply", spoil)
    outcome = CalibrationEvaluator(setting, layer_methods=False).evaluate(configuration)
    assert [gain.kept for gain in outcome.gains] == [False]
    assert outcome.gains[0].after > outcome.gains[0].before
    assert outcome.state.digest == before.state.digest
    assert outcome.evaluation.by_sample == before.evaluation.by_sample


@pytest.mark.slow
def test_activations_in_8_bits_are_in_the_package_where_asked_and_only_there(tmp_path):
    setting = setting_of(tmp_path)
    weights = parse_configuration(setting, "int8", project="lut4")
    asked = ("stem", "project", "classes")
    configuration = Configuration(weights.encodings, dict.fromkeys(asked, Precision.INT8))
    refused = DataFreeEvaluator(setting).evaluate(configuration)
    assert isinstance(refused, Failure)
    assert refused.layer in asked
    start = DataFreeEvaluator(setting).evaluate(weights)
    outcome = CalibrationEvaluator(setting).evaluate(configuration, start)
    assert set(outcome.state.activations) == set(asked)
    assert outcome.evaluation.divergence < max(20 * start.evaluation.divergence, 1e-2)
    assert any(gain.method == "activation_ranges" and gain.kept for gain in outcome.gains)
    assert any(note.startswith("8-bit activations: inputs in fp16 of ") for note in outcome.notes)
    module = outcome.state.apply(setting.workload.model)
    inputs, path = setting.workload.example_inputs, tmp_path / "model.mlpackage"
    convert(module, inputs, DeploymentTarget.IOS18).save(str(path))
    kinds = [node.kind for node in program_nodes(path)]
    assert kinds.count("quantize") == kinds.count("dequantize") == len(asked)
    layers = tuple(setting.weights.layers.values())
    proof = prove(path, module, inputs, configuration, layers, DeploymentTarget.IOS18)
    assert not proof.failures
    assert compare(path, as_stored(module), [inputs]).passed
    more = Configuration(weights.encodings, dict.fromkeys((*asked, "depthwise"), Precision.INT8))
    failed = prove(path, module, inputs, more, layers, DeploymentTarget.IOS18)
    assert any("'depthwise'" in words and "8 bits were asked for" in words for words in failed.failures)


def test_activations_that_cannot_be_rounded_are_a_failure_with_the_layer(tmp_path):
    setting = setting_of(tmp_path, "transformer")
    weights = parse_configuration(setting, "lut4")
    configuration = Configuration(weights.encodings, {"tokens": Precision.INT8})
    failed = CalibrationEvaluator(setting, layer_methods=False).evaluate(configuration)
    assert isinstance(failed, Failure)
    assert (failed.stage, failed.layer) == (Stage.CALIBRATE, "tokens")
    assert "fp16" in failed.reason


def test_bad_data_are_said_before_anything_is_tried(tmp_path):
    few = CONVOLUTIONS + "\ndef calibration_data():\n    return _data(2, 1, batch=3)\n"
    with pytest.raises(WorkloadError, match=r"3 sample.*at least 8"):
        CalibrationEvaluator(setting_of(tmp_path / "few", few))
    same = CONVOLUTIONS + "\ndef calibration_data():\n    return _data(1, 2)\n"
    setting = setting_of(tmp_path / "same", same)
    outcome = CalibrationEvaluator(setting, layer_methods=False).evaluate(parse_configuration(setting, "lut3"))
    assert "16 of 16 samples" in outcome.notes[0]


def test_a_model_that_is_not_finite_on_calibration_data_names_the_layer(tmp_path):
    broken = CONVOLUTIONS.replace(
        "x = F.relu6(self.norm(self.stem(pixels)))",
        "x = F.relu6(self.norm(self.stem(pixels * (1e38 if self.few() else 1.0)) * 1.0))",
    ).replace(
        "    def forward(self, pixels):",
        "    def few(self):\n        return self.classes.weight.detach().unique().numel() <= 2\n\n    def forward(self, pixels):",
    )
    setting = setting_of(tmp_path, broken.replace("F.relu6(self.norm(", "F.relu(self.norm("))
    failed = CalibrationEvaluator(setting, layer_methods=False).evaluate(
        parse_configuration(setting, "lut8", classes="lut1")
    )
    assert isinstance(failed, Failure)
    assert failed.stage in (Stage.CALIBRATE, Stage.FORWARD)
    assert "not finite" in failed.reason
    assert failed.layer


def test_a_sparse_configuration_keeps_its_zeros_and_trained_weights_stay(tmp_path):
    setting = setting_of(tmp_path, "transformer")
    configuration = parse_configuration(setting, "sparse50+int8", tokens="lut4")
    evaluator = CalibrationEvaluator(setting)
    first = evaluator.evaluate(configuration)
    for name, weight in first.state.weights.items():
        if configuration.encodings[name] == Encoding.parse("sparse50+int8"):
            assert int(weight.weight.count_nonzero()) <= weight.weight.numel() // 2
    second = evaluator.evaluate(configuration, first)
    for name, method in first.state.methods.items():
        if method != "data_free":
            assert second.state.methods[name] == method
            assert torch.equal(second.state.weights[name].weight, first.state.weights[name].weight)
    assert evaluator.identity["data"] == evaluator.samples.digest
