"""Fetching and decoding cost of a package's constants, read from how they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from palettune.device_bench.package.package import PackageWeight, StoredPart
from palettune.device_bench.package.stored_weight import StoredWeight

__all__ = ["StoredConstant", "stored_bytes", "stored_constant"]

_DATA = frozenset(
    {
        "data", "data_mask", "indices", "indices_mask", "indices_nonzero_data", "lut", "mask", "nonzero_data", "offset",
        "quantized_data", "scale", "source_val", "val", "zero_point",
    }
)  # fmt: skip
_MASKS = ("mask", "indices_mask", "data_mask")
_VALUES = ("val", "source_val", "quantized_data", "data", "nonzero_data")


@dataclass(frozen=True, slots=True)
class StoredConstant:
    """A constant as stored, with axes in the program's order.

    Attributes:
        shape: of the decoded value.
        bytes: of all data, tables, scales and masks included; neither records nor padding.
        dtype: of the stored values, or of the table's entries.
        zeros: share of elements that are zero and not stored.
        table_bits: bits of an index; 0 without a table.
        tables: how many lie along each axis; empty without.
        vector: length of a table's entries.
        scales: how many lie along each axis; empty without.
        in_rows: the op that applies the scales knows no blocks (iOS16).
    """

    shape: tuple[int, ...]
    bytes: float
    dtype: str
    zeros: float = 0.0
    table_bits: int = 0
    tables: tuple[int, ...] = ()
    vector: int = 1
    scales: tuple[int, ...] = ()
    in_rows: bool = False

    @property
    def linear(self) -> bool:
        """Whether values are integers with scales."""
        return not self.table_bits and self.dtype.startswith(("int", "uint")) and bool(self.scales)

    def weight(self, output_axis: int) -> StoredWeight:
        """Return the constant as the weight of an op whose output channels lie along an axis.

        Args:
            output_axis: axis of output channels, of rows for a look-up.
        """
        elements = math.prod(self.shape)
        plain = not self.table_bits and not self.scales and not self.zeros
        if plain:  # whether its floats are of 16 bits or of 32 is the op's to say
            return StoredWeight.fp16(elements)
        tables = self.tables[output_axis] if self.tables else 1
        sharing = self.shape[output_axis] // tables if tables > 1 else None
        blocks = self.linear and not self.in_rows and _in_blocks(self.scales, self.shape, output_axis)
        return StoredWeight(
            elements, self.bytes, sharing, self.zeros, blocks, self.linear, coded=bool(self.table_bits) or self.linear
        )

    def transposed(self) -> StoredConstant:
        """Return the constant with its axes in reverse order."""
        return replace(self, shape=self.shape[::-1], tables=self.tables[::-1], scales=self.scales[::-1])

    def __str__(self) -> str:
        """Return the storage in the spelling of encodings where there is one: ``lut4``, ``sparse75+int8``, ``fp32``."""
        if self.table_bits:
            values = f"lut{self.table_bits}" + (f"-v{self.vector}" if self.vector > 1 else "")
        else:
            values = self.dtype
        sparse = f"sparse{round(100 * self.zeros)}" if self.zeros else ""
        return sparse if sparse and values == "fp16" else "+".join(filter(None, (sparse, values)))


def stored_constant(weight: PackageWeight) -> StoredConstant:
    """Return how a constant of a package is stored, by the ops that decode it."""
    shape = weight.shape
    found = _Found(weight, len(shape))
    values = found.lut or next((part for _, name, part in weight.parts() if name in _VALUES), None)
    kept = next((_kept(part) for _, name, part in weight.parts() if name in _MASKS), None)
    return StoredConstant(
        shape,
        float(sum(math.ceil(np.size(part.value) * part.bits / 8) for _, name, part in weight.parts() if name in _DATA)),
        values.dtype if values is not None else "other",
        0.0 if kept is None else 1 - kept * found.vector / math.prod(shape),
        found.table_bits,
        found.tables,
        found.vector,
        found.scales,
        "constexpr_affine_dequantize" in weight.chain,
    )


def stored_bytes(operands: Iterable[object]) -> dict[str, int]:
    """Return bytes in the weight file by storage, most first; an entry counts for the constant that first needs it.

    Args:
        operands: of a program's ops; what is no constant is passed over.
    """
    counted: set[tuple[str, int]] = set()
    found: dict[str, int] = {}
    for value in operands:
        if not isinstance(value, PackageWeight) or not value.bytes:
            continue
        new = {part.offset: part.bytes for *_, part in value.parts() if part.offset and part.offset not in counted}
        if new:
            counted.update(new)
            spelling = str(stored_constant(value))
            found[spelling] = found.get(spelling, 0) + sum(new.values())
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


class _Found:
    """Tables and scales in the chain of a constant, from the outside in."""

    def __init__(self, weight: PackageWeight, rank: int) -> None:
        self.lut: StoredPart | None = None
        self.table_bits, self.vector = 0, 1
        self.tables: tuple[int, ...] = ()
        self.scales: tuple[int, ...] = ()
        for inner in _chain(weight):
            self._table(inner, rank)
            scale = inner.inputs.get("scale")
            if isinstance(scale, StoredPart) and not self.scales:
                self.scales = _counts(scale, inner, rank)

    def _table(self, weight: PackageWeight, rank: int) -> None:
        lut = weight.inputs.get("lut")
        if lut is None or self.table_bits:
            return
        data = lut.inputs.get("data") if isinstance(lut, PackageWeight) else lut  # entries with scales of their own
        shape = lut.shape if len(lut.shape) > 1 else (*[1] * rank, *lut.shape, 1)
        self.lut = data if isinstance(data, StoredPart) else None
        self.table_bits, self.vector = max(1, math.ceil(math.log2(shape[-2]))), shape[-1]
        self.tables = shape[:rank]


def _chain(weight: PackageWeight) -> Iterator[PackageWeight]:
    """The ops that make a constant, without those that make the table of another."""
    yield weight
    for name, value in weight.inputs.items():
        if isinstance(value, PackageWeight) and name != "lut":
            yield from _chain(value)


def _counts(scale: StoredPart, weight: PackageWeight, rank: int) -> tuple[int, ...]:
    """Scales along each axis; the form of iOS16 has a number, or a row and its axis."""
    if len(scale.shape) == rank and weight.operation != "constexpr_affine_dequantize":
        return scale.shape
    counts = [1] * rank
    axis = weight.inputs.get("axis")
    if scale.shape and isinstance(axis, StoredPart):
        counts[int(axis.value)] = scale.shape[0]
    return tuple(counts)


def _in_blocks(scales: tuple[int, ...], shape: tuple[int, ...], output_axis: int) -> bool:
    """Whether scales are neither of the whole nor of output channels."""
    others = [count for axis, count in enumerate(scales) if axis != output_axis % len(shape)]
    return any(count > 1 for count in others) or scales[output_axis] not in (1, shape[output_axis])


def _kept(part: StoredPart) -> int:
    """Elements that a mask keeps; before iOS18 it is packed into bytes."""
    return int(np.unpackbits(part.value).sum()) if part.dtype == "uint8" else int(np.count_nonzero(part.value))
