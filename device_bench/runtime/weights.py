"""Weights of a program: constants, decoded where they are compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from palettune.device_bench.package.constexpr import decode

__all__ = ["Use", "Weight", "decoded"]


@dataclass(frozen=True)
class Use:
    """Use of a weight: one input of one op."""

    op_type: str
    op_name: str
    parameter: str


@dataclass(frozen=True)
class Weight:
    """One float constant of a program.

    Attributes:
        name: the name of the constant, or of the last op that decodes it, in the program.
        tensor: the decoded value, float32.
        encoding: the type of the op that decodes it, None for a plain constant.
        uses: the ops that read it.
    """

    name: str
    tensor: Tensor
    encoding: str | None
    uses: tuple[Use, ...]


def decoded(variable: Any) -> Any:
    """Return the value of a constant variable as a NumPy array, decoding inner ops first."""
    if variable.val is not None:
        return variable.val
    op = variable.op
    inputs = {name: decoded(inner) for name, inner in op.inputs.items() if inner is not None}
    return decode(op.op_type, inputs, op.outputs.index(variable))
