"""Registry of workflows: to add one, write a file with its evaluator and add a line here."""

from __future__ import annotations

from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.workflow.evaluator import WorkflowEvaluator

__all__ = ["registered_workflows"]


def registered_workflows() -> dict[str, type[WorkflowEvaluator]]:
    """Return every workflow by name, cheapest first."""
    workflows = (DataFreeEvaluator, CalibrationEvaluator, AdapterEvaluator, FineTuningEvaluator)
    return {workflow.name: workflow for workflow in workflows}
