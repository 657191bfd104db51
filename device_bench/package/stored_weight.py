"""Fetching and decoding cost of one weight under one encoding."""

from __future__ import annotations

import math
from dataclasses import dataclass

from palettune.space.encoding import Axis, Encoding
from palettune.space.encoding_parts import Table
from palettune.space.footprint import blobs
from palettune.space.layer import Layer, LayerKind
from palettune.space.sparsity import nonzero_count
from palettune.space.target import DeploymentTarget

__all__ = ["StoredWeight"]


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """One weight as stored.

    Attributes:
        elements: elements of the decoded weight.
        bytes: bytes that stream from memory, tables and scales included.
        table_channels: output channels that share one table; None without tables, or with one for the tensor.
        zeros: share of elements that are zero and not stored.
        blocks: scales for blocks of input channels, which the Neural Engine does not take.
        linear: integers times a scale; early Neural Engines expand them when the model loads.
        compressed: anything but plain floats.
        coded: values are integers or indices into a table, which 8-bit activations can be multiplied with.
    """

    elements: int
    bytes: float
    table_channels: int | None = None
    zeros: float = 0.0
    blocks: bool = False
    linear: bool = False
    compressed: bool = True
    coded: bool = True

    @classmethod
    def fp16(cls, elements: int) -> StoredWeight:
        """Return an uncompressed weight."""
        return cls(elements, 2.0 * elements, compressed=False, coded=False)

    @classmethod
    def of(
        cls,
        encoding: Encoding,
        shape: tuple[int, ...],
        target: DeploymentTarget = DeploymentTarget.IOS18,
        float_bits: int = 16,
    ) -> StoredWeight:
        """Return a weight under an encoding; bytes are those of the data, without records and padding.

        Args:
            encoding: the encoding.
            shape: of the weight, output channels first.
            target: decides which operations hold it (``space.footprint``).
            float_bits: of the floats that the program computes with, 16 or 32.
        """
        elements = math.prod(shape)
        axes = (*shape, 1, 1)[: max(2, len(shape))]
        layer = Layer("", LayerKind.CONV2D, axes, float_bits=float_bits)
        stored = sum(math.ceil(blob.elements * blob.bits / 8) for blob in blobs(layer, encoding, target))
        zeros = 1 - nonzero_count(layer, encoding.sparsity) / elements
        table, linear = encoding.table, encoding.linear
        if table is not None:
            return cls(elements, stored, _sharing(table, encoding.sparsity is not None), zeros)
        if linear is not None:
            return cls(elements, stored, None, zeros, linear.block is not None, True)
        if encoding.sparsity is not None:
            return cls(elements, stored, None, zeros, coded=False)
        return cls.fp16(elements)

    def expanded(self) -> StoredWeight:
        """Return the weight as a unit holds it that decodes it when the model loads."""
        return StoredWeight.fp16(self.elements) if self.compressed else self


def _sharing(table: Table, sparse: bool) -> int | None:
    """Output channels that share a table: scales make a table of each channel, but those of sparse weights come after."""
    if table.scaled and not sparse:
        return 1
    return table.group if table.axis is Axis.OUTPUT else None
