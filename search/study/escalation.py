"""A climb: one evaluation under a dearer workflow, as it is written down and as it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.experiment.objectives import MEGABYTE
from palettune.space.configuration import Configuration

__all__ = ["FIRST_NUMBER", "Escalation", "EscalationResult"]

FIRST_NUMBER = 100_000
"""Climbs are numbered from here, apart from the trials that samplers propose."""


@dataclass(frozen=True)
class EscalationResult:
    """What a worker answers: the evaluation, the file that holds the model's state, and what each method brought.

    Attributes:
        added_bytes: in the weight file, beyond those that the configuration tells: low-rank branches.
    """

    evaluation: Evaluation
    state: str
    gains: tuple[Gain, ...] = ()
    notes: tuple[str, ...] = ()
    added_bytes: int = 0

    def costs(self, of_configuration: Mapping[str, float]) -> dict[str, float]:
        """Costs by name, from those of the configuration alone: the time of separate branches is not predicted."""
        if not self.added_bytes:
            return dict(of_configuration)
        larger = {name: value for name, value in of_configuration.items() if name != "latency_ms"}
        return {**larger, "size_mb": larger["size_mb"] + self.added_bytes / MEGABYTE}


@dataclass(frozen=True)
class Escalation:
    """One climb.

    Attributes:
        number: its place among the climbs.
        source: number of the trial, or of the climb, that it began from.
        configuration: where it is not the source's: the same encodings with activations in 8 bits.
        costs: of that configuration, by name.
        result: what became of it; ``None`` while it is under way.
        span: when it began and ended, seconds since the epoch.
    """

    number: int
    workflow: Workflow
    source: int
    result: EscalationResult | Failure | None = None
    span: tuple[float, float] = field(default=(0.0, 0.0))
    configuration: Configuration | None = None
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def trial(self) -> int:
        """Its number among all evaluations of the search."""
        return FIRST_NUMBER + self.number

    def finished(self, result: EscalationResult | Failure, span: tuple[float, float]) -> Escalation:
        """The same with its result."""
        return replace(self, result=result, span=span)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the journal."""
        values: dict[str, Any] = {"workflow": self.workflow.value, "source": self.source, "span": list(self.span)}
        if self.configuration is not None:
            values |= {"configuration": self.configuration.to_json(), "costs": dict(self.costs)}
        if isinstance(self.result, Failure):
            failure = self.result
            values["failure"] = {"stage": failure.stage.value, "reason": failure.reason, "layer": failure.layer}
        elif self.result is not None:
            values |= {
                "evaluation": self.result.evaluation.to_json(),
                "state": self.result.state,
                "gains": [gain.to_json() for gain in self.result.gains],
                "notes": list(self.result.notes),
                "added_bytes": self.result.added_bytes,
            }
        return values

    @classmethod
    def from_json(cls, number: int, values: Mapping[str, Any]) -> Escalation:
        """The inverse of ``to_json``."""
        result: EscalationResult | Failure | None = None
        if "failure" in values:
            result = Failure.from_json(values["failure"])
        elif "evaluation" in values:
            gains = tuple(Gain(**gain) for gain in values["gains"])
            evaluation = Evaluation.from_json(values["evaluation"])
            added = values.get("added_bytes", 0)
            result = EscalationResult(evaluation, values["state"], gains, tuple(values["notes"]), added)
        asked = values.get("configuration")
        return cls(
            number,
            Workflow(values["workflow"]),
            values["source"],
            result,
            tuple(values["span"]),
            Configuration.from_json(asked) if asked is not None else None,
            values.get("costs", {}),
        )
