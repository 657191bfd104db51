"""The choice among methods, layer by layer."""

import json

import pytest
import torch

from palettune.evaluators.calibration.compensated_tables import CompensatedTables
from palettune.evaluators.calibration.gptq import GPTQMethod
from palettune.evaluators.calibration.layer_choices import LayerChoices
from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.calibration.sensitive_tables import SensitiveTables
from palettune.space.encoding import Encoding
from palettune.testing.workloads import setting_of


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
