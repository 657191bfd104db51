"""What a workflow requires of a workload is tried before anything is trained."""

from pathlib import Path

import pytest

from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.workflow.requirement import Requirement, unmet
from palettune.testing.workloads import write_workload
from tests.evaluators.gradient_cases import HALVES


@pytest.mark.parametrize(
    ("before", "cut", "words"),
    [
        ("@torch.no_grad()", "hidden", "no gradient reaches any parameter"),
        ("@torch.inference_mode()", "hidden", "no gradient reaches any parameter"),
        ("", "hidden).round().detach(", "no gradient reaches any parameter"),
        ("", "torch.inference_mode()(torch.tanh)(hidden)", "torch refuses its gradients: Inference tensors"),
    ],
)
def test_a_model_without_gradients_is_refused_before_the_first_step(before, cut, words, tmp_path: Path) -> None:
    network = HALVES.replace("CUT", cut).replace("    def forward", f"    {before}\n    def forward")
    workload = write_workload(tmp_path, network)
    for evaluator in (FineTuningEvaluator, AdapterEvaluator):
        assert words in str(evaluator.missing(workload))
        assert "torch.no_grad" in str(evaluator.missing(workload)) or "torch refuses" in words


def test_a_function_that_is_not_defined_is_named(tmp_path: Path) -> None:
    workload = write_workload(tmp_path, "convolutions", without=["loss"])
    assert unmet(Requirement.LOSS, workload) == "the function loss(); define it"
    assert unmet(Requirement.CALIBRATION_DATA, workload) is None
    assert unmet(Requirement.GRADIENTS, workload) is None
