"""Operands of torch functions that are weights: what a converted program can hold compressed there."""

from __future__ import annotations

from palettune.evaluators.computed_weights.recorder import OperandUse

__all__ = ["is_product", "is_weight_operand"]

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


def _base(use: OperandUse) -> str:
    """``conv2d`` of ``_VariableFunctionsClass.conv2d`` and ``torch.ops.aten.conv2d.default``."""
    words = use.function.replace("::", ".").removesuffix(".default").split(".")
    return words[-1].strip("_")
