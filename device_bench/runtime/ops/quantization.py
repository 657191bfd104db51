"""Quantized activations. Meaning: coremltools ``ops/defs/iOS17/quantization_ops.py``."""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel

_RANGES: dict[str, tuple[int, int, torch.dtype]] = {
    "int8": (-128, 127, torch.int8),
    "uint8": (0, 255, torch.uint8),
}


def _along(parameter: Tensor, axis: int | None, rank: int) -> Tensor:
    """A scalar, or a vector laid along ``axis`` so that it broadcasts with a tensor of ``rank``."""
    if parameter.dim() == 0 or axis is None:
        return parameter
    return parameter.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


@kernel("quantize", since="iOS17")
def quantize(input: Tensor, zero_point: Tensor | None, scale: Tensor, *, axis: int | None, output_dtype: str) -> Tensor:
    """``clip(round(input / scale) + zero_point)`` in 8 bits, halves rounded to even."""
    low, high, dtype = _RANGES[output_dtype]
    levels = torch.round(input / _along(scale, axis, input.dim()))
    if zero_point is not None:
        levels = levels + _along(zero_point, axis, input.dim())
    return levels.clamp(low, high).to(dtype)


@kernel("dequantize", since="iOS17")
def dequantize(input: Tensor, zero_point: Tensor | None, scale: Tensor, *, axis: int | None) -> Tensor:
    """``scale * (input - zero_point)``."""
    levels = input.float()
    if zero_point is not None:
        levels = levels - _along(zero_point, axis, input.dim()).float()
    return levels * _along(scale, axis, input.dim())
