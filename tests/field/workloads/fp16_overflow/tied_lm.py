"""A decoder tied to its embedding, with masks of the smallest float32 and rows padded on the left."""

import torch
from torch import nn
from torch.nn import functional as F

EXPERIMENT = """
space.encodings = ["fp16", "lut8", "lut6", "lut4", "int8", "int4-b32"]
objectives.divergence = "kl"
"""


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.n1, self.n2 = nn.RMSNorm(d), nn.RMSNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(d, 2 * d), nn.Linear(d, 2 * d), nn.Linear(2 * d, d)

    def forward(self, x, mask):
        b, t, d = x.shape
        h = self.n1(x)
        q, k, v = (m(h).view(b, t, 4, d // 4).transpose(1, 2) for m in (self.q, self.k, self.v))
        scores = q @ k.transpose(-1, -2) / (d // 4) ** 0.5 + mask
        x = x + self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))
        h = self.n2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Decoder(nn.Module):
    def __init__(self, vocab=512, d=64):
        super().__init__()
        self.embed = nn.Embedding(vocab, d)
        self.blocks = nn.ModuleDict({f"b{i}": Block(d) for i in range(2)})
        self.norm = nn.RMSNorm(d)
        self.lm_head = nn.Linear(d, vocab, bias=False)
        self.lm_head.weight = self.embed.weight

    def forward(self, input_ids, attention_mask):
        t = input_ids.shape[1]
        low = torch.finfo(torch.float32).min
        causal = torch.full((t, t), low).triu(1)[None, None]
        padding = (1.0 - attention_mask[:, None, None].float()) * low
        x = self.embed(input_ids)
        for block in self.blocks.values():
            x = block(x, causal + padding)
        return {"logits": self.lm_head(self.norm(x))}


def model():
    torch.manual_seed(0)
    return Decoder()


def example_inputs():
    return torch.arange(16)[None], torch.ones(1, 16, dtype=torch.int64)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        ids = torch.randint(0, 512, (4, 16), generator=g)
        mask = torch.ones(4, 16, dtype=torch.int64)
        mask[:, :3] = 0  # padded on the left, as generation does
        yield (ids, mask), ids
