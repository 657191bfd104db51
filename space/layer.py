"""Layers: stored weights that can be compressed, with all their uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Layer", "LayerKind"]


class LayerKind(StrEnum):
    """Operation that a layer does with its weight; it fixes the meaning of the weight's axes."""

    LINEAR = "linear"
    CONV1D = "conv1d"
    CONV2D = "conv2d"
    CONV3D = "conv3d"
    CONV_TRANSPOSE1D = "conv_transpose1d"
    CONV_TRANSPOSE2D = "conv_transpose2d"
    CONV_TRANSPOSE3D = "conv_transpose3d"
    EMBEDDING = "embedding"
    MATMUL = "matmul"
    RECURRENT = "recurrent"

    @property
    def is_transposed(self) -> bool:
        """Whether the weight is laid out (input, output per group, *kernel)."""
        return self in (
            LayerKind.CONV_TRANSPOSE1D,
            LayerKind.CONV_TRANSPOSE2D,
            LayerKind.CONV_TRANSPOSE3D,
            LayerKind.MATMUL,
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """One compressible weight.

    Attributes:
        name: dotted module name; the weight is its parameter ``weight``.
        kind: what the layer does.
        shape: shape of the weight as torch holds it.
        groups: groups of a convolution.
        tied: other modules that hold the very same weight, as (name, kind).
        float_bits: of the floats that the program computes with, 16 or 32; tables and scales are stored in them.
    """

    name: str
    kind: LayerKind
    shape: tuple[int, ...]
    groups: int = 1
    tied: tuple[tuple[str, LayerKind], ...] = ()
    float_bits: int = 16

    @property
    def output_axis(self) -> int:
        """Axis of output channels (of rows, for an embedding)."""
        return 1 if self.kind.is_transposed else 0

    @property
    def input_axis(self) -> int:
        """Axis of input channels (of features, for an embedding)."""
        return 0 if self.kind.is_transposed else 1

    @property
    def output_channels(self) -> int:
        """Length of the output axis."""
        return self.shape[self.output_axis]

    @property
    def input_channels(self) -> int:
        """Length of the input axis: channels per group for a convolution."""
        return self.shape[self.input_axis]

    @property
    def parameters(self) -> int:
        """Number of elements of the weight."""
        return math.prod(self.shape)

    @property
    def kinds(self) -> tuple[LayerKind, ...]:
        """Kinds of all modules that use this weight, without repetition, this layer's first."""
        return tuple(dict.fromkeys((self.kind, *(kind for _, kind in self.tied))))
