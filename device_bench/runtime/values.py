"""Values of a MIL program as torch tensors.

Every float is held as float32; where the program says fp16 and fp16 is emulated, the value is rounded to the nearest
half after the op that makes it (IEEE 754 binary16, round half to even, overflow to infinity).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import torch
from coremltools.converters.mil.mil import types
from torch import Tensor

__all__ = ["ComputePrecision", "attribute", "is_half", "round_to_half", "storage_dtype", "tensor"]


class ComputePrecision(Enum):
    """Precision in which the floats of a program are computed."""

    FP32 = "fp32"
    FP16 = "fp16"


# Unsigned 16 and 32 bits are held in a wider signed type: torch has few kernels for them.
_STORAGE: dict[type, torch.dtype] = {
    types.fp16: torch.float32,
    types.fp32: torch.float32,
    types.fp64: torch.float32,
    types.int8: torch.int8,
    types.int16: torch.int16,
    types.int32: torch.int32,
    types.int64: torch.int32,
    types.uint8: torch.uint8,
    types.uint16: torch.int32,
    types.uint32: torch.int64,
    types.bool: torch.bool,
}


def _primitive(mil_type: Any) -> Any:
    if types.is_tensor(mil_type):
        return mil_type.get_primitive()
    return mil_type.wrapped_type().get_primitive() if types.is_state(mil_type) else mil_type


def storage_dtype(mil_type: Any) -> torch.dtype | None:
    """Return the torch type that holds values of ``mil_type``; None for strings, lists and dictionaries."""
    primitive = _primitive(mil_type)
    if primitive in _STORAGE:
        return _STORAGE[primitive]
    return torch.uint8 if types.is_primitive(primitive) and types.is_sub_byte(primitive) else None


def is_half(mil_type: Any) -> bool:
    """Return whether a MIL type is fp16."""
    return bool(_primitive(mil_type) == types.fp16)


def tensor(value: Any, device: torch.device) -> Tensor:
    """Convert a constant to a tensor: floats to float32, others to their storage type."""
    array = np.asarray(value)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype == np.uint16 or array.dtype == np.int64:
        array = array.astype(np.int32)
    elif array.dtype == np.uint32:
        array = array.astype(np.int64)
    elif array.dtype.kind in "iu" and array.dtype not in (np.int8, np.uint8, np.int16, np.int32):
        array = array.astype(np.int32)
    return torch.tensor(array, device=device)


def attribute(value: Any) -> Any:
    """Convert a constant to plain Python: a scalar, a string, or nested lists of scalars."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def round_to_half(x: Tensor) -> Tensor:
    """Round to the nearest fp16 value, in float32; the gradient passes straight through."""
    rounded = x.detach().half().float()
    if not x.requires_grad:
        return rounded
    # A finite difference keeps infinities out of the sum where fp16 overflows.
    return torch.where(rounded.isfinite(), x + (rounded - x.detach()), rounded)
