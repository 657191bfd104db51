"""The parts of an encoding: what happens to the zeros, and what happens to the values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Axis", "Entries", "Granularity", "Linear", "Scheme", "Sparsity", "Table"]

TABLE_BITS = (8, 6, 4, 3, 2, 1)
LINEAR_BITS = (8, 4)
VECTOR_LENGTHS = (2, 4)


class Axis(StrEnum):
    """Which channels of a weight are meant."""

    OUTPUT = "output"
    INPUT = "input"


class Entries(StrEnum):
    """How the entries of a table are stored."""

    FP16 = "fp16"
    INT8 = "int8"
    UINT8 = "uint8"


class Scheme(StrEnum):
    """Whether the zero of a linear quantization is fixed in the middle of its range or free."""

    SYMMETRIC = "symmetric"
    ASYMMETRIC = "asymmetric"


class Granularity(StrEnum):
    """What shares one scale of a linear quantization, or what is pruned as one."""

    TENSOR = "tensor"
    CHANNEL = "channel"
    BLOCK = "block"
    KERNEL = "kernel"
    SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class Table:
    """Values as indices into tables (palettization).

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
    """Values as integers times a scale (linear quantization).

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
    """Zeros that are not stored (pruning by magnitude).

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
