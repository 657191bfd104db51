"""Random small networks, with one overflow planted or none."""

import random

import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert, unhindered
from palettune.device_bench.package.op_modules import op_modules
from palettune.device_bench.runtime import check_precision
from palettune.space.target import DeploymentTarget

WIDTH, TOKENS = 16, 6


LOW = torch.finfo(torch.float32).min


class Feed(nn.Module):
    def __init__(self, chance):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH)
        self.activation = chance.choice([torch.relu, nn.functional.gelu, nn.functional.silu, torch.tanh])

    def forward(self, x):
        return x + self.down(self.activation(self.up(self.norm(x))))


class Attend(nn.Module):
    """Attention with a causal mask that is infinite, or as good as that, in fp16."""

    def __init__(self, chance, gain=1.0):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.low, self.gain = chance.choice([LOW, -1e4, -1e9]), gain

    def forward(self, x):
        query, key, value = self.qkv(self.norm(x)).chunk(3, -1)
        scores = (query * self.gain) @ (key * self.gain).transpose(1, 2) / 4
        mask = torch.full((TOKENS, TOKENS), self.low).triu(1)
        return x + self.out((scores + mask).softmax(-1) @ value)


class Normalize(nn.Module):
    """Written by hand, near the end of fp16 and within it."""

    def __init__(self, chance):
        super().__init__()
        self.weight, self.size = nn.Parameter(torch.ones(WIDTH)), chance.choice([1.0, 10.0, 30.0])

    def forward(self, x):
        x = x * self.size
        return self.weight * x * (x.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt()


class TooWide(nn.Module):
    def __init__(self, chance):
        super().__init__()
        self.layer, self.norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        with torch.no_grad():
            self.layer.weight.mul_(10 ** chance.uniform(6, 7))

    def forward(self, x):
        return self.norm(self.layer(x))


class TooSquare(nn.Module):
    def __init__(self, chance):
        super().__init__()
        self.size = chance.uniform(1e3, 5e3)

    def forward(self, x):
        x = x * self.size
        return x / ((x**2).sum(-1, keepdim=True) + 1).sqrt()


class TooSteep(nn.Module):
    def __init__(self, chance):
        super().__init__()
        self.size = chance.uniform(12, 15)

    def forward(self, x):
        x = nn.functional.layer_norm(x, (WIDTH,))
        steep = ((x / x.abs().amax(-1, keepdim=True)) * self.size).exp()
        return steep / steep.sum(-1, keepdim=True)


class TooMany(nn.Module):
    def __init__(self, chance):
        super().__init__()
        self.size = chance.uniform(2e4, 4e4)

    def forward(self, x):
        x = nn.functional.layer_norm(x, (WIDTH,))
        level = torch.sigmoid(x) * self.size
        return level / level.sum(-1, keepdim=True)


class TooLow(nn.Module):
    """A mask of ones and zeros times finfo.min."""

    def __init__(self, chance):
        super().__init__()
        self.low = chance.choice([LOW, -1e38])

    def forward(self, x):
        present = (x[..., 0] < 1e3).float()[:, None]
        return x + ((x @ x.transpose(1, 2) / 16 + (1.0 - present) * self.low).softmax(-1) @ x)


class TooSharp(Attend):
    def __init__(self, chance):
        super().__init__(chance, gain=chance.uniform(1e3, 3e3))


SOUND = [Feed, Attend, Normalize]


PLANTED = {
    TooWide: ("linear", ".layer", False),
    TooSquare: ("mul pow square reduce_sum reduce_sum_square", "", False),
    TooSteep: ("exp", "", False),
    TooMany: ("reduce_sum", "", False),
    TooLow: ("mul", "", True),
    TooSharp: ("matmul mul", "", False),
}


class RandomNetwork(nn.Module):
    def __init__(self, seed, planted):
        super().__init__()
        chance = random.Random(seed)
        torch.manual_seed(seed)
        blocks = [chance.choice(SOUND)(chance) for _ in range(chance.randint(2, 4))]
        self.place = chance.randrange(len(blocks) + 1)
        self.fault = list(PLANTED)[seed % len(PLANTED)] if planted else None
        if self.fault is not None:
            blocks.insert(self.place, self.fault(chance))
        self.stem, self.blocks = nn.Linear(8, WIDTH), nn.ModuleList(blocks)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def checked_random(module, folder):
    inputs = [(torch.randn(1, TOKENS, 8, generator=torch.Generator().manual_seed(seed)),) for seed in range(4)]
    with unhindered():
        package = convert(module, inputs[0], DeploymentTarget.IOS18)
        package.save(str(folder / "net.mlpackage"))
    return check_precision(folder / "net.mlpackage", inputs, reference=module, modules=op_modules(package))
