"""Networks whose inputs a user declares, and their packages."""

from pathlib import Path

import torch
from torch import nn

from palettune.device_bench.conversion.conversion import Conversion, converted, unhindered
from palettune.device_bench.interface.argument_names import argument_names
from palettune.device_bench.interface.program_interface import (
    InputDeclaration,
    PixelScaling,
    ProgramInterface,
)
from palettune.space.target import DeploymentTarget

IOS18 = DeploymentTarget("iOS18")
LENGTHS = (((1, 1), (1, 64)),)
SCALING = PixelScaling("BGR", (0.02, 0.025, 0.03), (-2.0, -2.5, -1.0))


class Tokens(nn.Module):
    """Attention over tokens of any number, with a mask of the same length."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.query, self.head = nn.Embedding(50, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, tokens, mask):
        x = self.embed(tokens) * mask[..., None].float()
        weights = torch.softmax(self.query(x) @ x.transpose(1, 2), -1)
        return self.head(weights @ x)


class Pictures(nn.Module):
    """A convolution over pictures of any size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, image):
        return self.head(torch.relu(self.stem(image)).mean((2, 3)))


class Specialized(nn.Module):
    """Works with sequences of 24 alone, and says so nowhere."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(x) if x.shape[1] == 24 else -self.head(x)


def tokens_of(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of ``Tokens``."""
    return torch.arange(length)[None] % 50, torch.ones(1, length, dtype=torch.int32)


def picture(height: int = 16, width: int = 16, scaling: PixelScaling = SCALING) -> tuple[torch.Tensor]:
    """An input of ``Pictures`` that a picture of 8 bits holds."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (1, scaling.channels, height, width), generator=generator)
    return (scaling.values(pixels.float()),)


def of_lengths(shapes=LENGTHS, **names: str) -> ProgramInterface:
    """The two inputs of ``Tokens`` in these shapes."""
    return ProgramInterface(
        tuple(InputDeclaration(argument, names.get(argument), shapes) for argument in ("tokens", "mask"))
    )


def enumerated(*shapes: tuple[int, ...]):
    """Shapes without ranges, as they are declared."""
    return tuple(tuple((size, size) for size in shape) for shape in shapes)


def packaged(
    folder: Path, module: nn.Module, example, interface: ProgramInterface, target: DeploymentTarget = IOS18
) -> tuple[Path, Conversion]:
    """A module converted and saved; its path and the conversion."""
    with unhindered():
        conversion = converted(module.eval(), example, target, interface=interface)
    path = folder / "declared.mlpackage"
    conversion.model.save(str(path))
    return path, conversion


def names_of(module: nn.Module, example) -> tuple[str, ...]:
    """Names of the module's arguments."""
    return argument_names(module, len(example))
