"""The choice among methods, layer by layer."""

import json
import shutil

import pytest
import torch

from palettune.evaluators.calibration.compensated_tables import CompensatedTables
from palettune.evaluators.calibration.gptq import GPTQMethod
from palettune.evaluators.calibration.layer_choices import LayerChoices
from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.calibration.sensitive_tables import SensitiveTables
from palettune.space.encoding import Encoding
from palettune.testing.workloads import setting_of
from tests.evaluators.every_use import every_setting


def test_choices_are_found_once_kept_in_the_bank_and_say_what_they_brought(tmp_path, monkeypatch):
    setting = setting_of(tmp_path, "transformer")
    samples = calibration_samples(setting.workload)
    encoding = Encoding.parse("lut2")
    start = setting.weights.get("up", encoding)
    choice = LayerChoices(setting, samples).choose("up", encoding, start)
    assert [gain.method for gain in choice.gains] == ["sensitive_k_means", "compensated_tables"]
    assert choice.method == "compensated_tables"
    assert choice.gains[1].kept
    assert choice.gains[1].layer == "up"
    json.dumps([gain.to_json() for gain in choice.gains])
    for method in (SensitiveTables, CompensatedTables):
        monkeypatch.setattr(method, "find", lambda task: pytest.fail("found again"))
    again = LayerChoices(setting, samples).choose("up", encoding, start)
    assert torch.equal(again.weight.weight, choice.weight.weight)


def test_a_method_that_fails_or_makes_it_worse_is_not_kept_and_says_why(tmp_path, monkeypatch):
    setting = setting_of(tmp_path, "transformer")
    samples = calibration_samples(setting.workload)
    encoding = Encoding.parse("int4")
    start = setting.weights.get("up", encoding)

    def raises(task):
        raise RuntimeError("no root")

    monkeypatch.setattr(GPTQMethod, "find", raises)
    choice = LayerChoices(setting, samples).choose("up", encoding, start)
    assert choice.method == "data_free"
    assert "no root" in choice.gains[0].reason
    worse = type(start)(start.weight * 1.5, start.buffers)
    monkeypatch.setattr(GPTQMethod, "find", lambda task: worse)
    choice = LayerChoices(setting, samples).choose("up", encoding, start)
    assert choice.method == "data_free"
    assert not choice.gains[0].kept
    assert choice.weight is start


def test_layers_of_equal_weights_do_not_share_what_was_found_from_their_inputs(tmp_path):
    setting = setting_of(tmp_path / "both", "transformer")
    model, encoding = setting.workload.model, Encoding.parse("int4")
    model.out.weight.data.copy_(model.query.weight.data)  # as copies of one block are before training
    samples = calibration_samples(setting.workload)

    def found(name, choices):
        return choices.choose(name, encoding, setting.weights.get(name, encoding))

    alone = found("out", LayerChoices(setting, samples))
    shutil.rmtree(setting.weights.bank.folder)
    setting.weights.bank._index.clear()
    choices = LayerChoices(setting, samples)
    first, second = found("query", choices), found("out", choices)
    assert (first.method, second.method) == ("gptq", "gptq")
    assert torch.equal(second.weight.weight, alone.weight.weight)
    assert not torch.equal(first.weight.weight, second.weight.weight)


# packed rows, an LSTM's own order of rows, gates, turned by the program, matrix products
USES = {
    "attention.in_proj_weight": {"int4": "gptq", "lut4": "compensated_tables"},
    "lstm.weight_ih_l0": {"int4": "gptq", "sparse50": "sparse_gpt"},
    "lstm.weight_hh_l1_reverse": {"int4": "gptq", "sparse50": "sparse_gpt"},
    "gru.weight_hh_l0.2": {"int4": "gptq", "sparse50": "sparse_gpt"},
    "product": {"int4": "gptq", "sparse50": "sparse_gpt"},
    "summed": {"int4": "gptq", "sparse50": "sparse_gpt", "lut3-g8in": "compensated_tables"},
}


def test_every_method_lowers_the_held_out_error_however_a_weight_is_used(tmp_path):
    setting = every_setting(tmp_path)
    choices = LayerChoices(setting, calibration_samples(setting.workload))
    for name, methods in USES.items():
        for spelling, method in methods.items():
            encoding = Encoding.parse(spelling)
            choice = choices.choose(name, encoding, setting.weights.get(name, encoding))
            assert choice.method == method, (name, spelling)
            assert choice.gains[-1].after < 0.97 * choice.gains[-1].before


def test_a_layer_whose_inputs_are_not_seen_keeps_its_weight_and_the_record_says_so(tmp_path):
    setting = setting_of(tmp_path, "audio")
    encoding = Encoding.parse("lut4")
    start = setting.weights.get("back", encoding)
    choice = LayerChoices(setting, calibration_samples(setting.workload)).choose("back", encoding, start)
    assert choice.weight is start
    (gain,) = choice.gains
    assert (gain.method, gain.layer, gain.kept) == ("sensitive_k_means", "back", False)
    assert gain.reason == "no statistics of the layer's inputs: a layer of kind conv_transpose1d has none"


def test_a_layer_that_no_method_is_for_keeps_its_weight_and_the_record_says_why(tmp_path):
    setting = every_setting(tmp_path)
    choices = LayerChoices(setting, calibration_samples(setting.workload))
    for name, spelling, words in (("words", "lut4", "a layer of kind embedding"), ("product", "lut8", "lut8")):
        encoding = Encoding.parse(spelling)
        start = setting.weights.get(name, encoding)
        choice = choices.choose(name, encoding, start)
        assert choice.weight is start
        (gain,) = choice.gains
        assert (gain.method, gain.layer, gain.kept) == ("data_free", name, True)
        assert words in gain.reason
    plain = Encoding.parse("fp16")
    assert choices.choose("dense", plain, setting.weights.get("dense", plain)).gains == ()
