"""Models whose forward passes compute weights, as the field writes them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VECTORS = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class StandardizedConv(nn.Conv2d):
    """Weight standardization by a batch normalization, as in timm."""

    def forward(self, x: Tensor) -> Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(rows, None, None, training=True, momentum=0.0, eps=1e-6).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class ScaledConv(nn.Conv2d):
    """Standardized and scaled, by a function with two results."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.gain = nn.Parameter(torch.rand(self.out_channels, 1, 1, 1) + 0.5)
        self.scale = 0.3

    def get_weight(self) -> Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        return self.gain * (self.weight - mean) * torch.rsqrt(variance + 1e-4) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.get_weight(), self.bias)


def convolutions(kind: type[nn.Conv2d]) -> nn.Module:
    return nn.Sequential(kind(3, 8, 3), nn.ReLU(), kind(8, 8, 3), nn.Flatten())


class LowRank(nn.Module):
    """A low-rank update that is merged at run time."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 8)
        self.a, self.b = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.randn(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.base.weight + self.b @ self.a * 0.5, self.base.bias)


class Merged(nn.Module):
    """Branches that are merged into the weight of a layer, through its data, as networks do that train in branches."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(8, 8))
        self.merged = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        self.merged.weight.data = (self.a.data.clone() + self.b.data @ self.b.data).contiguous()
        self.kept = self.a.data.sum(1) * 2
        self.merged.bias.data = self.kept
        return self.merged(x)


class Written(nn.Module):
    """A weight that is written while it is computed, by statements and by calls whose result nobody takes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.a * 2
        weight += self.b.tanh()
        weight.clamp_(-1.0, 2.0)
        return F.linear(x, weight)


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k = F.linear(x, torch.cat([self.q.weight, self.k.weight])).chunk(2, -1)
        return q * k


class Positive(nn.Module):
    """A positive weight, used transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x @ F.softplus(self.raw).t() + torch.exp(self.raw[0])


class Equalized(nn.Linear):
    """Equalized learning rate: the weight is a property."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = 8, 8, None
        self.weight_orig = nn.Parameter(torch.randn(8, 8))

    @property
    def weight(self) -> Tensor:
        return self.weight_orig * 8**-0.5


class SetAnew(nn.Module):
    """Spectral normalization as much-copied code has it: the wrapper sets the weight in its own forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(8, 8)
        self.weight_bar = nn.Parameter(self.module.weight.detach().clone())
        del self.module.weight

    def forward(self, x: Tensor) -> Tensor:
        self.module.weight = self.weight_bar / torch.linalg.matrix_norm(self.weight_bar, 2)
        return self.module(x)


class Hyper(nn.Module):
    """A network of its own computes the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 64))
        self.z = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.maker(self.z).view(8, 8))


class Filter(nn.Module):
    """A windowed filter bank of buffers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.rand(4))
        self.register_buffer("kernel", torch.randn(6, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x[:, None], self.kernel * self.window)


class Masked(nn.Module):
    """A pruning mask as a plain attribute, in a convolution that one pass runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.mask = (torch.rand(8, 8) > 0.5).float()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = F.linear(x, self.layer.weight * self.mask, self.layer.bias)
        return x


class Tied(nn.Module):
    """One computed table as the embedding and, turned, as the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(10, 8))

    def forward(self, x: Tensor) -> Tensor:
        table = self.table * 0.1
        return F.embedding(x.argmax(-1), table) @ table.t()


class Gated(nn.Module):
    """A fold that another one begins with."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        first = torch.sigmoid(self.raw)
        return F.linear(F.linear(x, first), first * 2 - 1)
