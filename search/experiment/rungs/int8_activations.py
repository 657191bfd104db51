"""The rung of activations in 8 bits, which lowers the latency and keeps the encodings."""

from __future__ import annotations

from palettune.search.experiment.rungs.calibration import Calibration
from palettune.search.experiment.rungs.rung import Wanted

__all__ = ["Int8Activations"]


class Int8Activations(Calibration):
    """Activations in 8 bits, whose ranges calibration finds."""

    name = "int8_activations"
    words = "int8 inputs"
    builds_on = "calibration"
    prior = 0.0  # what calibration gains, rounded activations are taken to lose
    rounds = True
    phase = 0.5

    def problem(self, wanted: Wanted) -> str | None:
        """Refuse 8-bit activations where latency does not count, or where the deployment target lacks them."""
        if "latency_ms" not in wanted.costs:
            return (
                f"{self.name}: activations in 8 bits save time and no byte: add latency_ms to objectives.cost, "
                "or leave the key out"
            )
        if not wanted.target.rounds_activations:
            return (
                f"{self.name}: {wanted.target} has no activations in 8 bits: raise deployment_target to iOS17 (macOS14) "
                "or later, or leave the key out"
            )
        return None
