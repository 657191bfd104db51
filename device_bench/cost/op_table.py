"""Op lists as columns, so that one call prices all ops of a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.op import CostOp, OpKind
from palettune.device_bench.package.stored_weight import StoredWeight

__all__ = ["OpTable"]

Column = NDArray[np.float64]
_KINDS = list(OpKind)
_UNBOUNDED = 1e9


@dataclass(frozen=True, eq=False)
class OpTable:
    """One row for each distinct op.

    Attributes:
        kind: index of the op's kind in ``OpKind``.
        macs: multiply-accumulates.
        weight_bytes: bytes of weight that stream.
        weight_elements: elements of weight that the arithmetic takes.
        decoded: elements decoded from tables or scales, 0 where the weight is plain.
        table_channels: output channels that share a table; a very large number without groups.
        zeros: share of zeros in the weight.
        activation_bytes: activation bytes moved.
        largest_bytes: bytes of the largest tensor that must fit on the chip at once.
        int8: 1 where activations are 8-bit.
        count: how many ops the row stands for.
    """

    kind: NDArray[np.intp]
    macs: Column
    weight_bytes: Column
    weight_elements: Column
    decoded: Column
    table_channels: Column
    zeros: Column
    activation_bytes: Column
    largest_bytes: Column
    int8: Column
    count: Column

    @classmethod
    def of(cls, entries: Iterable[tuple[CostOp, StoredWeight | None, bool]]) -> OpTable:
        """Make columns of ops, each with its stored weight (None: fp16, if any) and whether its activations are 8-bit."""
        rows = [_row(op, weight, int8) for op, weight, int8 in entries]
        data = np.array(rows, dtype=np.float64).reshape(-1, len(fields(cls)))
        return cls._from(data)

    def merged(self) -> OpTable:
        """Return the same ops with identical rows counted together, in no particular order."""
        data = np.column_stack([getattr(self, f.name) for f in fields(self)])
        distinct, index = np.unique(data[:, :-1], axis=0, return_inverse=True)
        count = np.bincount(index.ravel(), weights=self.count)
        return OpTable._from(np.column_stack([distinct, count]))

    @classmethod
    def _from(cls, data: Column) -> OpTable:
        names = [f.name for f in fields(cls)][1:]
        return cls(kind=data[:, 0].astype(np.intp), **{name: data[:, i] for i, name in enumerate(names, 1)})

    @classmethod
    def joined(cls, tables: Iterable[OpTable]) -> OpTable:
        """Join the rows of several tables, in order."""
        parts = list(tables)
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.kind)


def _row(op: CostOp, weight: StoredWeight | None, int8: bool) -> list[float]:
    stored = weight
    look_up = op.kind in (OpKind.EMBEDDING, OpKind.HOST)
    if stored is None or look_up:  # a look-up fetches its rows only, as activations
        stored = StoredWeight.fp16(0 if look_up else op.weight_elements)
    scale = 0.5 if int8 else 1.0
    largest = op.matrix_bytes or max(op.read_bytes, op.written_bytes)
    return [
        float(_KINDS.index(op.kind)),
        float(op.macs),
        stored.bytes,
        float(stored.elements),
        float(stored.elements) if stored.compressed else 0.0,
        float(stored.table_channels or _UNBOUNDED),
        stored.zeros,
        op.activation_bytes * scale,
        largest * scale,
        float(int8),
        float(op.count),
    ]
