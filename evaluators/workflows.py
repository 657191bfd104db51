"""The registry of workflows: a new one is a file with its evaluator, and a line here."""

from __future__ import annotations

from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.data_free import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.workflow import WorkflowEvaluator
from palettune.evaluators.workload.workload import Workload

__all__ = ["allowed", "refused", "registry"]


def registry() -> dict[str, type[WorkflowEvaluator]]:
    """Every workflow by name, cheapest first."""
    workflows = (DataFreeEvaluator, CalibrationEvaluator, AdapterEvaluator, FineTuningEvaluator)
    return {workflow.name: workflow for workflow in workflows}


def allowed(workload: Workload) -> tuple[type[WorkflowEvaluator], ...]:
    """The workflows that a workload has everything for, cheapest first."""
    return tuple(workflow for workflow in registry().values() if workflow.missing(workload) is None)


def refused(workload: Workload) -> dict[str, str]:
    """The other workflows by name, each with what is lacking."""
    lacking = {name: workflow.missing(workload) for name, workflow in registry().items()}
    return {name: words for name, words in lacking.items() if words is not None}
