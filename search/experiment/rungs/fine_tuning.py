"""The rung of fine-tuning: weights trained in their encodings, or low-rank adapters beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from palettune.evaluators.adapters.setting import AdapterPlacement, AdapterSetting
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.rung import Rung, Wanted

if TYPE_CHECKING:
    from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowSetting
    from palettune.evaluators.workload.workload import Workload

__all__ = ["FineTuning"]


class FineTuning(Rung):
    """Fine-tuning, from what was calibrated where something was.

    Attributes:
        vector_steps: training steps of normalizations and biases alone.
        steps: training steps of everything, or of the adapters.
        adapter_rank: above 0, nothing but low-rank branches of this rank beside the layers is trained.
        adapter_placement: whether branches stay beside their layers or are added to the layers' weights.
    """

    name = "fine_tuning"
    workflow = Workflow("fine_tuning")
    words = "fine-tuned"
    builds_on = "calibration"
    phase = 0.75

    vector_steps: int = Field(default=100, ge=0)
    steps: int = Field(default=300, ge=0)
    adapter_rank: int = Field(default=0, ge=0)
    adapter_placement: AdapterPlacement = AdapterPlacement.SEPARATE

    @property
    def identity(self) -> Mapping[str, Any]:
        """The settings of what is trained: everything, or adapters."""
        unused = {"vector_steps"} if self.adapter_rank else {"adapter_rank", "adapter_placement"}
        return self.model_dump(mode="json", exclude={"count", *unused})

    def evaluator(self, setting: WorkflowSetting) -> WorkflowEvaluator:
        """Return the evaluator that trains everything, or adapters where they have a rank."""
        if not self.adapter_rank:
            from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator  # loads coremltools

            return FineTuningEvaluator(setting, FineTuningSetting(vector_steps=self.vector_steps, steps=self.steps))
        from palettune.evaluators.adapters.evaluator import AdapterEvaluator

        tuning = replace(AdapterSetting().tuning, steps=self.steps)
        return AdapterEvaluator(setting, AdapterSetting(self.adapter_rank, self.adapter_placement, tuning=tuning))

    def missing(self, workload: Workload) -> str | None:
        """Say which function the workload lacks; ``None`` where it has all."""
        from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator

        return FineTuningEvaluator.missing(workload)

    def problem(self, wanted: Wanted) -> str | None:
        """Refuse adapters that stay beside their layers where latency counts: their time is not predicted."""
        if wanted.latency and self.adapter_rank and self.adapter_placement is AdapterPlacement.SEPARATE:
            return (
                f'{self.name}.adapter_placement: the time of separate branches is not predicted: write "merged", or take '
                "latency_ms out of objectives.cost and max_latency_ms out of constraints"
            )
        return None
