"""Operands of torch functions that a converted program can hold compressed: weights, and tables that are taken as they are."""

from __future__ import annotations

from palettune.evaluators.computed_weights.recorder import OperandUse

__all__ = ["is_broadcast", "is_moved_by", "is_product", "is_taken_operand", "is_weight_operand"]

_WEIGHTS: dict[str, tuple[int | str, ...]] = {
    "linear": (1, "weight"),
    "embedding": (0, 1, "weight"),  # torch.embedding has the table first
    "embedding_bag": (0, 1, "weight"),
    "bilinear": (2, "weight"),
    "lstm": (2,),
    "gru": (2,),
    "rnn_tanh": (2,),
    "rnn_relu": (2,),
    "multi_head_attention_forward": (5, 11, "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
}
_CONVOLUTIONS = (
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolution",
)
_PRODUCTS = ("matmul", "mm", "bmm", "rmatmul", "einsum", "tensordot", "inner")
_SUMS_OF_PRODUCTS = ("addmm", "baddbmm", "addbmm")
_SUMS = ("add", "radd", "iadd", "sub", "rsub", "isub", "mul", "rmul", "imul", "maximum", "minimum")
_QUOTIENTS = ("div", "truediv", "true_divide")
_TAKEN: dict[str, tuple[int | str, ...]] = {
    **dict.fromkeys(_SUMS, (0, 1, "other")),
    **dict.fromkeys(_QUOTIENTS, (0,)),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack"), (0, "tensors")),
    "where": (1, 2, "other"),
    "masked_fill": (0,),
    "scaled_dot_product_attention": (3, "attn_mask"),
}
_MOVES = frozenset(
    {
        *("alias", "clone", "contiguous", "detach", "embedding", "expand", "expand_as", "flatten", "flip", "float"),
        *("gather", "get", "getitem", "index", "index_select", "movedim", "narrow", "permute", "ravel", "repeat"),
        "repeat_interleave",
        *("reshape", "roll", "select", "squeeze", "swapaxes", "t", "to", "transpose", "type_as", "unflatten"),
        *("unsqueeze", "view", "view_as"),
    }
)


def is_product(use: OperandUse) -> bool:
    """Return whether the use is an operand of a matrix product, which may as well be no weight: a table of positions."""
    name = _base(use)
    return name in _PRODUCTS or (
        name in _SUMS_OF_PRODUCTS and use.position in (1, 2, "mat1", "mat2", "batch1", "batch2")
    )


def is_weight_operand(use: OperandUse) -> bool:
    """Return whether the use is the weight of a linear op, convolution, embedding, recurrent op or product."""
    name = _base(use)
    if name in _CONVOLUTIONS:
        return use.position in (1, "weight")
    return use.position in _WEIGHTS.get(name, ()) or is_product(use)


def is_taken_operand(use: OperandUse) -> bool:
    """Return whether the use is an operand that is taken as it is: added, multiplied by element, joined, chosen from."""
    return use.position in _TAKEN.get(_base(use), ())


def is_broadcast(use: OperandUse) -> bool:
    """Return whether the use is an operand of an op that repeats it along axes of length 1."""
    return _base(use) in (*_SUMS, *_QUOTIENTS)


def is_moved_by(function: str) -> bool:
    """Return whether a function, by its name in the record, moves or repeats values without computing with them."""
    return _word(function) in _MOVES


def _base(use: OperandUse) -> str:
    return _word(use.function)


def _word(function: str) -> str:
    """``conv2d`` of ``_VariableFunctionsClass.conv2d`` and ``torch.ops.aten.conv2d.default``."""
    words = function.replace("::", ".").removesuffix(".default").removesuffix(".Tensor").split(".")
    return words[-1].strip("_")
