"""The emulator: a network whose layers' output changes add up.

Every (group, choice) is applied alone to the real network and the change of its outputs recorded. The emulated
outputs of a configuration are those of the fp16 network plus the sum of its changes; the divergence is then the real one, of
these outputs. Interactions and saturation in the output are kept, those inside the network are lost. It costs a
millisecond, so that every baseline can be run for a thousand evaluations on five seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from landscape import Landscape, Measured, Row
from torch import Tensor

from palettune.evaluators.quality.divergence import Reference

__all__ = ["Emulated", "signal_to_noise"]


def signal_to_noise(reference: Sequence[Tensor], outputs: Sequence[Tensor]) -> float:
    """Peak signal-to-noise ratio in dB, over all outputs."""
    peak = max(float(value.abs().max()) for value in reference)
    errors = torch.cat([(a - b).reshape(-1) for a, b in zip(reference, outputs, strict=True)])
    error = float(errors.double().square().mean().sqrt())
    return 20.0 * float(np.log10(peak / max(error, 1e-12)))


class Emulated(Landscape):
    """A landscape with another's menus, costs and scores.

    Args:
        real: the landscape of the network itself.
        reference: float outputs, one batch.
        changes: by group and choice, the changes of the outputs.
    """

    def __init__(self, real: Landscape, reference: Reference, changes: Sequence[Sequence[Sequence[Tensor]]]) -> None:
        self.name = f"{real.name}, emulated"
        for attribute in (
            "space",
            "encodings",
            "elements",
            "costs",
            "chance",
            "float_costs",
            "scores",
            "scoring",
            "seconds",
        ):
            setattr(self, attribute, getattr(real, attribute))
        self._reference = reference
        # a group's first choice is fp16, alone or not the same network: it counts once, not once for every group
        self._base = tuple(f + c for f, c in zip(reference.batches[0], changes[0][0], strict=True))
        self._changes = [
            [[value - first for value, first in zip(change, group[0], strict=True)] for change in group]
            for group in changes
        ]

    def measure(self, row: Row) -> Measured:
        """Sum the recorded changes and take the divergence of the result."""
        picked = [self._changes[group][choice] for group, choice in enumerate(row)]
        outputs = tuple(
            base + torch.stack([change[i] for change in picked]).sum(0) for i, base in enumerate(self._base)
        )
        divergence = float(self._reference.by_sample(0, outputs).mean())
        return Measured(max(divergence, 0.0), signal_to_noise(self._reference.batches[0], outputs))
