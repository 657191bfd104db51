"""Compressed weights in a torch module: decoded values in its tensors, and beside them how a package stores them.

The decoded weight is written into the tensor that holds it. What a package stores is coremltools' own metadata of a
compressed weight (``coremltools.optimize.torch._utils.metadata_utils``), kept by layer in an attribute of the module,
which conversion reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from palettune.device_bench.model.layer_weight import put_layer_weight
from palettune.space.layer import Layer

__all__ = ["CompressedWeight", "InstalledWeight", "clear", "install", "installed"]

_ATTRIBUTE = "palettune_weights"


@dataclass(frozen=True)
class CompressedWeight:
    """The weight of one layer in one encoding.

    Attributes:
        weight: the decoded weight that a package stores, float32, of the layer's shape.
        buffers: coremltools' metadata by key (``lut``, ``quantization_scale``, ``compression_type`` ...);
            empty for ``fp16``.
        scale: of each output channel, which the normalization after the layer applies; it broadcasts to the weight.
            ``None`` for ones.
    """

    weight: Tensor
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    scale: Tensor | None = None

    @property
    def effective(self) -> Tensor:
        """The weight that computes, without a change of the normalization, what the package does."""
        return self.weight if self.scale is None else self.weight * self.scale

    def over_scale(self, values: Tensor) -> Tensor:
        """Return values of the effective weight as a package stores them: over the scales."""
        return values if self.scale is None else values / self.scale


@dataclass(frozen=True)
class InstalledWeight:
    """A layer of a module that conversion stores as its metadata says.

    Attributes:
        layer: the layer.
        buffers: coremltools' metadata by key; empty for ``fp16``.
    """

    layer: Layer
    buffers: Mapping[str, Tensor]


def install(root: nn.Module, layer: Layer, compressed: CompressedWeight) -> None:
    """Put a compressed weight into a model, in place, with its metadata.

    Raises:
        ValueError: the weight has not the layer's shape.
    """
    put_layer_weight(root, layer, compressed.weight)
    held = vars(root).setdefault(_ATTRIBUTE, {})
    held[layer.name] = InstalledWeight(layer, dict(compressed.buffers))


def clear(root: nn.Module, layer: str) -> None:
    """Drop the metadata of a layer, so that its weight converts as any other constant."""
    vars(root).get(_ATTRIBUTE, {}).pop(layer, None)


def installed(root: nn.Module) -> Mapping[str, InstalledWeight]:
    """Return the layers that a model holds compressed weights of, by name."""
    found: Mapping[str, InstalledWeight] = vars(root).get(_ATTRIBUTE, {})
    return found
