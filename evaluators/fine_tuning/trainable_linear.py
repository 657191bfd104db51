"""Trainable linear quantization: quantization-aware training with learned scales.

Integers are rounded inside coremltools' range with a straight-through gradient, from which the gradient of the scale
follows (Esser et al. 2020, "Learned step size quantization", https://arxiv.org/abs/1902.08153). coremltools'
LinearQuantizer (PyTorch's FX quantization) is not used: it needs a symbolic trace of the model, does not support blocks
and takes its scales from running extremes, which would discard a calibrated start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.carrier import spread
from palettune.evaluators.fine_tuning.straight_through import half, rounded
from palettune.evaluators.fine_tuning.trainable_weight import TrainableWeight
from palettune.space.encoding import Encoding, Linear, Scheme
from palettune.space.layer import Layer

__all__ = ["LinearSteps", "TrainableLinear"]

_SMALLEST_SCALE = 2.0**-24


class LinearSteps(nn.Module):
    """Trainable scales and fixed zero points of one weight."""

    offset: Tensor

    def __init__(self, linear: Linear, start: CompressedWeight) -> None:
        super().__init__()
        self.scale = nn.Parameter(start.buffers["quantization_scale"].float().clone())
        offset = start.buffers.get("zero_point")
        self.register_buffer("offset", torch.zeros_like(self.scale.data) if offset is None else offset.float())
        self._metadata = {key: value for key, value in start.buffers.items() if key != "quantization_scale"}
        unused = int(linear.scheme is Scheme.SYMMETRIC)
        self.low = unused - 2 ** (linear.bits - 1) if linear.signed else 0
        self.high = (2 ** (linear.bits - 1) if linear.signed else 2**linear.bits - unused) - 1

    def wide_scale(self, shape: torch.Size) -> Tensor:
        """Return the scale of each element, rounded to fp16, for a weight of this shape."""
        return spread(half(self.scale.clamp(min=_SMALLEST_SCALE)), shape)

    def wide_offset(self, shape: torch.Size) -> Tensor:
        """Return the zero point of each element, for a weight of this shape."""
        return spread(self.offset, shape)

    def steps(self, latent: Tensor) -> Tensor:
        """Quantize latent weights: integers minus zero point, with a straight-through gradient inside the range."""
        offset = self.wide_offset(latent.shape)
        return torch.clamp(rounded(latent / self.wide_scale(latent.shape)) + offset, self.low, self.high) - offset

    def buffers_of(self) -> dict[str, Tensor]:
        """Return coremltools' metadata, with the present scales."""
        return {**self._metadata, "quantization_scale": half(self.scale.clamp(min=_SMALLEST_SCALE))}


class TrainableLinear(TrainableWeight):
    """Trainable weight in linear quantization: integers times scales.

    Args:
        start: the compressed weight to start from.
        weight: the float weight. The latent weight starts from it wherever it rounds to the integer of ``start``, and
            elsewhere from that integer's value.
    """

    def __init__(self, layer: Layer, encoding: Encoding, start: CompressedWeight, weight: Tensor) -> None:
        super().__init__(layer, encoding)
        assert encoding.linear is not None
        self.quantization = LinearSteps(encoding.linear, start)
        self.latent = nn.Parameter(weight.clone())
        with torch.no_grad():
            self.latent.copy_(torch.where(self.decoded() == start.weight, weight, start.weight))

    def put(self, weight: Tensor) -> None:
        """Set the latent weight."""
        self.latent.data.copy_(weight)

    def decoded(self) -> Tensor:
        """Return integers times scales, rounded to fp16."""
        return half(self.quantization.steps(self.latent) * self.quantization.wide_scale(self.latent.shape))

    def buffers_of(self) -> dict[str, Tensor]:
        """Return coremltools' metadata: trained scales and the zero points of the start."""
        return self.quantization.buffers_of()
