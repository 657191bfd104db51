"""Linear quantization of one weight by coremltools' PostTrainingQuantizer."""

from __future__ import annotations

import numpy as np
import torch
from coremltools.optimize.torch.quantization import (
    ModulePostTrainingQuantizerConfig,
    PostTrainingQuantizer,
    PostTrainingQuantizerConfig,
)
from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.carrier import Carrier, quiet, spread
from palettune.space.encoding import Linear, Scheme

__all__ = ["Quantization", "quantize"]

_STAGE = "quantization"
_NARROW = 16
"""coremltools' converter stores integers in 4 bits where all of them are below 16, also if 8 bits are asked for."""
_WIDER = 1.25
"""Factor of the scale that moves the integers of 8 bits out of that range."""


class Quantization:
    """Linear quantization of one weight: scales and zero points as the package stores them.

    coremltools finds scales in float32, and the package stores them in fp16. Therefore scales are rounded first, and
    integers are computed from the rounded scales. The range is that of coremltools: symmetric schemes leave the lowest
    integer unused.
    """

    def __init__(self, carrier: Carrier, weight: Tensor, linear: Linear) -> None:
        self.carrier, self.linear = carrier, linear
        self.scale, self.zero = _parameters(carrier, weight, linear)
        unused = int(linear.scheme is Scheme.SYMMETRIC)
        self.low = unused - 2 ** (linear.bits - 1) if linear.signed else 0
        self.high = (2 ** (linear.bits - 1) if linear.signed else 2**linear.bits - unused) - 1
        self._spread(weight)
        if linear.bits == 8 and not linear.signed and float((self.steps(weight) + self.wide_zero).max()) < _NARROW:
            self.scale = (self.scale * _WIDER).half().float()
            self._spread(weight)

    def _spread(self, weight: Tensor) -> None:
        self.wide_scale, self.wide_zero = spread(self.scale, weight.shape), spread(self.zero, weight.shape)

    def steps(self, weight: Tensor) -> Tensor:
        """Quantize a weight: integers minus zero point, in the weight's shape."""
        return torch.clamp(torch.round(weight / self.wide_scale) + self.wide_zero, self.low, self.high) - self.wide_zero

    def decode(self, steps: Tensor) -> Tensor:
        """Compute the values that the program decodes from integers minus zero point."""
        return self.carrier.product(steps * self.wide_scale)

    @property
    def buffers(self) -> dict[str, Tensor]:
        """coremltools' metadata of the quantized weight."""
        buffers = {
            "compression_type": torch.tensor([3]),
            "quantization_n_bits": torch.tensor(self.linear.bits),
            "quantization_scale": self.scale,
        }
        if self.linear.scheme is Scheme.ASYMMETRIC or not self.linear.signed:
            buffers["zero_point"] = self.zero.to(torch.int8 if self.linear.signed else torch.uint8)
        return buffers


def quantize(carrier: Carrier, weight: Tensor, linear: Linear) -> CompressedWeight:
    """Quantize a weight linearly; scales are rounded to fp16.

    Raises:
        CompressionError: coremltools skipped the layer.
    """
    quantization = Quantization(carrier, weight, linear)
    return CompressedWeight(quantization.decode(quantization.steps(weight)), quantization.buffers)


def _parameters(carrier: Carrier, weight: Tensor, linear: Linear) -> tuple[Tensor, Tensor]:
    module = carrier.module(weight)
    config = ModulePostTrainingQuantizerConfig(
        weight_dtype=f"{'' if linear.signed else 'u'}int{linear.bits}",
        granularity=f"per_{linear.granularity}",
        quantization_scheme=linear.scheme.value.replace("asymmetric", "affine"),
        block_size=None if linear.block is None else (linear.rows, linear.block),
    )
    quantizer = PostTrainingQuantizer(module, PostTrainingQuantizerConfig(global_config=config))
    with quiet() as heard, np.errstate(divide="ignore", invalid="ignore"):  # scales of zero are mended below
        quantizer.compress(inplace=True)
    scale = carrier.buffer(module, "quantization_scale")
    if scale is None:
        raise carrier.failure(_STAGE, f"coremltools skipped the layer: {'; '.join(heard) or 'it gave no reason'}")
    zero = carrier.buffer(module, "zero_point")
    scale = carrier.per_axis(scale.float())
    zero = torch.zeros_like(scale) if zero is None else carrier.per_axis(zero.float())
    return _stored(scale), torch.where(scale > 0, zero, torch.full_like(zero, _middle(linear)))


def _middle(linear: Linear) -> int:
    """Return the zero point for weights that are all zero: with 8 bits, one that the converter does not store in 4."""
    if linear.signed:
        return 64 if linear.bits == 8 and linear.scheme is Scheme.ASYMMETRIC else 0
    return int(2 ** (linear.bits - 1)) - 1


def _stored(scale: Tensor) -> Tensor:
    """Scales in fp16, rounded up so that no weight leaves the range.

    Where all weights are zero coremltools divides by a scale of zero; 1 keeps them zero.
    """
    half = scale.half()
    up = torch.where(half.float() < scale, torch.nextafter(half, torch.full_like(half, torch.inf)), half)
    return torch.where(scale > 0, up.float(), torch.ones_like(scale))
