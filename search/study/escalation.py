"""An escalation: one evaluation under a dearer workflow, as it is decided, done and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.experiment.objectives import MEGABYTE
from palettune.space.configuration import Configuration

__all__ = ["Escalation", "EscalationOrder", "EscalationResult"]


@dataclass(frozen=True)
class EscalationResult:
    """Result of an escalation: the evaluation, the file of the model's state, and the gain of each method.

    Attributes:
        added_bytes: in the weight file, beyond those that the configuration tells: low-rank branches.
    """

    evaluation: Evaluation
    state: str
    gains: tuple[Gain, ...] = ()
    notes: tuple[str, ...] = ()
    added_bytes: int = 0

    def costs(self, of_configuration: Mapping[str, float]) -> dict[str, float]:
        """Return the costs by name, from those of the configuration; the time of separate branches is left out."""
        if not self.added_bytes:
            return dict(of_configuration)
        larger = {name: value for name, value in of_configuration.items() if name != "latency_ms"}
        return {**larger, "size_mb": larger["size_mb"] + self.added_bytes / MEGABYTE}


@dataclass(frozen=True)
class EscalationOrder:
    """Order for a worker: a configuration, a rung, and the escalation to begin from.

    Attributes:
        rung: name of the rung.
        start: of the escalation whose state this one begins from; the data-free weights where there is none.
        state: file of ``start``'s state.
        evaluation: what ``start`` gave.
    """

    rung: str
    configuration: Configuration
    start: EscalationOrder | None = None
    state: str | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True)
class Escalation:
    """One escalation, a trial of the study.

    Attributes:
        trial: its number.
        source: number of the trial that it was escalated from.
        configuration: what it evaluates: the source's, or the same with activations in 8 bits.
        costs: of that configuration, by name.
        settings: of the rung, when it was decided; ``None`` where the study does not tell.
        result: what became of it; ``None`` while it is under way.
        span: when it began and ended, seconds since the epoch.
        told_at: when its turn to be told came, seconds since the epoch; ``None`` before.
    """

    trial: int
    rung: str
    workflow: Workflow
    source: int
    configuration: Configuration
    costs: Mapping[str, float]
    settings: Mapping[str, object] | None = None
    result: EscalationResult | Failure | None = None
    span: tuple[float, float] = field(default=(0.0, 0.0))
    told_at: float | None = None

    def answered(self, result: EscalationResult | Failure, span: tuple[float, float]) -> Escalation:
        """Return the escalation with its result."""
        return replace(self, result=result, span=span)
