"""Text networks of transformers: embedders, state-space models, mixtures of experts, decoders with a cache."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import DynamicCache

from experiments.benchmarks.architectures.architecture import Built, Called, image, tokens

SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SMALL: dict[str, Any] = {
    "vocab_size": 200,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    **SPECIAL,
}
GROUPED: dict[str, Any] = {**SMALL, "num_key_value_heads": 2}
#: The form of the experts that has no loop over data; the eager one counts tokens in Python.
EXPERTS = {"experts_implementation": "batched_mm"}


class CachedDecoder(nn.Module):
    """A decoder that takes one token and its cache, and returns logits and the longer cache.

    Keys and values are (layers, 1, heads, positions, width of a head).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor) -> dict[str, Tensor]:
        cache = DynamicCache(list(zip(keys.unbind(), values.unbind(), strict=True)))
        found = self.model(input_ids=tokens, past_key_values=cache, use_cache=True)
        layers = found.past_key_values.layers
        return {
            "logits": found.logits,
            "new_keys": torch.stack([layer.keys for layer in layers]),
            "new_values": torch.stack([layer.values for layer in layers]),
        }


def cached(model: nn.Module, heads: int, width: int, layers: int = 2, positions: int = 15) -> Built:
    shape = (layers, 1, heads, positions, width)
    return CachedDecoder(model), (*tokens(1), torch.randn(shape), torch.randn(shape))


def logits_of(model: nn.Module, count: int = 16) -> Built:
    return Called(model, ("input_ids",), ("logits",), use_cache=False), tokens(count)


def t5_encoder() -> Built:
    config = transformers.T5Config(vocab_size=200, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4)
    return Called(transformers.T5EncoderModel(config), ("input_ids",), ("last_hidden_state",)), tokens(16)


def mamba() -> Built:
    config = transformers.MambaConfig(vocab_size=200, hidden_size=64, state_size=8, num_hidden_layers=2, **SPECIAL)
    return logits_of(transformers.MambaForCausalLM(config))


def mamba2() -> Built:
    config = transformers.Mamba2Config(
        vocab_size=200,
        hidden_size=64,
        state_size=16,
        num_hidden_layers=2,
        num_heads=8,
        head_dim=16,
        n_groups=2,
        chunk_size=8,
        **SPECIAL,
    )
    return logits_of(transformers.Mamba2ForCausalLM(config))


def jamba() -> Built:
    config = transformers.JambaConfig(
        **GROUPED,
        num_experts=4,
        attn_layer_period=2,
        attn_layer_offset=1,
        mamba_d_state=8,
        **EXPERTS,
    )
    return logits_of(transformers.JambaForCausalLM(config))


def mixtral() -> Built:
    config = transformers.MixtralConfig(**GROUPED, num_local_experts=4, num_experts_per_tok=2, **EXPERTS)
    return cached(transformers.MixtralForCausalLM(config), heads=2, width=16)


def qwen3_moe() -> Built:
    config = transformers.Qwen3MoeConfig(
        **GROUPED, head_dim=16, moe_intermediate_size=64, num_experts=8, num_experts_per_tok=2, **EXPERTS
    )
    return logits_of(transformers.Qwen3MoeForCausalLM(config))


def granitemoe() -> Built:
    config = transformers.GraniteMoeConfig(**GROUPED, num_local_experts=4, num_experts_per_tok=2, **EXPERTS)
    return logits_of(transformers.GraniteMoeForCausalLM(config))


def bert() -> Built:
    model = transformers.BertModel(transformers.BertConfig(**SMALL, max_position_embeddings=64))
    inputs = (*tokens(16), torch.ones(1, 16, dtype=torch.int64))
    return Called(model, ("input_ids", "attention_mask"), ("last_hidden_state", "pooler_output")), inputs


def modernbert() -> Built:
    config = transformers.ModernBertConfig(**SMALL, cls_token_id=1, sep_token_id=2, local_attention=8)
    return Called(transformers.ModernBertModel(config), ("input_ids",), ("last_hidden_state",)), tokens(16)


def clip() -> Built:
    text = {**SMALL, "max_position_embeddings": 16}
    vision = {**SMALL, "image_size": 64, "patch_size": 16}
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=32))
    inputs = (*tokens(16), *image(64))
    return Called(model, ("input_ids", "pixel_values"), ("text_embeds", "image_embeds")), inputs


def llama() -> Built:
    return cached(transformers.LlamaForCausalLM(transformers.LlamaConfig(**GROUPED)), heads=2, width=16)


def gpt2() -> Built:
    config = transformers.GPT2Config(vocab_size=200, n_embd=64, n_layer=2, n_head=4, n_positions=64, **SPECIAL)
    return cached(transformers.GPT2LMHeadModel(config), heads=4, width=16)


def gemma3() -> Built:
    config = transformers.Gemma3TextConfig(
        **GROUPED,
        head_dim=16,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        query_pre_attn_scalar=16,
    )
    return cached(transformers.Gemma3ForCausalLM(config), heads=2, width=16)
