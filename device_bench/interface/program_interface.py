"""Interface of a package as a user declares it for a torch model: names, shapes and types of inputs, output names, labels.

What is not declared is taken from the model: the names of its arguments, the shapes of the example, its own outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "PLAIN",
    "Channels",
    "DeclaredShape",
    "InputDeclaration",
    "InputType",
    "PixelScaling",
    "ProgramInterface",
    "contains_shape",
    "shape_words",
]

#: By how much a pixel may miss the range of 8 bits: float rounding in the data.
_SLACK = 0.5
#: Smallest and largest size of each dimension.
DeclaredShape = tuple[tuple[int, int], ...]
InputType = Literal["float32", "float16", "int32"]
Channels = Literal["RGB", "BGR", "grayscale"]


@dataclass(frozen=True)
class PixelScaling:
    """Image in the place of a float tensor: ``value = scale * pixel + bias``, with pixels from 0 to 255.

    Attributes:
        colour: order of the channels that the model takes.
        scale: one factor, or one for each channel.
        bias: one number, or one for each channel; in the unit of the values.
    """

    colour: Channels = "RGB"
    scale: tuple[float, ...] = (1.0,)
    bias: tuple[float, ...] = (0.0,)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 1 if self.colour == "grayscale" else 3

    def pixels(self, values: Tensor) -> Tensor:
        """Return the pixels [n, channels, height, width] for the values that the model takes; they are not rounded."""
        scale, bias = self._columns(values.dtype)
        return (values - bias) / scale

    def out_of_range(self, values: Tensor) -> tuple[float, float] | None:
        """Return the smallest and the largest pixel of values that no picture holds; None where one does."""
        pixels = self.pixels(values)
        low, high = float(pixels.min()), float(pixels.max())
        return (low, high) if low < -_SLACK or high > 255 + _SLACK else None

    def values(self, pixels: Tensor) -> Tensor:
        """Return the values that the model takes for pixels [n, channels, height, width]."""
        scale, bias = self._columns(pixels.dtype)
        return pixels * scale + bias

    def _columns(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        import torch

        scale, bias = (torch.tensor(each, dtype=dtype).reshape(1, -1, 1, 1) for each in (self.scale, self.bias))
        return scale, bias


@dataclass(frozen=True)
class InputDeclaration:
    """One input of a package.

    Attributes:
        argument: of the model's ``forward``.
        name: in the package; None for that of the argument.
        shapes: one with ranges, or several without; empty for the shape of the example.
        dtype: of the values that the package takes; None for float32, and int32 for whole numbers.
        image: for an image input.
    """

    argument: str
    name: str | None = None
    shapes: tuple[DeclaredShape, ...] = ()
    dtype: InputType | None = None
    image: PixelScaling | None = None

    @property
    def package_name(self) -> str:
        """Name in the package."""
        return self.name or self.argument

    @property
    def enumerated(self) -> bool:
        """Whether each shape is stated by itself."""
        return len(self.shapes) > 1

    @property
    def flexible(self) -> bool:
        """Whether the package takes more than one shape."""
        return self.enumerated or any(low != high for shape in self.shapes for low, high in shape)

    @property
    def words(self) -> str:
        """Declaration in words."""
        kind = f"{self.image.colour} image" if self.image is not None else self.dtype
        name = f"named {self.name}" if self.name is not None else None
        shapes = " or ".join(map(shape_words, self.shapes)) or None
        return f"{self.argument}: " + ", ".join(part for part in (name, kind, shapes) if part)

    def choices(self, example: Sequence[int]) -> tuple[DeclaredShape, ...]:
        """Return the shapes that the package takes; that of the example where none is declared."""
        return self.shapes or (tuple((size, size) for size in example),)

    def bounds(self, example: Sequence[int]) -> DeclaredShape:
        """Return the smallest and the largest size of each dimension over all shapes."""
        columns = zip(*self.choices(example), strict=True)
        return tuple((min(low for low, _ in sizes), max(high for _, high in sizes)) for sizes in columns)


@dataclass(frozen=True)
class ProgramInterface:
    """Interface of a package.

    Attributes:
        inputs: those that are declared, in any order.
        outputs: pairs of the name that an output has otherwise, and the one that it gets.
        labels: of the classes, in the order of the model's only output; empty for a package that is no classifier.
    """

    inputs: tuple[InputDeclaration, ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] | tuple[int, ...] = ()

    @property
    def flexible(self) -> bool:
        """Whether some input takes more than one shape."""
        return any(declared.flexible for declared in self.inputs)

    @property
    def words(self) -> tuple[str, ...]:
        """Declarations in words, a line for each input and output."""
        inputs = [f"input {declared.words}" for declared in self.inputs]
        outputs = [f"output {name}: named {wanted}" for name, wanted in self.outputs]
        return (*inputs, *outputs, *([f"classifier of {len(self.labels)} labels"] if self.labels else ()))

    def fixed(self) -> ProgramInterface:
        """Return the same with the shapes of the example."""
        return replace(self, inputs=tuple(replace(declared, shapes=()) for declared in self.inputs))

    def of(self, arguments: Iterable[str]) -> tuple[InputDeclaration, ...]:
        """Return the declaration of each argument, those without one included."""
        found = {declared.argument: declared for declared in self.inputs}
        return tuple(found.get(argument, InputDeclaration(argument)) for argument in arguments)

    def input_names(self, arguments: Iterable[str]) -> tuple[str, ...]:
        """Return the names in the package of the arguments."""
        return tuple(declared.package_name for declared in self.of(arguments))

    def output_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names in the package of outputs that would have ``names`` otherwise."""
        renamed = dict(self.outputs)
        return tuple(renamed.get(name, name) for name in names)

    def takes(self, arguments: Sequence[str], example: Sequence[Tensor], sample: Sequence[Tensor]) -> bool:
        """Return whether the package takes inputs of these shapes, as they are."""
        if len(sample) != len(example):
            return False
        parts = zip(self.of(arguments), example, sample, strict=True)
        return all(
            any(contains_shape(choice, value.shape) for choice in declared.choices(like.shape))
            for declared, like, value in parts
        )


#: Nothing declared.
PLAIN = ProgramInterface()


def shape_words(shape: DeclaredShape) -> str:
    """Return a declared shape as it is written, such as ``(1, 1..512)``."""
    return "(" + ", ".join(str(low) if low == high else f"{low}..{high}" for low, high in shape) + ")"


def contains_shape(choice: DeclaredShape, shape: Sequence[int]) -> bool:
    """Return whether a shape is one of those that a declared one stands for."""
    return len(shape) == len(choice) and all(
        low <= size <= high for size, (low, high) in zip(shape, choice, strict=True)
    )
