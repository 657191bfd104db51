"""Noise of a module's own outputs when its weights change by a few roundings to fp16.

An argmax, a rounding or a nearest code turns a tiny difference into another choice. The outputs of a correct package
then differ from the module's as much as the module's own do, and no stricter threshold is reasonable.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf

import torch
from torch import Tensor, nn

from palettune.device_bench.model.outputs import flatten
from palettune.device_bench.runtime.comparison import Comparison
from palettune.device_bench.runtime.signal import powers, ratio_db

__all__ = ["allowing_own_noise", "own_noise_db"]

_DRAWS = 8
#: A few roundings to fp16: what is computed from weights, such as the norms of codes, is rounded once more.
_ROUNDING = 2.0**-9
#: How far beyond its own noise a package may be, in dB, and what it must reach in any case.
_MARGIN_DB, _LEAST_DB = 6.0, 5.0

Sample = Sequence[Tensor]


def allowing_own_noise(comparison: Comparison, module: nn.Module, samples: Iterable[Sample]) -> Comparison:
    """Lower the threshold of a failed comparison to what the module itself reaches; return others unchanged."""
    if comparison.passed or not comparison.finite:
        return comparison
    own = own_noise_db(module, samples)
    if own >= comparison.threshold_db:  # no choices turn over
        return comparison
    return replace(comparison, threshold_db=max(own - _MARGIN_DB, _LEAST_DB))


def own_noise_db(module: nn.Module, samples: Iterable[Sample], seed: int = 0) -> float:
    """Return the ratio of the worst output, in dB, between a module and copies with slightly rounded weights.

    Args:
        module: in evaluation mode; left as it is.
        samples: its positional inputs, run in order.
        seed: of the differences.
    """
    kept = list(samples)
    with torch.no_grad():
        reference = _outputs(module, kept)
        draws = (_outputs(_nudged(module, seed * _DRAWS + draw), kept) for draw in range(_DRAWS))
        return min((_worst(outputs, reference) for outputs in draws), default=inf)


def _outputs(module: nn.Module, samples: Sequence[Sample]) -> list[list[Tensor]]:
    apart = copy.deepcopy(module)  # what a forward pass leaves in it is its own
    return [[value.detach().clone() for _, value in flatten(apart(*sample))] for sample in samples]


def _nudged(module: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    nudged = copy.deepcopy(module)
    for parameter in nudged.parameters():
        if parameter.is_floating_point():
            noise = 2 * torch.rand(parameter.shape, generator=generator) - 1
            parameter.mul_(1 + _ROUNDING * noise)
    return nudged


def _worst(outputs: Sequence[Sequence[Tensor]], reference: Sequence[Sequence[Tensor]]) -> float:
    ratios = []
    for place in range(len(reference[0]) if reference else 0):
        pairs = [powers(one[place], other[place]) for one, other in zip(outputs, reference, strict=True)]
        ratios.append(ratio_db(sum(signal for signal, _ in pairs), sum(noise for _, noise in pairs)))
    return min(ratios, default=inf)
