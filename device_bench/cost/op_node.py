"""Nodes of a program as the cost model reads them: types and operands of each op, and the shapes that they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coremltools import proto

from palettune.device_bench.package.package import PackageWeight
from palettune.device_bench.package.program_graph import Operand
from palettune.space.errors import UserError

__all__ = ["OpNode", "ProgramOpsError", "Shape"]

Shape = tuple[int, ...]

_TRUE = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"
"""SHA-256 of the one byte of a true boolean, as constants appear in the words of a base program."""


class ProgramOpsError(UserError):
    """A program whose ops have no known cost because a shape is not fixed; the message names the op or input."""


@dataclass(frozen=True)
class OpNode:
    """One op of a program.

    Attributes:
        name: of the op.
        kind: type of the op, or ``function`` or ``return``.
        operands: values by parameter; constants as they are, or as the words of ``program_graph.fingerprint``.
        types: serialized ``MIL_pb2.ValueType`` of each output.
    """

    name: str
    kind: str
    operands: Mapping[str, tuple[Operand, ...]]
    types: tuple[bytes, ...]

    @property
    def first_operand(self) -> Operand:
        """Value that an op of one input takes; an empty word where it has none."""
        return next(iter(self.operands.get("x", self.operands.get("input", ()))), "")

    @property
    def output_elements(self) -> int:
        """Elements of all outputs."""
        return sum(math.prod(self.output_shape(index)) for index in range(len(self.types)))

    @property
    def computes_in_float32(self) -> bool:
        """Whether the first output is float32."""
        return bool(_value_type(self.types[0]).tensorType.dataType == proto.MIL_pb2.DataType.FLOAT32)

    def output_shape(self, index: int = 0) -> Shape:
        """Return the shape of an output; empty for a list or scalar.

        Raises:
            ProgramOpsError: a dimension has no fixed size.
        """
        kind = _value_type(self.types[index])
        if kind.WhichOneof("type") != "tensorType":
            return ()
        if any(dimension.WhichOneof("dimension") != "constant" for dimension in kind.tensorType.dimensions):
            raise ProgramOpsError(
                f"{self.name}: a dimension has no fixed size; state the shape of each input that is flexible to predict "
                "for it"
            )
        return tuple(int(dimension.constant.size) for dimension in kind.tensorType.dimensions)

    def is_true(self, operand: str) -> bool:
        """Return whether an operand is the constant ``True``."""
        value = next(iter(self.operands.get(operand, ())), None)
        if isinstance(value, PackageWeight):
            return bool(value.value)
        return isinstance(value, str) and _TRUE in value


def _value_type(serialized: bytes) -> Any:
    return proto.MIL_pb2.ValueType.FromString(serialized)
