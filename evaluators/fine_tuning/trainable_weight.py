"""Contract of a trainable weight: parameters of one layer, and the compressed weight that they give at any step."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.fine_tuning.straight_through import half
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["TrainableHalf", "TrainableWeight"]


class TrainableWeight(nn.Module, ABC):
    """Trainable weight of one layer, whose value is at any step one that a package can store.

    In every implementation ``decoded()`` has exactly the values of ``compressed().weight``. Before the first step these are
    the values of the compressed weight it starts from, unless ``settled`` is False.
    """

    def __init__(self, layer: Layer, encoding: Encoding) -> None:
        super().__init__()
        self.layer = layer
        self.encoding = encoding

    @abstractmethod
    def decoded(self) -> Tensor:
        """Return the layer's weight: float32, representable in fp16, differentiable in the parameters."""

    @abstractmethod
    def buffers_of(self) -> dict[str, Tensor]:
        """Return coremltools' metadata of the decoded weight."""

    @abstractmethod
    def put(self, weight: Tensor) -> None:
        """Set the weight to other values, encoded with the present tables, scales and zeros."""

    def advance(self, progress: float) -> None:
        """Update scheduled quantities; ``progress`` is the share of the training's steps, 0 to 1."""

    @property
    def settled(self) -> bool:
        """Whether the weight already has the form of its encoding."""
        return True

    def compressed(self) -> CompressedWeight:
        """Return the compressed weight in its present state, on the CPU.

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
    """Trainable weight in fp16."""

    def __init__(self, layer: Layer, encoding: Encoding, start: CompressedWeight) -> None:
        super().__init__(layer, encoding)
        self.latent = nn.Parameter(start.weight.clone())

    def put(self, weight: Tensor) -> None:
        """Set the latent weight."""
        self.latent.data.copy_(weight)

    def decoded(self) -> Tensor:
        """Return the latent weight, rounded to fp16."""
        return half(self.latent)

    def buffers_of(self) -> dict[str, Tensor]:
        """Return an empty dictionary: an fp16 weight has no metadata."""
        return {}
