"""What a device has to fetch and decode for one weight under one encoding."""

from __future__ import annotations

import math
from dataclasses import dataclass

from space.encoding import Encoding

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
        compressed: anything but fp16.
    """

    elements: int
    bytes: float
    table_channels: int | None = None
    zeros: float = 0.0
    blocks: bool = False
    linear: bool = False
    compressed: bool = True

    @classmethod
    def fp16(cls, elements: int) -> StoredWeight:
        """An uncompressed weight."""
        return cls(elements, 2.0 * elements, compressed=False)

    @classmethod
    def of(cls, encoding: Encoding, shape: tuple[int, ...]) -> StoredWeight:
        """A weight of ``shape`` (output channels first) under an encoding.

        The byte counts are those of the operations in coremltools' ``iOS18.compression``, without padding.
        """
        elements = math.prod(shape)
        kept = elements * (1 - encoding.sparsity.share) if encoding.sparsity else elements
        mask = elements / 8 if encoding.sparsity else 0.0
        table, linear = encoding.table, encoding.linear
        if table is not None:
            entry = (2.0 if table.entries == "fp16" else 1.0) * table.vector
            channels = shape[0] if table.axis == "output" else (shape[1] if len(shape) > 1 else 1)
            tables = 1 if table.group is None else max(1, channels // table.group)
            stored = kept * table.bits / table.vector / 8 + tables * 2**table.bits * entry
            grouped = table.group if table.group is not None and table.axis == "output" else None
            return cls(elements, mask + stored, grouped, 1 - kept / elements)
        if linear is not None:
            blocks = math.ceil((shape[1] if len(shape) > 1 else 1) / linear.block) if linear.block else 1
            rows = shape[0] // (linear.rows if linear.block else 1)
            scales = 1 if linear.granularity == "tensor" else rows * blocks
            stored = kept * linear.bits / 8 + 2.0 * scales
            return cls(elements, mask + stored, None, 1 - kept / elements, linear.block is not None, True)
        if encoding.sparsity is not None:
            return cls(elements, mask + 2 * kept, None, 1 - kept / elements)
        return cls.fp16(elements)

    def expanded(self) -> StoredWeight:
        """The weight as a unit holds it that decodes it when the model loads."""
        return StoredWeight.fp16(self.elements)
