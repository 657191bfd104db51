"""Layers: stored weights that can be compressed, with all their uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Layer", "LayerKind", "Normalization", "WeightView"]


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
    OPERAND = "operand"

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
class WeightView:
    """Elements of a tensor that are a layer's weight: transposed, cut, with rows in another order.

    The element of the weight at ``(i, j, ...)`` is the tensor's at ``start + axes[0](i) + axes[1](j) + ...``, counted in
    the order of the tensor's indices, the last one fastest.

    Attributes:
        start: the first element.
        axes: for each axis of the weight the step from one index to the next, or a position for each index.
    """

    start: int
    axes: tuple[int | tuple[int, ...], ...]

    @property
    def steps(self) -> tuple[int, ...] | None:
        """The step of each axis; None where one has a position for each index."""
        steps = tuple(axis for axis in self.axes if isinstance(axis, int))
        return steps if len(steps) == len(self.axes) else None


@dataclass(frozen=True, slots=True)
class Normalization:
    """Normalization by running statistics that alone receives a layer's outputs, so that it can take back their scales.

    Attributes:
        weight: dotted name of its weight, one number for each of the C output channels.
        mean: dotted name of its running mean, (C,).
        bias: dotted name of the layer's own bias; empty without one.
    """

    weight: str
    mean: str
    bias: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """One compressible weight.

    Attributes:
        name: of the module whose parameter ``weight`` it is; else of the parameter, numbered where it holds several.
        kind: what the layer does.
        shape: shape of the weight as the program holds it.
        groups: groups of a convolution.
        tied: other uses of the very same weight, as (name, kind).
        float_bits: of the floats that the program computes with, 16 or 32; tables and scales are stored in them.
        parameter: dotted name of the parameter or buffer that holds the weight; ``<name>.weight`` unless given.
        view: which of its elements the weight is; None for the whole as it is.
        normalization: that takes back a scale of each output channel; None where nothing can.
    """

    name: str
    kind: LayerKind
    shape: tuple[int, ...]
    groups: int = 1
    tied: tuple[tuple[str, LayerKind], ...] = ()
    float_bits: int = 16
    parameter: str = ""
    view: WeightView | None = None
    normalization: Normalization | None = None

    @property
    def tensor(self) -> str:
        """Dotted name of the tensor that holds the weight."""
        return self.parameter or ".".join(filter(None, (self.name, "weight")))

    @property
    def module(self) -> str | None:
        """Name of the module whose parameter ``weight`` is the layer's, as it is; None for any other layer."""
        return self.name if not self.parameter and self.view is None else None

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
        """Kinds of all uses of this weight, without repetition, this layer's first."""
        return tuple(dict.fromkeys((self.kind, *(kind for _, kind in self.tied))))
