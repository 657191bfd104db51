"""The registry of rungs: a new one is a file with its class, and a line here."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.calibration import Calibration
from palettune.search.experiment.rungs.fine_tuning import FineTuning
from palettune.search.experiment.rungs.int8_activations import Int8Activations
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.experiment.section import Section

__all__ = ["EscalationSettings"]


class EscalationSettings(Section):
    """Section ``[escalation]``: the rungs, in the order in which they are decided, and their common limits.

    Attributes:
        in_flight: escalations decided before the oldest is told.
        minutes: of one command, after which no further escalation is decided.
    """

    in_flight: int = Field(default=2, ge=1)
    minutes: float | None = Field(default=None, gt=0)

    calibration: Calibration = Calibration()
    int8_activations: Int8Activations = Int8Activations()
    fine_tuning: FineTuning = FineTuning()

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """Every rung with its settings here, those that nothing is escalated to included."""
        found = (getattr(self, name) for name in type(self).model_fields)
        return tuple(rung for rung in found if isinstance(rung, Rung))

    @property
    def asked(self) -> tuple[Rung, ...]:
        """The rungs that evaluations are escalated to."""
        return tuple(rung for rung in self.rungs if rung.count)

    @property
    def workflows(self) -> tuple[Workflow, ...]:
        """Every workflow that there is, the data-free one first."""
        return tuple(dict.fromkeys((Workflow.DATA_FREE, *(rung.workflow for rung in self.rungs))))

    @property
    def counts(self) -> dict[Workflow, int]:
        """Return how many evaluations are escalated to each workflow."""
        found: Counter[Workflow] = Counter()
        for rung in self.asked:
            found[rung.workflow] += rung.count
        return dict(found)

    def rung(self, name: str) -> Rung | None:
        """Return a rung by its name; ``None`` where no rung has it."""
        return next((rung for rung in self.rungs if rung.name == name), None)
