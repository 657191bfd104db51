"""Networks with parts that fp16 cannot hold, and how they are checked."""

import functools

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.op_modules import op_modules
from palettune.device_bench.runtime import check_precision
from palettune.space.target import DeploymentTarget

IOS18 = DeploymentTarget.parse("iOS18")


LOW = torch.finfo(torch.float32).min


def inputs(seed=0, rows=1, width=32):
    return (torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)),)


class Network(nn.Module):
    """Linear layers around a module with a fault."""

    def __init__(self, fault, width=32):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.ModuleDict({"first": nn.Linear(width, width), "fault": fault})
        self.head = nn.Linear(width, 8)

    def forward(self, x):
        return self.head(self.body["fault"](self.body["first"](x)))


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Scaled(nn.Module):
    """A layer whose output is far beyond fp16, and a normalization that brings it back."""

    def __init__(self, layer, scale, norm):
        super().__init__()
        self.layer, self.norm = layer, norm
        with torch.no_grad():
            self.layer.weight.mul_(scale)

    def forward(self, x):
        return self.norm(self.layer(x))


class Convolution(Scaled):
    def forward(self, x):
        return super().forward(x[:, None])[:, 0]


class Attention(nn.Module):
    """One head over 8 tokens of 4 features, with a mask made by ``mask`` of the padding (1 where there is a token)."""

    def __init__(self, mask, gain=1.0):
        super().__init__()
        self.mask, self.gain = mask, gain
        self.query, self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        tokens = x.reshape(x.shape[0], 8, 4)
        present = (x[:, ::4] > -1.5).float()  # some tokens are padding, never all
        scores = self.query(tokens) @ self.key(tokens).transpose(1, 2) * self.gain
        scores = self.mask(scores, present[:, None])
        return (scores.softmax(-1) @ self.value(tokens)).flatten(1)


def handmade_norm(x):
    """The variance of values around 500 is beyond fp16, the values are not."""
    spread = 500 * x
    variance = ((spread - spread.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
    return spread / (variance + 1e-5).sqrt()


def added(value):
    return lambda scores, present: scores + (1.0 - present) * value


def filled(value):
    return lambda scores, present: scores.masked_fill(present == 0, value)


def causal(value):
    return torch.full((8, 8), value).triu(1)


def masked_twice(value, everything):
    """The last token is padding and later than the others; or, twice, every token is masked for the first."""

    def mask(scores, present):
        padding = torch.zeros(8)
        padding[0 if everything else 7 :] = value
        return scores + (torch.full((8, 8), value).triu(0 if everything else 1) + padding)

    return mask


@functools.cache
def checked(build, traced=False):
    """A check of a network, traced or exported."""
    import tempfile
    from pathlib import Path

    module = build().eval()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if traced:
            patch.setattr("palettune.device_bench.conversion.conversion._exported", lambda *_: 1 / 0)
        package = convert(module, inputs(), IOS18)
        path = Path(folder) / "net.mlpackage"
        package.save(str(path))
        samples = [inputs(seed, rows=2) for seed in range(3)]
        return check_precision(path, samples, reference=module, modules=op_modules(package))


@functools.cache
def _network(make):
    return lambda: Network(make())


@functools.cache
def _attention(mask, gain=1.0):
    return lambda: Network(Attention(mask, gain))


def lost():
    return Network(Attention(lambda scores, _: scores + causal(-torch.inf)))


def filled_everywhere(scores, present):
    return scores.masked_fill(present < 2, -torch.inf)


def cancelled():
    return Network(Function(lambda x: ((x + 2000) - 2000) * 3))


class Choice(nn.Module):
    """The index of the largest of some logits."""

    def __init__(self, function):
        super().__init__()
        self.function, self.layer = function, nn.Linear(32, 16)

    def forward(self, x):
        return self.function(self.layer(x)).argmax(-1)


@functools.cache
def _choice(function):
    return lambda: Choice(function)
