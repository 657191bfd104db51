"""Optimizer of fine-tuning: Adam with a rate for each tensor, relative to its size, and a schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.fine_tuning.trainee import Role

__all__ = ["Optimizer"]

WARM_UP = 0.05
_SMALLEST_SHARE = 0.1  # of the usual size of its kind: a bias of zeros must be able to leave zero


class Optimizer:
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980) with linear warm-up and cosine decay of the rates.

    Args:
        parameters: by name, each with the role that selects its rate.
        setting: the rates.
        steps: number of steps of the whole training.
    """

    def __init__(self, parameters: Mapping[str, tuple[Tensor, Role]], setting: FineTuningSetting, steps: int) -> None:
        self.names = list(parameters)
        self.steps = steps
        rates = {Role.VECTOR: setting.vector_rate, Role.TABLE: setting.table_rate, Role.WEIGHT: setting.rate}
        sizes = {name: float(p.detach().float().square().mean().sqrt()) for name, (p, _) in parameters.items()}
        usual = {role: _median([sizes[n] for n, (_, of) in parameters.items() if of is role]) for role in Role}
        self.rates = [
            rates[role] * max(sizes[name], _SMALLEST_SHARE * usual[role]) for name, (_, role) in parameters.items()
        ]
        groups = [{"params": [p], "lr": rate} for (p, _), rate in zip(parameters.values(), self.rates, strict=True)]
        self._adam = torch.optim.Adam(groups, foreach=False)

    def clear(self) -> None:
        """Clear all gradients."""
        self._adam.zero_grad(set_to_none=True)

    def non_finite(self) -> str | None:
        """Return the name of the first parameter whose gradient is not finite; ``None`` if all are finite."""
        for name, group in zip(self.names, self._adam.param_groups, strict=True):
            gradient = group["params"][0].grad
            if gradient is not None and not bool(torch.isfinite(gradient).all()):
                return name
        return None

    def step(self, step: int) -> None:
        """Update the parameters; ``step`` counts from 0 and selects the rate."""
        for rate, group in zip(self.rates, self._adam.param_groups, strict=True):
            group["lr"] = rate * self._factor(step)
        self._adam.step()

    def tensors(self) -> dict[str, Tensor]:
        """Return the optimizer's state, by ``<parameter>:<key>``."""
        state = self._adam.state_dict()["state"]
        return {f"{self.names[index]}:{key}": value for index, held in state.items() for key, value in held.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state returned by ``tensors``."""
        whole = self._adam.state_dict()
        whole["state"] = {}
        for name, value in tensors.items():
            parameter, _, key = name.rpartition(":")
            whole["state"].setdefault(self.names.index(parameter), {})[key] = value
        self._adam.load_state_dict(whole)

    def _factor(self, step: int) -> float:
        warm = max(1, round(WARM_UP * self.steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2] if ordered else 0.0
    return middle or 1.0
