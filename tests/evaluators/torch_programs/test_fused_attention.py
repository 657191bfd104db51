"""Fused attention ops compute what torch's own do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palettune.evaluators.torch_programs.fused_attention import FUSED

X = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
KEYS = torch.tensor([[False] * 5, [False, False, False, True, True]])
CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize(("mask", "kind"), [(None, None), (KEYS, 1), (CAUSAL, 0)])
def test_an_encoder_layer(norm_first: bool, gelu: bool, mask: torch.Tensor | None, kind: int | None) -> None:
    torch.manual_seed(0)
    activation = "gelu" if gelu else "relu"
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=norm_first, activation=activation).eval()
    attention = layer.self_attn
    with torch.no_grad():
        args = (
            X, 16, 4, attention.in_proj_weight, attention.in_proj_bias, attention.out_proj.weight, attention.out_proj.bias,
            gelu, norm_first, layer.norm1.eps, layer.norm1.weight, layer.norm1.bias, layer.norm2.weight, layer.norm2.bias,
            layer.linear1.weight, layer.linear1.bias, layer.linear2.weight, layer.linear2.bias, mask, kind,
        )  # fmt: skip
        wanted = torch.ops.aten._transformer_encoder_layer_fwd(*args)
        assert torch.allclose(FUSED["aten::_transformer_encoder_layer_fwd"](*args), wanted, atol=1e-5)


@pytest.mark.parametrize("average", [False, True])
def test_attention_with_its_weights(average: bool) -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    projections = (attention.in_proj_weight, attention.in_proj_bias, attention.out_proj.weight, attention.out_proj.bias)
    with torch.no_grad():
        args = (X, X, X, 16, 4, *projections, KEYS, True, average, 1)
        wanted = torch.ops.aten._native_multi_head_attention(*args)
        found = FUSED["aten::_native_multi_head_attention"](*args)
        other = FUSED["aten::_native_multi_head_attention"](
            X, X.clone(), X, 16, 4, *projections, KEYS, True, average, 1
        )
    for one, again, two in zip(found, other, wanted, strict=True):
        assert torch.allclose(one, two, atol=1e-5)
        assert torch.allclose(one, again, atol=1e-5)
