"""A record: one finished evaluation, as it is read back from the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.study.escalation import Escalation
from palettune.space.configuration import Configuration

__all__ = ["FirstTrial", "Record", "Result", "asked_of"]

Result = Evaluation | Screened | Failure
"""What an evaluation can give."""


@dataclass(frozen=True)
class FirstTrial:
    """A configuration proposed before any sampler: where it comes from, in words."""

    origin: str
    configuration: Configuration


@dataclass(frozen=True)
class Record:
    """One finished trial, read back from the study.

    Attributes:
        trial: its number.
        origin: what proposed it.
        values: objective values in the study's order; ``None`` for a failure.
        answered_from: the trial that had already evaluated the same configuration, if one had.
        failure: why it gave no result, if it did not.
        screened: why it was ended early, if it was.
        span: when it began and ended, seconds since the epoch.
        escalated_from: the trial or climb that it climbed from; ``None`` for what a sampler proposed.
        state: file of the model's state, for a climb.
        gains: what each method of a climb brought.
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

    def __repr__(self) -> str:
        costs = ", ".join(f"{name} {value:.4g}" for name, value in self.costs.items())
        what = f"divergence {self.evaluation.divergence:.4g}" if self.evaluation else str(self.screened or self.failure)
        return f"Record(trial {self.trial}, {self.workflow.value}, {costs}, {what})"

    @property
    def key(self) -> str:
        """Names the evaluation: its configuration, and the climb where it is one."""
        return self.configuration.hash + (f":{self.trial}" if self.escalated_from is not None else "")

    @property
    def result(self) -> Result | None:
        """What the evaluation gave, whichever it was."""
        return self.evaluation or self.screened or self.failure

    @classmethod
    def of(cls, result: Result, **known: Any) -> Record:
        """A record from a result of any kind."""
        return cls(
            evaluation=result if isinstance(result, Evaluation) else None,
            failure=result if isinstance(result, Failure) else None,
            screened=result if isinstance(result, Screened) else None,
            **known,
        )


def asked_of(climb: Escalation, source: Record) -> Record:
    """What a climb begins from, with the configuration and the costs that it asks for."""
    if climb.configuration is None:
        return source
    return replace(source, configuration=climb.configuration, costs=climb.costs)
