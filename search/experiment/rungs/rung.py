"""A rung: one workflow that evaluations are escalated to, with its settings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.section import Section
from palettune.space.target import DeploymentTarget

if TYPE_CHECKING:
    from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowSetting
    from palettune.evaluators.workload.workload import Workload

__all__ = ["Rung", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """Requirements of an experiment that can rule a rung out.

    Attributes:
        target: the oldest system that packages must run on.
        costs: objectives besides the quality, by name.
        latency: whether the latency is an objective or bounded by a constraint.
    """

    target: DeploymentTarget
    costs: tuple[str, ...]
    latency: bool


class Rung(Section):
    """One workflow that evaluations are escalated to: its section of ``[escalation]``, and what is always true of it.

    A section may be written as its count alone: ``calibration = 4``. Subclasses add settings as fields.

    Attributes:
        name: key of the section.
        workflow: how the weights are found; several rungs may find them in one way.
        words: what is said of a model that it has made, in tables and names: "calibrated".
        builds_on: the rung whose results it begins from, where that rung is asked for and has some left; evaluations
            without data otherwise.
        prior: share of the loss that it is expected to take away before any result is known.
        rounds: whether it turns activations into 8 bits; such a rung begins from any evaluation.
        phase: where in its share of the schedule it is decided, 0 the beginning and 1 the end.
        count: how many evaluations are escalated to it.
    """

    name: ClassVar[str]
    workflow: ClassVar[Workflow]
    words: ClassVar[str]
    builds_on: ClassVar[str | None] = None
    prior: ClassVar[float] = 0.2
    rounds: ClassVar[bool] = False
    phase: ClassVar[float] = 0.5

    count: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _count_alone(cls, values: Any) -> Any:
        return {"count": values} if isinstance(values, int) else values

    @property
    def identity(self) -> Mapping[str, Any]:
        """The settings that decide its results, as plain values; results of other settings are not comparable."""
        return self.model_dump(mode="json", exclude={"count"})

    @abstractmethod
    def evaluator(self, setting: WorkflowSetting) -> WorkflowEvaluator:
        """Make what evaluates configurations under this rung's settings."""

    @abstractmethod
    def missing(self, workload: Workload) -> str | None:
        """Say what the workload lacks for this rung; ``None`` where it can run."""

    def problem(self, wanted: Wanted) -> str | None:
        """Say why an experiment cannot have this rung, naming the key below ``escalation`` first; ``None``: it can."""
        return None
