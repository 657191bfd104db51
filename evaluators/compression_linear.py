"""Linear quantization of one weight by coremltools' PostTrainingQuantizer."""

from __future__ import annotations

import torch
from coremltools.optimize.torch.quantization import (
    ModulePostTrainingQuantizerConfig,
    PostTrainingQuantizer,
    PostTrainingQuantizerConfig,
)
from torch import Tensor

from device_bench.compressed_weight import CompressedWeight
from evaluators.compression_carrier import Carrier, quiet, to_half
from space.encoding import Linear, Scheme

__all__ = ["quantize"]

_STAGE = "quantization"


def quantize(carrier: Carrier, weight: Tensor, linear: Linear) -> CompressedWeight:
    """Quantize a weight.

    coremltools finds scales and zero points in float32; the package stores scales in fp16, so they are rounded
    first and the integers follow from the rounded ones.
    """
    scale, zero = _parameters(carrier, weight, linear)
    low, high = integer_range(linear)
    wide_scale, wide_zero = _spread(scale, weight.shape), _spread(zero, weight.shape)
    integers = torch.clamp(torch.round(weight / wide_scale) + wide_zero, low, high)
    buffers = {
        "compression_type": torch.tensor([3]),
        "quantization_n_bits": torch.tensor(linear.bits),
        "quantization_scale": scale,
    }
    if has_zero_point(linear):
        buffers["zero_point"] = zero.to(torch.int8 if linear.signed else torch.uint8)
    return CompressedWeight(to_half((integers - wide_zero) * wide_scale), buffers)


def has_zero_point(linear: Linear) -> bool:
    """True where a zero point is stored beside the scale."""
    return linear.scheme is Scheme.ASYMMETRIC or not linear.signed


def integer_range(linear: Linear) -> tuple[int, int]:
    """Smallest and largest stored integer; the symmetric range leaves one value unused, as in coremltools."""
    unused = int(linear.scheme is Scheme.SYMMETRIC)
    if linear.signed:
        return -(2 ** (linear.bits - 1)) + unused, 2 ** (linear.bits - 1) - 1
    return 0, 2**linear.bits - 1 - unused


def _parameters(carrier: Carrier, weight: Tensor, linear: Linear) -> tuple[Tensor, Tensor]:
    module = carrier.module(weight)
    config = ModulePostTrainingQuantizerConfig(
        weight_dtype=f"{'' if linear.signed else 'u'}int{linear.bits}",
        granularity=f"per_{linear.granularity}",
        quantization_scheme=linear.scheme.value.replace("asymmetric", "affine"),
        block_size=None if linear.block is None else (1, linear.block),
    )
    with quiet() as heard:
        PostTrainingQuantizer(module, PostTrainingQuantizerConfig(global_config=config)).compress(inplace=True)
    scale = carrier.buffer(module, "quantization_scale")
    if scale is None:
        raise carrier.failure(_STAGE, f"coremltools skipped the layer: {'; '.join(heard) or 'it gave no reason'}")
    zero = carrier.buffer(module, "zero_point")
    scale = carrier.per_axis(scale.float())
    zero = torch.zeros_like(scale) if zero is None else carrier.per_axis(zero.float())
    return _safe(scale), torch.where(scale > 0, zero, zero.nan_to_num())


def _safe(scale: Tensor) -> Tensor:
    """Scales in fp16. A channel of zeros, whose scale is zero, gets 1; a scale below fp16 its smallest number."""
    smallest = torch.finfo(torch.float16).smallest_normal / 2**10
    return torch.where(scale > 0, to_half(scale).clamp(min=smallest), torch.ones_like(scale))


def _spread(values: Tensor, shape: torch.Size) -> Tensor:
    for axis, length in enumerate(shape):
        if values.shape[axis] not in (1, length):
            values = values.repeat_interleave(length // values.shape[axis], dim=axis)
    return values
