"""Inputs of a layer as columns: what the rows of its weight's matrices multiply, at some positions of each sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from palettune.evaluators.weights.weight_products import MovingWindow
from palettune.evaluators.weights.weight_uses import WeightUse
from palettune.space.layer import Layer, LayerKind

__all__ = ["MOST_COLUMNS", "fewer_columns", "input_columns"]

#: Of a forward pass in which samples cannot be told apart.
MOST_COLUMNS = 256
_POSITIONS = 64


def input_columns(use: WeightUse, layer: Layer) -> Tensor:
    """Return (G, K, P): for each of a layer's groups its inputs, in the order of the columns of its matrices.

    Of a module's input at most 64 positions of each sample are taken, of any other at most 256 in all; all evenly spread.
    """
    values = use.values.float()
    found = _rows(values, use.by_module) if use.window is None else _unfolded(values, use.window, layer)
    if use.inputs is None:
        return found
    inputs = use.inputs.to(found.device)
    return found[:, inputs.clamp_min(0)] * (inputs >= 0)[:, None]


def fewer_columns(columns: Tensor) -> Tensor:
    """Return at most 256 of some columns (G, K, P), evenly spread."""
    count = columns.shape[-1]
    return columns if count <= MOST_COLUMNS else columns[..., _spread(count, MOST_COLUMNS)]


def _rows(values: Tensor, by_module: bool) -> Tensor:
    if not by_module:
        rows = values.reshape(-1, values.shape[-1])
        return rows[_spread(len(rows), MOST_COLUMNS)].t()[None]
    rows = values.reshape(values.shape[0], -1, values.shape[-1]) if values.ndim > 1 else values[None, None]
    return rows[:, _spread(rows.shape[1])].flatten(0, 1).t()[None]


def _unfolded(values: Tensor, window: MovingWindow, layer: Layer) -> Tensor:
    if values.ndim == len(window.kernel) + 1:  # called without an axis of samples
        values = values.unsqueeze(0)
    values = functional.pad(values, window.padding, mode=window.mode)
    kernel, stride, dilation = window.kernel, window.stride, window.dilation
    if layer.kind is LayerKind.CONV1D:
        values = values.unsqueeze(-2)
        kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
    down, across = (
        (size - d * (k - 1) - 1) // s + 1
        for size, k, d, s in zip(values.shape[-2:], kernel, dilation, stride, strict=True)
    )
    at = _spread(down * across)
    rows = at.div(across, rounding_mode="floor")[:, None] * stride[0] + torch.arange(kernel[0]) * dilation[0]
    places = (at % across)[:, None] * stride[1] + torch.arange(kernel[1]) * dilation[1]
    picked = values[:, :, rows[:, :, None], places[:, None, :]]  # (N, C, P, kh, kw): no other patch is ever copied
    samples, channels = picked.shape[:2]
    grouped = picked.reshape(samples, layer.groups, channels // layer.groups, *picked.shape[2:])
    return grouped.permute(1, 2, 4, 5, 0, 3).flatten(4).flatten(1, 3)


def _spread(count: int, most: int = _POSITIONS) -> Tensor:
    """At most so many positions, evenly spread but not aligned with the rows of a picture."""
    if count <= most:
        return torch.arange(count)
    return (torch.arange(most, dtype=torch.float64) * 0.6180339887498949 % 1 * count).long()
