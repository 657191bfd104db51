"""The weights of a program: constants, decoded where they are compressed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["Use", "Weight", "decoded"]


@dataclass(frozen=True)
class Use:
    """Where a weight goes: one input of one op."""

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
    """The value of a constant variable, as NumPy holds it, decoded by coremltools itself, inner ops first."""
    if variable.val is not None:
        return variable.val
    op = variable.op
    if op.op_type == "constexpr_cast":
        return np.float32(decoded(op.source_val))
    names = inspect.signature(op.decompress).parameters
    inputs = {name: None if op.inputs[name] is None else decoded(op.inputs[name]) for name in names}
    value = op.decompress(**inputs)
    return value[op.outputs.index(variable)] if isinstance(value, tuple) else value
