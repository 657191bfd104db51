"""Stand-ins for weights in a program: tables of two entries that identify their layer, an eighth of a byte a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palettune.device_bench.package.package import PackageWeight

__all__ = ["MOST", "StandIn", "found_in", "of_table"]

_STEPS = 1023
#: How many stand-ins fp16 can tell apart.
MOST = 14 * _STEPS


@dataclass(frozen=True, eq=False)
class StandIn:
    """Stand-in for one weight: every value is ``size`` or ``-size``.

    Attributes:
        layer: name of the layer.
        shape: of the weight.
        number: from 0 on; decides ``size``.
    """

    layer: str
    shape: tuple[int, ...]
    number: int

    @property
    def size(self) -> float:
        """Value that identifies the stand-in: exact in fp16, and unlikely as a constant of a model."""
        return float((1 + (self.number % _STEPS + 1) / 1024) * 2.0 ** (self.number // _STEPS))

    @property
    def table(self) -> NDArray[np.float32]:
        """The two entries of its table."""
        return np.array([-self.size, self.size], np.float32)

    def parameter(self) -> nn.Parameter:
        """Return a parameter of the weight's shape, with one element in memory for each index of its first axis.

        Its first slice along axis 0 is negative.
        """
        signs = torch.full((self.shape[0],), self.size)
        signs[0] = -self.size
        values: Tensor = signs.reshape(-1, *[1] * (len(self.shape) - 1)).expand(self.shape)
        return nn.Parameter(values, requires_grad=False)

    def is_plain(self, value: NDArray[Any]) -> bool:
        """Return whether a constant holds the stand-in's parameter."""
        return value.shape == self.shape and bool((value[0] == -self.size).all() and (value[1:] == self.size).all())


def found_in(operand: object, by_size: Mapping[float, StandIn]) -> StandIn | None:
    """Return the stand-in that a constant of a package is; None for any other operand."""
    if not isinstance(operand, PackageWeight):
        return None
    if operand.operation == "constexpr_lut_to_dense":
        table = operand.part(operand.operation, "lut")
        return None if table is None else of_table(table.value, by_size)
    value = operand.value if operand.operation in ("const", "constexpr_cast") else None
    if not isinstance(value, np.ndarray) or value.ndim < 2 or value.dtype.kind != "f":
        return None
    found = by_size.get(float(-value.flat[0]))
    return found if found is not None and found.is_plain(value) else None


def of_table(table: Any, by_size: Mapping[float, StandIn]) -> StandIn | None:
    """Return the stand-in that a table belongs to; None for any other table."""
    if table is None or np.size(table) != 2:
        return None
    low, high = np.ravel(table).tolist()
    return by_size.get(high) if low == -high else None
