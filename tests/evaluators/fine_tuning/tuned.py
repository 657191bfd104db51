"""Short fine-tunings of small networks, for tests."""

from __future__ import annotations

from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.evaluation import Failure
from palettune.evaluators.workflow.evaluator import WorkflowResult
from palettune.testing.workloads import CONVOLUTIONS, parse_configuration

SHORT = FineTuningSetting(vector_steps=20, steps=40, held_out=8)
# a workload that counts the calls of its loss during training, up to the loss itself
COUNTED = CONVOLUTIONS + "\ncalls = []\ndef loss(outputs, targets):\n    calls.extend([1] * torch.is_grad_enabled())\n"
REAL = "F.cross_entropy(outputs, targets)"


def tuned(setting, spelling="lut2", tuning=SHORT, start=None, **others) -> WorkflowResult | Failure:
    return FineTuningEvaluator(setting, tuning).evaluate(parse_configuration(setting, spelling, **others), start)
