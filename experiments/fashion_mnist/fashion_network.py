"""A small residual network for 28 x 28 pictures of clothes, and its checkpoint.

The blocks are ResNet's (https://arxiv.org/abs/1512.03385): two 3 x 3 convolutions beside a shortcut.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

CHECKPOINT = Path(__file__).with_name("checkpoint.safetensors")
CLASSES = 10
STEM = 32
# (output channels, stride): few and wide, so that normalizations weigh little beside the weights
BLOCKS = ((32, 1), (64, 2), (192, 2))


class ConvUnit(nn.Module):
    """A convolution without bias and its normalization; the activation is optional."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, activation: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = nn.ReLU() if activation else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return self.activation(self.norm(self.conv(x)))


class Residual(nn.Module):
    """Two 3 x 3 convolutions; the input is added back, through a 1 x 1 convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = ConvUnit(inputs, outputs, kernel=3, stride=stride)
        self.second = ConvUnit(outputs, outputs, kernel=3, activation=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else ConvUnit(inputs, outputs, stride=stride, activation=False)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return self.activation(self.second(self.first(x)) + self.shortcut(x))


class FashionNetwork(nn.Module):
    """Pictures (N, 1, 28, 28), scaled to [-1, 1], to logits (N, 10)."""

    def __init__(self):
        super().__init__()
        self.stem = ConvUnit(1, STEM, kernel=3, stride=2)
        widths = (STEM, *(outputs for outputs, _ in BLOCKS))
        blocks = (Residual(inputs, outputs, stride) for inputs, (outputs, stride) in zip(widths, BLOCKS, strict=False))
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[-1], CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the 10 classes."""
        return self.classifier(self.pool(self.blocks(self.stem(x))).flatten(1))


def trained() -> FashionNetwork:
    """The network as `train.py` left it, in eval mode and float32."""
    network = FashionNetwork()
    stored = load_file(CHECKPOINT)
    network.load_state_dict({name: stored[name].to(own.dtype) for name, own in network.state_dict().items()})
    return network.eval()


def save(network: FashionNetwork) -> None:
    """Writes the checkpoint in float16, as Core ML stores weights anyway."""
    tensors = {name: own.half() if own.is_floating_point() else own for name, own in network.state_dict().items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, CHECKPOINT)
