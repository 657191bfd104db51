"""Networks of many architectures, and how they are saved as packages."""

import coremltools as ct
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def conv_bn(inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU6):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), act())


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv_bn(3, 8, stride=2), nn.MaxPool2d(3, 2, 1), conv_bn(8, 12, 5, act=nn.LeakyReLU))
        self.head = nn.Linear(12, 10)

    def forward(self, image):
        return self.head(self.body(image).mean((2, 3))).softmax(-1)


class InvertedResidual(nn.Module):
    def __init__(self):
        super().__init__()
        self.expand, self.depth = conv_bn(8, 24, 1), conv_bn(24, 24, groups=24, act=nn.SiLU)
        self.squeeze, self.excite = nn.Conv2d(24, 6, 1), nn.Conv2d(6, 24, 1)
        self.project = conv_bn(24, 8, 1, act=nn.Identity)

    def forward(self, x):
        y = self.depth(self.expand(x))
        gate = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1))))
        return x + self.project(y * F.hardsigmoid(gate))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.three = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 5, 3, padding=1)
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(4, 2, 1))
        self.dense = nn.Conv2d(14, 4, (1, 3), padding=(0, 1))

    def forward(self, x):
        joined = torch.cat([self.one(x), self.three(x).relu(), self.pooled(x), x], 1)
        return torch.cat([joined, self.dense(F.elu(joined))], 1)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = conv_bn(3, 6, act=nn.ReLU), conv_bn(6, 8, stride=2, act=nn.Hardswish)
        self.down3 = conv_bn(8, 8, stride=2, act=nn.GELU)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.out = nn.Conv2d(14 + 6, 2, 1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, image):
        one = self.down1(image)
        two = self.down2(one)
        three = self.down3(two)
        wide = F.interpolate(three, scale_factor=2.0, mode="nearest") + two
        smooth = F.interpolate(two, scale_factor=2, mode="bilinear", align_corners=False)
        return self.out(torch.cat([self.up(wide), smooth, one], 1)), self.shuffle(three)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(10, 4)

    def forward(self, sequence):
        return self.head(self.lstm(sequence)[0])


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(6, 5, batch_first=True)
        self.head = nn.Linear(5, 4)

    def forward(self, sequence):
        states, last = self.gru(sequence)
        return self.head(states), last


class Attention(nn.Module):
    def __init__(self, width=16, heads=4, causal=False):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 17, 16))
        self.blocks = nn.Sequential(Attention(), Attention())

    def forward(self, image):
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        return self.blocks(torch.cat([self.token, tokens], 1) + self.place)[:, 0]


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.block = nn.Embedding(50, 16), Attention(causal=True)
        self.head = nn.Linear(16, 50, bias=False)

    def forward(self, tokens):
        scores = self.head(self.block(self.embed(tokens)))
        mask = torch.triu(torch.ones(scores.shape[1], scores.shape[1]), 1) * -1e4
        return scores + mask.sum(-1)[:, None] * 0.001


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.group, self.instance = nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True)
        self.layer = nn.LayerNorm([8, 10, 10])

    def forward(self, image):
        x = self.layer(self.instance(F.mish(self.group(self.conv(image)))))
        return F.normalize(x.mean((2, 3)), dim=1), torch.logsumexp(x, 1)


class DetectionHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = conv_bn(3, 8, stride=2)
        self.scores, self.boxes = nn.Conv2d(8, 5, 1), nn.Conv2d(8, 4, 1)

    def forward(self, image):
        x = self.features(image)
        scores, boxes = self.scores(x).flatten(2).sigmoid(), self.boxes(x).flatten(2).exp()
        best, label = scores.max(1)
        top, index = best.topk(6, dim=1)
        chosen = boxes.gather(2, index[:, None].expand(-1, 4, -1))
        kept = torch.where(top[:, None] > 0.5, chosen, torch.zeros_like(chosen)).clamp(0, 4)
        return kept, top, label.gather(1, index)


class Audio(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 8, 7, stride=2, padding=3, padding_mode="reflect")
        self.dilated = nn.ModuleList(nn.Conv1d(8, 16, 3, dilation=d) for d in (1, 2, 4))
        self.up = nn.ConvTranspose1d(8, 1, 4, 2, 1)

    def forward(self, wave):
        x = self.first(wave)
        for layer in self.dilated:
            pad = 2 * layer.dilation[0]
            signal, gate = layer(F.pad(x, (pad, 0))).chunk(2, 1)
            x = x + signal.tanh() * gate.sigmoid()
        return self.up(x), torch.log(x.abs().amax(1) + 1e-5)


class TextConv(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.convs = nn.ModuleList(nn.Conv1d(12, 6, width) for width in (2, 3, 4))
        self.head = nn.Linear(18, 3)

    def forward(self, tokens):
        x = self.embed(tokens).transpose(1, 2)
        return self.head(torch.cat([F.softplus(conv(x)).amax(-1) for conv in self.convs], 1)).log_softmax(-1)


class Sampler(nn.Module):
    """Grid sampling, cumulative sums, rolls and einsum: what rarer networks need."""

    def __init__(self):
        super().__init__()
        self.locate = nn.Linear(3, 6)

    def forward(self, image):
        theta = self.locate(image.mean((2, 3))).reshape(-1, 2, 3)
        lines = torch.linspace(-0.9, 0.9, 6)
        ones = torch.ones(6, 6)
        plane = torch.stack([lines[None].expand(6, 6), lines[:, None].expand(6, 6), ones], -1)
        grid = torch.einsum("hwk,nck->nhwc", plane, theta).tanh()
        sampled = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return sampled.cumsum(2), torch.flip(sampled, [3]).roll(2, 3)


IMAGE, WAVE, SEQUENCE = (1, 3, 16, 16), (1, 1, 64), (1, 7, 6)


def tokens(length, top):
    return torch.randint(0, top, (1, length), dtype=torch.int32)


#: name: how to make the network, and how to make an input for it.
ARCHITECTURES = {
    "convolutional": (Convolutional, lambda: torch.rand(IMAGE)),
    "inverted residual": (InvertedResidual, lambda: torch.randn(1, 8, 9, 9)),
    "branches": (Branches, lambda: torch.randn(1, 4, 8, 8)),
    "u-net": (UNet, lambda: torch.rand(IMAGE)),
    "lstm": (Lstm, lambda: torch.randn(SEQUENCE)),
    "gru": (Gru, lambda: torch.randn(SEQUENCE)),
    "transformer encoder": (Encoder, lambda: torch.rand(IMAGE)),
    "transformer decoder": (Decoder, lambda: tokens(9, 50)),
    "norms": (Norms, lambda: torch.rand(1, 3, 12, 12)),
    "detection head": (DetectionHead, lambda: torch.rand(IMAGE)),
    "audio": (Audio, lambda: torch.randn(WAVE)),
    "text convolution": (TextConv, lambda: tokens(8, 40)),
    "sampler": (Sampler, lambda: torch.rand(1, 3, 8, 8)),
}


def randomized(module):
    """Normalization statistics and scales that are not the identity, in evaluation mode."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
        if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm | nn.InstanceNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return module.eval()


def save_module(
    module, example, path, *, target=ct.target.iOS17, precision=ct.precision.FLOAT32, traced=False, **options
):
    inputs = [
        ct.TensorType(name="x", shape=example.shape, dtype=np.float32 if example.is_floating_point() else np.int32)
    ]
    if traced:
        program = torch.jit.trace(module, (example,), check_trace=False)
    else:
        program = torch.export.export(module, (example,), strict=False).run_decompositions({})
    options = {"inputs": inputs, **options}
    model = ct.convert(
        program, minimum_deployment_target=target, compute_precision=precision, skip_model_load=True, **options
    )
    model.save(str(path))
    return path


# torch.export spells recurrent layers out step by step; a traced one keeps them, and their loops.
TRACED = {"lstm", "gru", "detection head"}
