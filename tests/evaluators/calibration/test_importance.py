"""Importance where gradients reach some layers, or none."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.calibration.importance import Importance
from palettune.evaluators.calibration.samples import CalibrationSamples
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workflow.evaluator import WorkflowResult
from palettune.testing.workloads import RECURRENT, parse_configuration, setting_of
from tests.evaluators.sensitivity.test_gradients import CASES, samples_of


def calibration_of(samples):
    return CalibrationSamples(
        tuple(samples), (), "digest", everything=tuple(samples), fit_at=tuple(range(len(samples)))
    )


@pytest.mark.parametrize(("make", "unreached"), CASES, ids=lambda p: p.__name__ if isinstance(p, type) else None)
def test_layers_without_a_gradient_are_named_and_all_others_have_one(make, unreached):
    model = make().eval()
    importance = Importance(model, layers_of(model), DivergenceKind.SQUARED_ERROR, calibration_of(samples_of(6)))
    for name, part in model.named_modules():
        if not isinstance(part, (nn.Linear, nn.Embedding)):
            continue
        if name in unreached:
            with pytest.raises(ValueError, match=rf"no gradient reaches layer '{name}'.*torch\.no_grad"):
                importance.get(name)
        else:
            found = importance.get(name)
            assert found.shape == part.weight.shape
            assert bool(found.any())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("decorator", ["no_grad", "inference_mode"])
def test_calibration_goes_on_without_gradients_and_says_what_it_could_not_try(decorator, tmp_path):
    network = RECURRENT.replace("    def forward", f"    @torch.{decorator}()\n    def forward")
    setting = setting_of(tmp_path, network)
    outcome = CalibrationEvaluator(setting).evaluate(parse_configuration(setting, "lut2"))
    assert isinstance(outcome, WorkflowResult)
    gains = {gain.method: gain for gain in outcome.gains}
    assert "no gradient reaches layer" in gains["sensitive_k_means"].reason
    assert not gains["sensitive_k_means"].kept
    assert "compensated_tables" in gains
    assert torch.isfinite(torch.tensor(outcome.evaluation.divergence))
