"""Elementwise ops.

Meaning: coremltools ``ops/defs/iOS15/elementwise_unary.py``, ``iOS15/elementwise_binary.py`` and iOS17's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel, register

for _name in ("abs", "acos", "asin", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "round"):
    register(_name, getattr(torch, _name), ["x"], __name__)
for _name in ("logical_not", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh"):
    register(_name, getattr(torch, _name), ["x"], __name__)
for _name in ("add", "sub", "mul", "maximum", "minimum", "pow", "logical_and", "logical_or", "logical_xor"):
    register(_name, getattr(torch, _name), ["x", "y"], __name__)
# The remainder takes the sign of the divisor, and the quotient is rounded down, in both NumPy and torch.
register("mod", torch.remainder, ["x", "y"], __name__)
register("floor_div", torch.floor_divide, ["x", "y"], __name__)
register("real_div", torch.true_divide, ["x", "y"], __name__)
register("equal", torch.eq, ["x", "y"], __name__)
register("not_equal", torch.ne, ["x", "y"], __name__)
register("greater", torch.gt, ["x", "y"], __name__)
register("greater_equal", torch.ge, ["x", "y"], __name__)
register("less", torch.lt, ["x", "y"], __name__)
register("less_equal", torch.le, ["x", "y"], __name__)

_CAST: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "fp16": torch.float32,
    "fp32": torch.float32,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.int32,
}


@kernel("cast")
def cast(x: Tensor, *, dtype: str) -> Tensor:
    """``x`` in another type; floats lose their fraction, whatever is not zero is true."""
    return x.to(_CAST[dtype])


@kernel("clip")
def clip(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """``x`` limited to [alpha, beta]."""
    return x.clamp(alpha, beta)


@kernel("threshold")
def threshold(x: Tensor, *, alpha: float) -> Tensor:
    """``max(x, alpha)``."""
    return x.clamp(min=alpha)


@kernel("inverse")
def inverse(x: Tensor, *, epsilon: float) -> Tensor:
    """``1 / (x + epsilon)``."""
    return torch.reciprocal(x + epsilon)


@kernel("log")
def log(x: Tensor, *, epsilon: float) -> Tensor:
    """``log(x + epsilon)``."""
    return torch.log(x + epsilon)


@kernel("rsqrt")
def rsqrt(x: Tensor, *, epsilon: float) -> Tensor:
    """``1 / sqrt(x + epsilon)``."""
    return torch.rsqrt(x + epsilon)


@kernel("select")
def select(cond: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
    """``a`` where ``cond`` holds, else ``b``; without both, the indices where ``cond`` holds, [n, rank]."""
    return torch.nonzero(cond) if a is None or b is None else torch.where(cond, a, b)
