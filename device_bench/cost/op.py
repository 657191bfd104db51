"""Op lists: a network's computation as the numbers that decide its latency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from typing import Any

from palettune.device_bench.package.stored_weight import StoredWeight

__all__ = ["CostOp", "OpKind", "OpList"]

FP16_BYTES = 2


class OpKind(StrEnum):
    """Kinds of ops that differ in cost."""

    CONV = "conv"
    DEPTHWISE = "depthwise"
    LINEAR = "linear"
    MATMUL = "matmul"
    SOFTMAX = "softmax"
    NORM = "norm"
    ELEMENTWISE = "elementwise"
    MOVE = "move"
    POOL = "pool"
    EMBEDDING = "embedding"
    RECURRENT = "recurrent"
    HOST = "host"

    @property
    def has_weight(self) -> bool:
        """Whether ops of this kind read a weight that an encoding can change."""
        return self in _WEIGHTED


_WEIGHTED = frozenset({OpKind.CONV, OpKind.DEPTHWISE, OpKind.LINEAR, OpKind.EMBEDDING, OpKind.RECURRENT})


@dataclass(frozen=True, slots=True)
class CostOp:
    """One op, or ``count`` identical ones, by shape.

    Attributes:
        name: name in the program.
        kind: what it does.
        macs: multiply-accumulates.
        weight_shape: shape of its weight, output channels first; empty without a weight.
        read_bytes: activation bytes read, in fp16 (in float32, where the op computes in it).
        written_bytes: activation bytes written, likewise.
        layer: the layer whose encoding its weight takes, or None.
        matrix_bytes: bytes of one attention matrix (softmax and its two products), which must fit on the chip.
        count: how many identical ops this stands for.
        int8: its activations are 8-bit in the program itself, whatever a configuration says.
        stored: how the program holds its weight; None where it is fp16, or a configuration's to say.
        float_bits: of the floats in which a configuration's tables, scales and kept values are stored, 16 or 32.
        float32: it computes in float32, which the Neural Engine does not.
    """

    name: str
    kind: OpKind
    macs: int = 0
    weight_shape: tuple[int, ...] = ()
    read_bytes: int = 0
    written_bytes: int = 0
    layer: str | None = None
    matrix_bytes: int = 0
    count: int = 1
    int8: bool = False
    stored: StoredWeight | None = None
    float_bits: int = 16
    float32: bool = False

    @property
    def weight_elements(self) -> int:
        """Elements of the weight; 0 without one."""
        return math.prod(self.weight_shape) if self.weight_shape else 0

    @property
    def activation_bytes(self) -> int:
        """Activation bytes read and written."""
        return self.read_bytes + self.written_bytes

    @property
    def positions(self) -> float:
        """Uses of each weight element: output positions of a convolution, tokens of a linear layer."""
        return self.macs / self.weight_elements if self.weight_elements else 0.0


class OpList(tuple[CostOp, ...]):
    """A network as a sequence of ops in program order."""

    __slots__ = ()

    def __new__(cls, ops: Iterable[CostOp] = ()) -> OpList:
        """Make a list of ops."""
        return super().__new__(cls, ops)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one prediction."""
        return sum(op.macs * op.count for op in self)

    @property
    def weight_elements(self) -> int:
        """Weight elements of all ops."""
        return sum(op.weight_elements * op.count for op in self)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers whose encodings change the cost, in program order, without repetition."""
        return tuple(dict.fromkeys(op.layer for op in self if op.layer is not None))

    def to_rows(self) -> list[list[Any]]:
        """Return plain values, one list for each op, in the order of ``CostOp``'s attributes."""
        return [[list(v) if isinstance(v, tuple) else v for v in astuple(op)] for op in self]

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[Any]]) -> OpList:
        """Read the rows of ``to_rows``."""
        return cls(_op(row) for row in rows)


def _op(row: Sequence[Any]) -> CostOp:
    """An op from its row; rows of older studies end earlier."""
    values = dict(zip((field.name for field in fields(CostOp)), row, strict=False))
    values["kind"], values["weight_shape"] = OpKind(values["kind"]), tuple(values["weight_shape"])
    stored = values.get("stored")
    values["stored"] = None if stored is None else StoredWeight(*stored)
    return CostOp(**values)
