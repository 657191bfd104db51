"""The rung of calibration: weights found again with unlabelled data, without a byte more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.rung import Rung

if TYPE_CHECKING:
    from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowSetting
    from palettune.evaluators.workload.workload import Workload

__all__ = ["Calibration"]


class Calibration(Rung):
    """Calibration of the configuration that an evaluation without data had."""

    name = "calibration"
    workflow = Workflow("calibration")
    words = "calibrated"
    phase = 0.25

    def evaluator(self, setting: WorkflowSetting) -> WorkflowEvaluator:
        """Return the calibration evaluator, with its own defaults."""
        from palettune.evaluators.calibration.evaluator import CalibrationEvaluator  # loads coremltools

        return CalibrationEvaluator(setting)

    def missing(self, workload: Workload) -> str | None:
        """Say which function the workload lacks; ``None`` where it has all."""
        from palettune.evaluators.calibration.evaluator import CalibrationEvaluator

        return CalibrationEvaluator.missing(workload)
