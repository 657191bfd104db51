"""A language model whose projections hold their weights transposed, in a class of their own."""

import torch
from torch import nn
from torch.nn import functional as F

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class Conv1D(nn.Module):
    """GPT-2's projection: a weight of (inputs, outputs), in a class of its own."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.c_attn, self.c_proj, self.c_fc, self.c_out = (
            Conv1D(d, 3 * d),
            Conv1D(d, d),
            Conv1D(d, 4 * d),
            Conv1D(4 * d, d),
        )

    def forward(self, x):
        q, k, v = self.c_attn(self.ln_1(x)).split(x.shape[-1], -1)
        x = x + self.c_proj(F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], is_causal=True)[:, 0])
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, vocab=200, d=64):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, d), nn.Embedding(32, d)
        self.h = nn.ModuleList([Block(d) for _ in range(2)])
        self.ln_f = nn.LayerNorm(d)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)[:, -1]


def model():
    torch.manual_seed(0)
    return GPT()


def example_inputs():
    return (torch.arange(16)[None],)


def evaluation_data(seed=2, count=4):
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield (torch.randint(0, 200, (4, 16), generator=g),), torch.randint(0, 200, (4,), generator=g)


def calibration_data():
    return evaluation_data(3, 12)
