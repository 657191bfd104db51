"""Random layers and random encodings, and real packages made of them: the oracle of the benchmarks and tests."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.compressed_weight import CompressedWeight, install
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import PackageWeight, constants, load_spec, weight_bytes
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

CHANNELS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128)
MOST_ELEMENTS = 30_000
KINDS = (
    "linear",
    "conv1d",
    "conv2d",
    "depthwise",
    "grouped",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "embedding",
)


@dataclass(frozen=True)
class Sample:
    """One module, its layer, an encoding and a target."""

    module: nn.Module
    layer: Layer
    encoding: Encoding
    target: DeploymentTarget


def random_module(rng: random.Random) -> nn.Module:
    """A module of any kind that holds a compressible weight of a moderate size."""
    while True:
        module = _module(rng, rng.choice(KINDS))
        if module.get_parameter("weight").numel() <= MOST_ELEMENTS:
            _fill(module, rng)
            return module


def _module(rng: random.Random, kind: str) -> nn.Module:
    first, second, bias = rng.choice(CHANNELS), rng.choice(CHANNELS), rng.random() < 0.7
    if kind == "linear":
        return nn.Linear(first, second, bias)
    if kind == "embedding":
        return nn.Embedding(first * rng.choice((1, 4)) + 1, second)
    if kind == "depthwise":
        return nn.Conv2d(first, first * rng.choice((1, 2)), rng.choice((1, 3, 5)), groups=first, bias=bias)
    if kind == "grouped":
        groups = rng.choice((2, 4))
        return nn.Conv2d(first * groups, second * groups, rng.choice((1, 3)), groups=groups, bias=bias)
    dimensions = int(kind[-2])
    cls = {
        "conv1d": nn.Conv1d,
        "conv2d": nn.Conv2d,
        "conv3d": nn.Conv3d,
        "conv_transpose1d": nn.ConvTranspose1d,
        "conv_transpose2d": nn.ConvTranspose2d,
        "conv_transpose3d": nn.ConvTranspose3d,
    }[kind]
    module: nn.Module = cls(first, second, rng.choice({1: (1, 3, 5), 2: (1, 3), 3: (1, 2)}[dimensions]), bias=bias)
    return module


def _fill(module: nn.Module, rng: random.Random) -> None:
    """Weights of trained networks are not uniform: normal, sometimes heavy-tailed, tiny, or with dead channels."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    weight = module.get_parameter("weight")
    values = torch.randn(weight.shape, generator=generator) * rng.choice((0.02, 0.2, 1.0))
    shape = rng.random()
    if shape < 0.1:
        values = values**3
    elif shape < 0.2 and weight.shape[0] > 4:
        values[rng.randrange(weight.shape[0])] *= 1e-3
    weight.data.copy_(values)


def random_encoding(rng: random.Random) -> Encoding:
    """Any encoding that can be spelled, with sizes that divide now and then."""
    family = rng.choice(("table", "table", "linear", "linear", "sparse", "joint", "joint"))
    size = rng.choice((1, 2, 4, 4, 8, 8, 16, 32))
    if family == "table":
        return Encoding.parse(_table(rng, size, plain=False))
    if family == "linear":
        return Encoding.parse(_linear(rng, size))
    zeros = _zeros(rng, size)
    if family == "sparse":
        return Encoding.parse(zeros)
    return Encoding.parse(f"{zeros}+{_table(rng, size, plain=True) if rng.random() < 0.5 else _linear(rng, size)}")


def _table(rng: random.Random, size: int, *, plain: bool) -> str:
    axis = rng.choice(("", "", "in"))
    group = rng.choice(("", "", f"-g{size}{axis}"))
    vector = rng.choice((2, 4))
    more = ("", "", "-scaled") if plain else ("", "", "-scaled", "-int8", "-uint8", f"-v{vector}{axis}")
    return f"lut{rng.choice((1, 2, 3, 4, 6, 8))}{group}{rng.choice(more)}"


def _linear(rng: random.Random, size: int) -> str:
    grain = rng.choice(("", "", "-tensor", f"-b{size}", f"-b{size}", f"-b{max(2, size // 2)}x{size}"))
    return f"{rng.choice(('', 'u'))}int{rng.choice((4, 8))}{rng.choice(('', '-asym'))}{grain}"


def _zeros(rng: random.Random, size: int) -> str:
    percent = rng.choice((20, 33, 50, 50, 75, 90))
    grain = rng.choice(("", "", "", f"-b{max(2, size)}", "-kernel", "-channel", ":"))
    if grain != ":":
        return f"sparse{percent}{grain}"
    return f"sparse{rng.choice(('1:2', '2:4', '3:4', '5:8'))}{rng.choice(('', 'out'))}"


class Side(nn.Module):
    """Modules side by side, each with an input and an output of its own."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.side = nn.ModuleList(modules)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run each module on its input."""
        return tuple(module(x) for module, x in zip(self.side, inputs, strict=True))


def example_input(module: nn.Module) -> Tensor:
    """An input of batch 1 for one module."""
    if isinstance(module, nn.Linear):
        return torch.zeros(1, module.in_features)
    if isinstance(module, nn.Embedding):
        return torch.zeros(1, 3, dtype=torch.int32)
    return torch.zeros(1, module.in_channels, *[6] * (module.get_parameter("weight").dim() - 2))  # type: ignore[arg-type]


def layer_of(module: nn.Module) -> Layer:
    """The layer that a single module is."""
    (layer,) = layers_of(nn.Sequential(module))
    return layer


@dataclass(frozen=True)
class Packaged:
    """What came out of a saved package: the weight of each module in order, and the size of the weight file."""

    weights: tuple[PackageWeight, ...]
    file_bytes: int


def package(modules: Sequence[nn.Module], weights_in: Sequence[CompressedWeight], target: DeploymentTarget) -> Packaged:
    """Convert modules side by side with their compressed weights, save, and read the saved package again.

    Raises:
        ConversionError: coremltools does not convert it.
    """
    root = Side(modules)
    for layer, compressed in zip(layers_of(root), weights_in, strict=True):
        install(root, layer, compressed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "side.mlpackage"
        convert(root, tuple(map(example_input, modules)), target).save(str(path))
        found = {_index(weight): weight for weight in constants(load_spec(path), path) if _is_weight(weight)}
        for weight in found.values():
            _ = weight.value
        return Packaged(tuple(found[index] for index in range(len(modules))), weight_bytes(path))


def _is_weight(weight: PackageWeight) -> bool:
    return any((use.kind, use.operand) in (("gather", "x"),) or use.operand == "weight" for use in weight.consumers)


def _index(weight: PackageWeight) -> int:
    words = weight.name.split("_")
    return int(words[words.index("side") + 1])
