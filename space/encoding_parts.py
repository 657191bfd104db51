"""Parts of an encoding: how zeros are left out, and how the other values are stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Axis", "Entries", "Granularity", "Linear", "Scheme", "Sparsity", "Table"]

TABLE_BITS = (8, 6, 4, 3, 2, 1)
LINEAR_BITS = (8, 4)
VECTOR_LENGTHS = (2, 4)


class Axis(StrEnum):
    """Channel axis of a weight, in the layer's own sense."""

    OUTPUT = "output"
    INPUT = "input"


class Entries(StrEnum):
    """Storage of the entries of a table."""

    FP16 = "fp16"
    INT8 = "int8"
    UINT8 = "uint8"


class Scheme(StrEnum):
    """Placement of the zero in a linear quantization: fixed at the middle of the range, or free."""

    SYMMETRIC = "symmetric"
    ASYMMETRIC = "asymmetric"


class Granularity(StrEnum):
    """Unit that shares one scale of a linear quantization, or that is pruned as a whole."""

    TENSOR = "tensor"
    CHANNEL = "channel"
    BLOCK = "block"
    KERNEL = "kernel"
    SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class Table:
    """Palettization: values stored as indices into tables.

    Attributes:
        bits: bits of an index.
        group: channels along ``axis`` that share one table; None for one table per tensor.
        axis: the axis of groups and of vectors.
        vector: length of one entry; vectors run along ``axis``.
        entries: how entries are stored.
        scaled: each output channel is normalized by its own scale before it meets the table.
    """

    bits: int
    group: int | None = None
    axis: Axis = Axis.OUTPUT
    vector: int = 1
    entries: Entries = Entries.FP16
    scaled: bool = False


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear quantization: values stored as integers times a scale.

    Attributes:
        bits: bits of an integer.
        signed: int or uint.
        scheme: symmetric, or asymmetric with a zero point.
        granularity: tensor, channel (output) or block.
        block: input channels of a block; only for blocks.
        rows: output channels of a block.
    """

    bits: int
    signed: bool = True
    scheme: Scheme = Scheme.SYMMETRIC
    granularity: Granularity = Granularity.CHANNEL
    block: int | None = None
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Pruning by magnitude: zeros are not stored.

    Attributes:
        percent: share of zeros in percent; None for n:m.
        n_of_m: zeros in every m neighbours along ``axis``; None otherwise.
        axis: the axis of n:m neighbours.
        granularity: what is pruned as one: scalar, block, kernel or channel.
        block: neighbouring output channels pruned as one; only for blocks.
    """

    percent: int | None = None
    n_of_m: tuple[int, int] | None = None
    axis: Axis = Axis.INPUT
    granularity: Granularity = Granularity.SCALAR
    block: int | None = None

    @property
    def share(self) -> float:
        """Share of zeros asked for, in [0, 1]."""
        if self.n_of_m is not None:
            return self.n_of_m[0] / self.n_of_m[1]
        return (self.percent or 0) / 100
