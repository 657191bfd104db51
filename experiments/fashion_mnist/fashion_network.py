"""A small inverted-residual network for 28 x 28 pictures of clothes, and its checkpoint.

The blocks are MobileNetV2's (https://arxiv.org/abs/1801.04381): expand, filter each channel, project linearly.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

CHECKPOINT = Path(__file__).with_name("checkpoint.safetensors")
CLASSES = 10
STEM = 32
HEAD = 256
# (expansion, stride, output channels)
BLOCKS = ((2, 1, 32), (3, 2, 64), (3, 1, 64), (3, 1, 64), (3, 1, 96), (3, 1, 96))


class ConvUnit(nn.Module):
    """A convolution without bias and its normalization; the activation is optional."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, activation: bool = True
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = nn.ReLU6() if activation else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return self.activation(self.norm(self.conv(x)))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; the input is added back where shapes allow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvUnit(inputs, hidden)
        self.depthwise = ConvUnit(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = ConvUnit(hidden, outputs, activation=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class FashionNetwork(nn.Module):
    """Pictures (N, 1, 28, 28), scaled to [-1, 1], to logits (N, 10)."""

    def __init__(self):
        super().__init__()
        self.stem = ConvUnit(1, STEM, kernel=3, stride=2)
        channels = [STEM, *(outputs for _, _, outputs in BLOCKS)]
        self.blocks = nn.Sequential(
            *(
                InvertedResidual(inputs, outputs, expansion, stride)
                for inputs, (expansion, stride, outputs) in zip(channels, BLOCKS, strict=False)
            )
        )
        self.head = ConvUnit(channels[-1], HEAD)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(HEAD, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the 10 classes."""
        return self.classifier(self.pool(self.head(self.blocks(self.stem(x)))).flatten(1))


def trained() -> FashionNetwork:
    """The network as `train.py` left it, in eval mode."""
    network = FashionNetwork()
    network.load_state_dict(load_file(CHECKPOINT), strict=True)
    return network.eval()


def save(network: FashionNetwork) -> None:
    """Writes the checkpoint, float32."""
    save_file(network.state_dict(), CHECKPOINT)
