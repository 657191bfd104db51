"""Requests to workers: one frozen dataclass per kind of work, with its inputs and its result type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Rival, Screened, Workflow
from palettune.evaluators.sensitivity.base import ScoringPart
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.study.escalation import EscalationOrder, EscalationResult
from palettune.search.workers.evaluations import Request
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget

if TYPE_CHECKING:
    from palettune.search.workers.worker import Worker

__all__ = ["Compress", "Confirm", "Convert", "Describe", "Escalate", "Evaluate", "FloatFacts", "Score"]


@dataclass(frozen=True)
class Evaluate(Request[Evaluation | Screened]):
    """One configuration on the evaluation data, its weights found without data.

    Attributes:
        rivals: evaluations that cost no more; one that is surely better ends this one early.
        screen: samples after which that is looked at; 0 for never.
    """

    configuration: Configuration
    rivals: tuple[Rival, ...] = ()
    screen: int = 0

    def run(self, worker: Worker) -> Evaluation | Screened | Failure:
        """Assemble the configuration and run it."""
        return worker.evaluator.measure(self.configuration, self.rivals, self.screen)


@dataclass(frozen=True)
class Escalate(Request[EscalationResult]):
    """One configuration under a dearer workflow.

    Attributes:
        to: the workflow, whose workers do it.
        order: the rung, the configuration and what it begins from.
    """

    long: ClassVar[bool] = True
    to: Workflow
    order: EscalationOrder

    @property
    def workflow(self) -> Workflow:
        """The workers of the dearer workflow."""
        return self.to

    def run(self, worker: Worker) -> EscalationResult | Failure:
        """Calibrate or train the model, evaluate it and keep its state."""
        return worker.escalate(self.order)


@dataclass(frozen=True)
class Confirm(Request[Evaluation]):
    """One configuration on the confirmation data, which the search never sees.

    Attributes:
        state: file of an escalated model's state, and the workflow that made it; the data-free weights without.
    """

    configuration: Configuration
    state: tuple[str, Workflow] | None = None

    def run(self, worker: Worker) -> Evaluation | Failure:
        """Run the model on the confirmation data."""
        return worker.confirm(self.configuration, self.state)


@dataclass(frozen=True)
class FloatFacts:
    """The float model on the evaluation data.

    Attributes:
        chance: divergence of a constant output.
        metrics: the workload's own.
        energy: mean squared norm of each floating output.
    """

    chance: float
    metrics: Mapping[str, float]
    energy: tuple[float, ...]


@dataclass(frozen=True)
class Describe(Request[FloatFacts]):
    """Request for the facts of the float model on the evaluation data."""

    def run(self, worker: Worker) -> FloatFacts:
        """Run the float model, once in a worker's life."""
        found = worker.evaluator
        return FloatFacts(found.reference.chance, found.float_metrics, tuple(found.reference.energy))


@dataclass(frozen=True)
class Compress(Request[tuple[Failure, ...]]):
    """One layer compressed in several encodings into the weight bank; what cannot be done comes back."""

    layer: str
    encodings: tuple[Encoding, ...]

    def run(self, worker: Worker) -> tuple[Failure, ...]:
        """Compress what the bank lacks."""
        return worker.compress(self.layer, self.encodings)


@dataclass(frozen=True)
class Score(Request[Scores]):
    """Sensitivity scores of one part of the columns and of the scoring data.

    Attributes:
        method: name of the score.
        columns: every (layer, encoding) to be scored; the part says which of them.
        energy: of the float model's outputs.
    """

    method: str
    columns: tuple[tuple[str, Encoding], ...]
    part: ScoringPart
    energy: tuple[float, ...]

    def run(self, worker: Worker) -> Scores:
        """Score the part."""
        return worker.score(self.method, self.columns, self.part, self.energy)


@dataclass(frozen=True)
class Convert(Request[bytes]):
    """One configuration as a package in bytes, to be measured elsewhere.

    Attributes:
        state: file of an escalated model's state; the data-free weights without.
    """

    configuration: Configuration
    target: DeploymentTarget
    state: str | None = None

    def run(self, worker: Worker) -> bytes:
        """Convert and pack."""
        return worker.convert(self.configuration, self.target, self.state)
