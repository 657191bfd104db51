"""Fisher scores: per-sample gradients projected on the weight change of each (layer, encoding).

A second-order expansion of the divergence around the float model gives, for logits with labels drawn from the model
itself, ``KL ~ 0.5 * E[(g . dw)^2]`` with ``g`` the gradient of the negative log-likelihood (Amari, "Natural gradient
works efficiently in learning", 1998; used per layer in HAWQ-V2, Dong et al. 2020). For any other output, with ``g``
the gradient of a random projection of the outputs, ``E[(g . dw)^2]`` is the squared output error (Hutchinson 1990).
The gradient of the whole model is never in memory: each weight's gradient is projected on that layer's weight changes
when it is computed, then freed. A layer whose gradient is missing or zero in every sample is reported as unreached; its
scores of zero carry no information.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palettune.device_bench.model.layer_weight import held_tensor, taken_from
from palettune.evaluators.placement import copied
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringPart, ScoringSetting, SensitivityScore, even
from palettune.evaluators.sensitivity.gradients import accumulate
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.sample_axes import FIRST, SampleAxes

__all__ = ["FisherScore", "drawn_loss"]


class FisherScore(SensitivityScore):
    """Sensitivity score from one backward pass for each sample.

    At most ``memory_bytes`` of weight changes are held at a time; if more are needed, there are more passes.
    """

    name = "fisher"
    draws: int = 1
    """Number of labels or projections drawn for each sample."""

    def __init__(self, setting: ScoringSetting) -> None:
        super().__init__(setting)
        self._model = copied(setting.model, setting.device).requires_grad_(False)
        self._weights = setting.weights
        self._reached: set[str] = set()
        self._refusal: str | None = None

    def score(
        self,
        columns: Sequence[Column],
        samples: Sequence[tuple[Tensor, ...]],
        first: int = 0,
        before: Sequence[tuple[Tensor, ...]] = (),
    ) -> Scores:
        """Score columns on samples; ``by_sample`` and ``signed`` are (samples * draws, columns)."""
        started = time.perf_counter()
        self._reached, self._refusal = set(), None
        signed = np.zeros((len(samples) * self.draws, len(columns)))
        factor = np.ones((len(samples) * self.draws, 1))
        course = self.course(samples, before)
        for indices in self._chunks(columns):
            changes = self._changes(columns, indices)
            for position, forward in enumerate(course.passes(self._model)):
                for draw in range(self.draws):
                    row, number = position * self.draws + draw, (first + position) * self.draws + draw
                    with course.gradients():
                        factor[row] = self._project(forward, number, changes, signed[row])
        scores = signed * np.sqrt(factor)
        unreached = tuple(dict.fromkeys(layer for layer, _ in columns if layer not in self._reached))
        seconds = time.perf_counter() - started
        return Scores(self.name, tuple(columns), scores**2, scores, seconds, unreached, self._refusal)

    @classmethod
    def parts(cls, columns: int, samples: int, count: int) -> list[ScoringPart]:
        """Split by samples, because one backward pass scores all columns."""
        return [ScoringPart(range(columns), some) for some in even(samples, count)]

    def _chunks(self, columns: Sequence[Column]) -> Iterator[dict[str, list[int]]]:
        by_layer: dict[str, list[int]] = {}
        for index, (layer, _) in enumerate(columns):
            by_layer.setdefault(layer, []).append(index)
        chunk: dict[str, list[int]] = {}
        held = 0
        for layer, indices in by_layer.items():
            size = self._weights.float_weight(layer).numel() * 4 * len(indices)
            if chunk and held + size > self.setting.memory_bytes:
                yield chunk
                chunk, held = {}, 0
            chunk[layer] = indices
            held += size
        if chunk:
            yield chunk

    def _changes(
        self, columns: Sequence[Column], by_layer: dict[str, list[int]]
    ) -> dict[str, tuple[NDArray[np.int64], Tensor]]:
        changes = {}
        for layer, indices in by_layer.items():
            weight = self._weights.float_weight(layer).float()
            stack = torch.stack([self._weights.get(layer, columns[i][1]).effective - weight for i in indices])
            changes[layer] = (np.array(indices), stack.reshape(len(indices), -1).to(self.setting.device))
        return changes

    def _project(
        self,
        forward: Callable[[], Any],
        number: int,
        changes: dict[str, tuple[NDArray[np.int64], Tensor]],
        row: NDArray[np.float64],
    ) -> float:
        held: dict[str, list[str]] = {}
        for layer in changes:
            held.setdefault(self._weights.layers[layer].tensor, []).append(layer)
        handles = [self._hook(tensor, {name: changes[name] for name in names}, row) for tensor, names in held.items()]
        try:
            factor, refusal = accumulate(self._model, forward, lambda outputs: self._loss(outputs, number))
        finally:
            for parameter, handle in handles:
                handle.remove()
                parameter.requires_grad_(False)
                parameter.grad = None
        self._refusal = self._refusal or refusal
        return factor

    def _hook(
        self, tensor: str, changes: dict[str, tuple[NDArray[np.int64], Tensor]], row: NDArray[np.float64]
    ) -> tuple[Any, Any]:
        """Project the gradient of a tensor on the changes of the layers that it holds."""
        parameter = held_tensor(self._model, tensor)
        parameter.requires_grad_(True)

        def project(weight: Tensor) -> None:
            assert weight.grad is not None
            for layer, (indices, stack) in changes.items():
                gradient = taken_from(weight.grad, self._weights.layers[layer])
                if layer not in self._reached and bool(gradient.any()):
                    self._reached.add(layer)
                row[indices] += (stack @ gradient.reshape(-1).float()).double().cpu().numpy()
            weight.grad = None

        return parameter, parameter.register_post_accumulate_grad_hook(project)  # type: ignore[no-untyped-call]

    def _loss(self, outputs: Any, number: int) -> tuple[Tensor, float]:
        seed = self.setting.seed * 1_000_003 + number
        return drawn_loss(outputs, self.setting.kind, self.setting.energy, seed, self.setting.sampling.axes)


def drawn_loss(
    outputs: Any, kind: DivergenceKind, energy: Sequence[float], seed: int, axes: SampleAxes = FIRST
) -> tuple[Tensor, float]:
    """Draw a random scalar of the outputs; its squared gradient times the factor estimates the divergence's curvature.

    Random numbers are drawn on the CPU, so that they are the same on every device.

    Args:
        outputs: of the float model, differentiable.
        kind: the divergence.
        energy: for ``SQUARED_ERROR``, the mean squared norm of each floating-point output.
        seed: of the draw.
        axes: axes of the samples.

    Returns:
        The scalar and the factor.
    """
    generator = torch.Generator().manual_seed(seed)
    values = [value for _, value in floating_outputs(outputs)]
    total = torch.zeros(())
    if kind is DivergenceKind.KL:
        positions = 0
        for value in values:
            logits = value.reshape(-1, value.shape[-1])
            likely = logits.detach().float().softmax(-1).cpu()
            labels = torch.multinomial(likely, 1, generator=generator).squeeze(1).to(logits.device)
            total = total + nn.functional.cross_entropy(logits, labels, reduction="sum")
            positions += logits.shape[0]
        return total, 0.5 / positions
    for value, scale in zip(values, energy, strict=True):
        noise = torch.randn(value.shape, generator=generator).to(value.device)
        total = total + (value * noise).sum() / float(np.sqrt(scale * len(values)))
    return total, 1.0 / max(axes.rows(value, place).shape[0] for place, value in enumerate(values))
