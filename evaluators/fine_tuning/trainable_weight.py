"""A trainable weight: what is trained of one layer, and the compressed weight that it stands for at any step."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.compressed_weight import CompressedWeight
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.fine_tuning.straight_through import half
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["TrainableHalf", "TrainableWeight"]


class TrainableWeight(nn.Module, ABC):
    """The weight of one layer in training. Its parameters are trained; its value is what a package would store.

    Every implementation: ``decoded()`` has exactly the values of ``compressed().weight``; before the first step these
    are those of the compressed weight it started from, unless ``settled`` is False.
    """

    def __init__(self, layer: Layer, encoding: Encoding) -> None:
        super().__init__()
        self.layer = layer
        self.encoding = encoding

    @abstractmethod
    def decoded(self) -> Tensor:
        """The layer's weight, float32 and representable in fp16, differentiable in the parameters."""

    @abstractmethod
    def buffers_of(self) -> dict[str, Tensor]:
        """coremltools' metadata that goes with the decoded weight."""

    @abstractmethod
    def put(self, weight: Tensor) -> None:
        """Take another weight, in the tables, scales and zeros that there are."""

    def advance(self, progress: float) -> None:
        """Follow a schedule; ``progress`` goes from 0 to 1 over the steps of a training."""

    @property
    def settled(self) -> bool:
        """Whether the weight already has the form that its encoding asks for."""
        return True

    def compressed(self) -> CompressedWeight:
        """The weight as it would be stored now.

        Raises:
            CompressionError: a value is not finite.
        """
        with torch.no_grad():
            weight = self.decoded().detach().float().cpu().contiguous()
            buffers = {key: value.detach().cpu().contiguous() for key, value in self.buffers_of().items()}
        for what, values in (("weight", weight), *buffers.items()):
            if not bool(torch.isfinite(values).all()):
                raise CompressionError(self.layer, self.encoding, "training", f"{what} is not finite")
        return CompressedWeight(weight, buffers)


class TrainableHalf(TrainableWeight):
    """A weight stored in fp16."""

    def __init__(self, layer: Layer, encoding: Encoding, start: CompressedWeight) -> None:
        super().__init__(layer, encoding)
        self.latent = nn.Parameter(start.weight.clone())

    def put(self, weight: Tensor) -> None:
        """Take another weight."""
        self.latent.data.copy_(weight)

    def decoded(self) -> Tensor:
        """The latent weight, rounded to fp16."""
        return half(self.latent)

    def buffers_of(self) -> dict[str, Tensor]:
        """None: an fp16 weight has no metadata."""
        return {}
