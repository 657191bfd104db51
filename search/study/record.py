"""A record: one finished evaluation, of a trial or of an escalation, as the loop tells it and as the study gives it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.study.escalation import EscalationResult
from palettune.space.configuration import Configuration

__all__ = ["FirstTrial", "Record", "Result"]

Result = Evaluation | Screened | Failure
"""What an evaluation can give."""


@dataclass(frozen=True)
class FirstTrial:
    """A configuration proposed before any sampler: where it comes from, in words."""

    origin: str
    configuration: Configuration


@dataclass(frozen=True)
class Record:
    """One finished trial.

    Attributes:
        trial: its number.
        origin: what proposed it, or what it was escalated from.
        values: objective values in the study's order; ``None`` where there is no evaluation.
        feasible: whether there is an evaluation, and it meets every constraint.
        answered_from: the trial that had already evaluated the same configuration, if one had.
        failure: why it gave no result, if it did not.
        screened: why it was ended early, if it was.
        span: when it began and ended, seconds since the epoch.
        escalated_from: the trial that it was escalated from; ``None`` for what a sampler proposed.
        state: file of the model's state, for an escalation.
        gains: what each method of an escalation brought.
        rung: name of the rung that it was escalated to.
        added: whether somebody added it to the study, which the search itself does not see.
    """

    trial: int
    origin: str
    configuration: Configuration
    workflow: Workflow
    values: tuple[float, ...] | None
    costs: Mapping[str, float]
    evaluation: Evaluation | None
    feasible: bool
    answered_from: int | None
    failure: Failure | None
    span: tuple[float, float]
    screened: Screened | None = None
    escalated_from: int | None = None
    state: str | None = None
    gains: tuple[Gain, ...] = ()
    rung: str | None = None
    added: bool = False

    def __repr__(self) -> str:
        costs = ", ".join(f"{name} {value:.4g}" for name, value in self.costs.items())
        what = f"divergence {self.evaluation.divergence:.4g}" if self.evaluation else str(self.screened or self.failure)
        return f"Record(trial {self.trial}, {self.workflow}, {costs}, {what})"

    @property
    def key(self) -> str:
        """Key of the evaluation: its configuration, and the trial where it is an escalation."""
        return self.configuration.hash + (f":{self.trial}" if self.escalated_from is not None else "")

    @property
    def result(self) -> Result | None:
        """Evaluation, early end or failure, whichever there is."""
        return self.evaluation or self.screened or self.failure

    def grouped(self, groups: Sequence[int]) -> Record:
        """Return the record with the groups of the samples in its evaluation."""
        return self if self.evaluation is None else replace(self, evaluation=self.evaluation.grouped(groups))

    def as_added(self) -> Record:
        """Return the record, marked as added to the study."""
        return replace(self, added=True)

    @classmethod
    def judged(
        cls,
        result: Result | EscalationResult | None,
        objectives: ObjectiveSet,
        costs: Mapping[str, float],
        **known: Any,
    ) -> Record:
        """Make a record from a result of any kind, with its objective values and whether it meets the constraints.

        Args:
            costs: of the configuration alone; what an escalation adds in bytes is added here.
            known: the attributes that neither the result nor the costs decide.
        """
        if isinstance(result, EscalationResult):
            costs = result.costs(costs)
            known |= {"state": result.state, "gains": result.gains}
            result = result.evaluation
        evaluation = result if isinstance(result, Evaluation) else None
        met = evaluation is not None and all(v <= 0 for v in objectives.violations(evaluation, costs))
        values = tuple(objectives.values(evaluation, costs)) if evaluation else None
        return cls.of(result, values=values, costs=costs, feasible=met, **known)

    @classmethod
    def of(cls, result: Result | None, **known: Any) -> Record:
        """Make a record with an evaluation, a failure or an early end; ``known`` are the other attributes."""
        return cls(
            evaluation=result if isinstance(result, Evaluation) else None,
            failure=result if isinstance(result, Failure) else None,
            screened=result if isinstance(result, Screened) else None,
            **known,
        )
