"""Divergence: distance between compressed and float outputs for each sample, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.sample_axes import FIRST, SampleAxes
from palettune.space.errors import UserError

__all__ = ["OutputCountError", "Reference", "detect_kind"]


class OutputCountError(UserError):
    """Error for a model whose number of outputs depends on its input."""


def detect_kind(outputs: Any, targets: Any) -> DivergenceKind:
    """Choose the divergence: KL for one (N, classes) output with N class indices as targets, else the squared error."""
    floating = floating_outputs(outputs)
    is_logits = (
        len(floating) == 1
        and floating[0][1].ndim == 2
        and floating[0][1].shape[1] > 1
        and isinstance(targets, Tensor)
        and not targets.is_floating_point()
        and targets.shape == floating[0][1].shape[:1]
    )
    return DivergenceKind.KL if is_logits else DivergenceKind.SQUARED_ERROR


@dataclass(frozen=True)
class Reference:
    """The float model's outputs on some data, from which divergences are computed.

    Attributes:
        kind: the divergence.
        batches: for each batch, the floating-point outputs.
        energy: for each output, the mean over samples of its squared norm (``SQUARED_ERROR`` only).
        chance: divergence of a constant output, the mean over the data: that of a model that ignores its input.
        axes: axes of samples.
    """

    kind: DivergenceKind
    batches: tuple[tuple[Tensor, ...], ...]
    energy: tuple[float, ...]
    chance: float
    axes: SampleAxes = FIRST

    @classmethod
    def of(cls, kind: DivergenceKind, outputs: Sequence[Any], axes: SampleAxes = FIRST) -> Reference:
        """Build the reference from the float model's outputs by batch.

        Raises:
            ValueError: there is no floating-point output.
            OutputCountError: the number of outputs differs between batches.
        """
        batches = tuple(tuple(value.float() for _, value in floating_outputs(output)) for output in outputs)
        if not batches or not batches[0]:
            raise ValueError("the model has no floating-point output, so no divergence can be computed")
        counts = {len(batch) for batch in batches}
        if len(counts) > 1:
            raise OutputCountError(
                f"model() gives {' or '.join(map(str, sorted(counts)))} floating-point outputs, depending on its input; a "
                "divergence needs the same number for every input: return one tensor, or lists of the same length"
            )
        energy = tuple(
            max(
                float(torch.cat([_squares(axes.rows(batch[i], i)) for batch in batches]).mean()),
                torch.finfo(torch.float32).tiny,
            )
            for i in range(len(batches[0]))
        )
        return cls(kind, batches, energy, _chance(kind, batches, energy), axes)

    def with_energy(self, energy: Sequence[float]) -> Reference:
        """Return the reference with another ``energy``, that of other data; unchanged if it is empty."""
        return replace(self, energy=tuple(energy)) if energy else self

    @property
    def samples(self) -> int:
        """Number of samples in all batches."""
        return sum(max(len(rows) for rows in self._rows(batch)) for batch in self.batches)

    def by_sample(self, index: int, outputs: Any) -> Tensor:
        """Compute the divergence of each sample of batch ``index``: (N,) float64; not finite where outputs are not."""
        current = self._rows([value for _, value in floating_outputs(outputs)])
        reference = self._rows(self.batches[index])
        if self.kind is DivergenceKind.KL:
            terms = [_kl(want, have) for want, have in zip(reference, current, strict=True)]
        else:
            terms = [
                _squares(have.float() - want) / energy
                for want, have, energy in zip(reference, current, self.energy, strict=True)
            ]
        samples = max(len(term) for term in terms)
        # what all samples share counts for each of them
        return torch.stack([term.expand(samples) if len(term) == 1 else term for term in terms]).mean(dim=0)

    def _rows(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        return [self.axes.rows(value, place) for place, value in enumerate(outputs)]


def _squares(values: Tensor) -> Tensor:
    return values.double().square().reshape(values.shape[0] if values.ndim else 1, -1).sum(dim=1)


def _kl(want: Tensor, have: Tensor) -> Tensor:
    log_p = torch.log_softmax(want.double(), dim=-1)
    log_q = torch.log_softmax(have.double(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).reshape(want.shape[0], -1).mean(dim=1)


def _chance(kind: DivergenceKind, batches: tuple[tuple[Tensor, ...], ...], energy: tuple[float, ...]) -> float:
    if kind is DivergenceKind.SQUARED_ERROR:
        return 1.0  # a zero output: relative squared error of one by definition
    values = []
    for i in range(len(energy)):
        by_classes: dict[int, list[Tensor]] = {}  # where shapes vary, so may the number of classes
        for batch in batches:
            classes = batch[i].shape[-1]
            by_classes.setdefault(classes, []).append(torch.log_softmax(batch[i].double(), -1).reshape(-1, classes))
        values.append(float(torch.cat([_from_mean(torch.cat(found)) for found in by_classes.values()]).mean()))
    return max(sum(values) / len(values), 1e-6)


def _from_mean(log_p: Tensor) -> Tensor:
    """Divergence of the mean distribution from each of some: (N, classes) to (N,)."""
    mean = log_p.exp().mean(dim=0).clamp_min(1e-12)
    return (log_p.exp() * (log_p - mean.log())).sum(dim=-1)
