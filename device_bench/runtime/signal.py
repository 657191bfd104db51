"""Distances between tensors."""

from __future__ import annotations

from math import inf, log10

import torch
from torch import Tensor

__all__ = ["agreement", "contrast_to_noise", "powers", "ratio_db", "signal_to_noise"]


def powers(value: Tensor, reference: Tensor) -> tuple[float, float]:
    """Return the sums of squares of the reference and of the difference; equal infinities and NaNs do not differ.

    A value that is not finite where the reference is gives an infinite noise.
    """
    value, reference = value.double(), reference.double()
    same = (value == reference) | (value.isnan() & reference.isnan())
    difference = torch.where(same, torch.zeros_like(value), value - reference)
    signal = torch.where(reference.isfinite(), reference, torch.zeros_like(reference)).square().sum()
    noise = difference.square().sum()
    return float(signal), float(noise) if bool(noise.isfinite()) else inf


def ratio_db(signal: float, noise: float) -> float:
    """Return ``10 log10(signal / noise)`` in dB: infinite without noise, minus infinite with noise and no signal."""
    if noise == 0:
        return inf
    return -inf if signal == 0 or noise == inf else 10 * log10(signal / noise)


def signal_to_noise(value: Tensor, reference: Tensor) -> float:
    """Return the signal-to-noise ratio of a value against its reference, in dB."""
    return ratio_db(*powers(value, reference))


def contrast_to_noise(value: Tensor, reference: Tensor) -> float:
    """Return the signal-to-noise ratio with the reference's mean left out of the signal, in dB.

    A large common offset, such as a sigmoid's half, would otherwise hide that the rest is wrong.
    """
    reference = reference.double()
    finite = reference[reference.isfinite()]
    _, noise = powers(value, reference)
    contrast = float((finite - finite.mean()).square().sum()) if finite.numel() else 0.0
    # Of a constant nothing is left: its own size is the measure then.
    return ratio_db(contrast or float(finite.square().sum()), noise)


def agreement(value: Tensor, reference: Tensor) -> tuple[int, int] | None:
    """Count the places where both pick the same class, and all places; None for an output without classes.

    Classes lie along the last axis of a matrix or a sequence, and along the channels, axis 1, of an image.
    """
    axis = 1 if reference.dim() >= 4 else -1
    if reference.dim() < 2 or reference.shape[axis] < 2 or not reference.is_floating_point():
        return None
    same = value.argmax(axis) == reference.argmax(axis)
    return int(same.sum()), same.numel()
