"""Attention ops that TorchScript fuses where no gradients are needed, as the ops that a converter knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["FUSED"]

_KEYS = 1  # the type of a mask of keys, (batch, keys)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    mask: Tensor | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor]:
    """``aten::_native_multi_head_attention``: (batch, time, features); a boolean mask is true where nothing is attended."""
    if query is key:
        q, k, v = F.linear(query, qkv_weight, qkv_bias).chunk(3, -1)
    else:
        parts = zip((query, key, value), qkv_weight.chunk(3), qkv_bias.chunk(3), strict=True)
        q, k, v = (F.linear(given, weight, bias) for given, weight, bias in parts)
    q, k, v = (part.reshape(*part.shape[:2], num_head, -1).transpose(1, 2) for part in (q, k, v))
    scores = q @ k.transpose(-2, -1) * (embed_dim // num_head) ** -0.5
    if mask is not None:
        shown = mask[:, None, None] if mask_type == _KEYS else mask
        scores = scores.masked_fill(shown, -torch.inf) if shown.dtype is torch.bool else scores + shown
    weights = scores.softmax(-1)
    mixed = F.linear((weights @ v).transpose(1, 2).flatten(-2), proj_weight, proj_bias)
    return mixed, weights.mean(1) if average_attn_weights else weights


def _encoder_layer(
    src: Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Tensor,
    norm_bias_1: Tensor,
    norm_weight_2: Tensor,
    norm_bias_2: Tensor,
    ffn_weight_1: Tensor,
    ffn_bias_1: Tensor,
    ffn_weight_2: Tensor,
    ffn_bias_2: Tensor,
    mask: Tensor | None = None,
    mask_type: int | None = None,
) -> Tensor:
    """``aten::_transformer_encoder_layer_fwd``: (batch, time, features)."""

    def first(x: Tensor) -> Tensor:
        return F.layer_norm(x, (embed_dim,), norm_weight_1, norm_bias_1, eps)

    def second(x: Tensor) -> Tensor:
        return F.layer_norm(x, (embed_dim,), norm_weight_2, norm_bias_2, eps)

    def attend(x: Tensor) -> Tensor:
        weights = (qkv_weight, qkv_bias, proj_weight, proj_bias)
        return _attention(x, x, x, embed_dim, num_heads, *weights, mask, mask_type=mask_type)[0]

    def feed(x: Tensor) -> Tensor:
        inside = F.linear(x, ffn_weight_1, ffn_bias_1)
        return F.linear(F.gelu(inside) if use_gelu else inside.relu(), ffn_weight_2, ffn_bias_2)

    if norm_first:
        src = src + attend(first(src))
        return src + feed(second(src))
    src = first(src + attend(src))
    return second(src + feed(src))


FUSED: dict[str, Callable[..., Any]] = {
    "aten::_native_multi_head_attention": _attention,
    "aten::_transformer_encoder_layer_fwd": _encoder_layer,
}
"""By the name of the op."""
