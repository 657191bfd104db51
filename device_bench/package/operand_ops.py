"""Operands that an op takes as they are, such as a table that is added: which of them a package may hold compressed."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["LEAST_ELEMENTS", "OPERANDS", "operand_refusal"]

#: By op, the operands that may be a compressed constant. A divisor is none: a value that becomes zero gives infinities.
OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("add", "sub", "mul", "maximum", "minimum", "matmul"), ("x", "y")),
    **dict.fromkeys(("concat", "stack", "einsum"), ("values",)),
    **dict.fromkeys(("real_div", "tile", "gather_nd"), ("x",)),
    "select": ("a", "b"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask"),
}

#: Elements below which such a constant stays as it is: 2 kB in fp16.
LEAST_ELEMENTS = 1024


def operand_refusal(op_type: str, operand: str, shape: Sequence[int]) -> str | None:
    """Return why a constant operand of an op is no layer; None where it may be one.

    Args:
        op_type: coremltools' type of the op.
        operand: name of its parameter.
        shape: of the constant.
    """
    words = f"operand {operand!r} of {op_type}, which is not a weight operand"
    if operand not in OPERANDS.get(op_type, ()):
        return words
    sizes = [int(size) for size in shape]
    if sum(size > 1 for size in sizes) < 2:
        return f"{words} and has one axis longer than 1"
    if math.prod(sizes) < LEAST_ELEMENTS:
        return f"{words} and has fewer than {LEAST_ELEMENTS} elements"
    return None
