"""Inputs and outputs of a program: names, shapes, and the values that they accept.

Meaning: ``FeatureTypes.proto`` of Core ML, https://apple.github.io/coremltools/mlmodel/Format/FeatureTypes.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch
from coremltools import proto
from torch import Tensor

from palettune.device_bench.runtime.errors import ProgramError

__all__ = ["Colour", "Feature", "feature"]

#: Smallest and largest size of a dimension; None when there is no largest.
Range = tuple[int, int | None]


class Colour(Enum):
    """Order of the channels of an image."""

    GRAYSCALE = "grayscale"
    RGB = "rgb"
    BGR = "bgr"


_IMAGE = proto.FeatureTypes_pb2.ImageFeatureType
_COLOURS = {
    _IMAGE.GRAYSCALE: Colour.GRAYSCALE,
    _IMAGE.GRAYSCALE_FLOAT16: Colour.GRAYSCALE,
    _IMAGE.RGB: Colour.RGB,
    _IMAGE.BGR: Colour.BGR,
}


@dataclass(frozen=True)
class Feature:
    """One input or output of a program.

    Attributes:
        name: as the package spells it.
        shape: the default shape; empty when the package states none.
        choices: the shapes that are allowed, each a range by dimension; empty when the package states none.
        colour: order of channels of an image, None for a multi-array.
        default: value of an input that may be left out, None when it may not.
    """

    name: str
    shape: tuple[int, ...]
    choices: tuple[tuple[Range, ...], ...]
    colour: Colour | None = None
    default: float | None = None

    def accepts(self, shape: Sequence[int]) -> bool:
        """Return whether the package allows ``shape``."""
        return not self.choices or any(_fits(shape, choice) for choice in self.choices)

    def expected(self) -> str:
        """Return the allowed shapes in words."""
        texts = ["(" + ", ".join(_range_text(size) for size in choice) + ")" for choice in self.choices]
        return " or ".join(texts) or "any shape"

    def tensor(self, value: Any, dtype: torch.dtype | None, device: torch.device) -> Tensor:
        """Convert a value to the tensor that the program takes.

        Multi-arrays come as tensors, arrays or numbers. Images come as pictures (Pillow) or 8-bit arrays [H, W, 3] or
        [H, W] in RGB order, which are brought to [1, C, H, W] and to the package's order of channels; or as tensors
        [n, C, H, W] of pixel values, which are taken as they are. Scale and bias are ops of the program.
        """
        if self.colour is not None and not isinstance(value, Tensor):
            value = self._pixels(np.asarray(value))
        if not isinstance(value, Tensor):
            value = torch.as_tensor(np.asarray(value))
        if dtype is not None and value.is_complex():
            raise ProgramError(f"input {self.name!r}: complex values are not taken; real numbers are expected")
        moved: Tensor = value.to(device, dtype)
        return moved

    def _pixels(self, picture: np.ndarray[Any, Any]) -> Tensor:
        channels = 1 if self.colour is Colour.GRAYSCALE else 3
        if picture.ndim == 4:
            return torch.as_tensor(picture)
        if picture.ndim != (2 if channels == 1 else 3) or (channels == 3 and picture.shape[-1] < 3):
            form = "[height, width]" if channels == 1 else "[height, width, 3] in RGB order"
            raise ProgramError(f"image {self.name!r}: a picture {form} is expected, got shape {picture.shape}")
        layers = picture[None] if channels == 1 else picture[..., :3].transpose(2, 0, 1)
        ordered = layers[::-1] if self.colour is Colour.BGR else layers
        return torch.as_tensor(np.ascontiguousarray(ordered, dtype=np.float32))[None]


def feature(description: Any) -> Feature:
    """Return the feature that one entry of a model description states."""
    kind = description.type
    if kind.WhichOneof("Type") == "imageType":
        return _image(description.name, kind.imageType)
    if kind.WhichOneof("Type") in ("multiArrayType", "stateType"):
        array = kind.multiArrayType if kind.WhichOneof("Type") == "multiArrayType" else kind.stateType.arrayType
        return _array(description.name, array, bool(kind.isOptional))
    return Feature(description.name, (), ())


def _array(name: str, array: Any, optional: bool) -> Feature:
    shape = tuple(int(size) for size in array.shape)
    flexibility = array.WhichOneof("ShapeFlexibility")
    choices: tuple[tuple[Range, ...], ...] = (_fixed(shape),) if shape else ()
    if flexibility == "enumeratedShapes":
        choices = tuple(_fixed(tuple(choice.shape)) for choice in array.enumeratedShapes.shapes)
    elif flexibility == "shapeRange":
        choices = (tuple(_range(size) for size in array.shapeRange.sizeRanges),)
    default = array.WhichOneof("defaultOptionalValue")
    value = float(getattr(array, default)) if default else 0.0
    return Feature(name, shape, choices, None, value if optional else None)


def _image(name: str, image: Any) -> Feature:
    colour = _COLOURS[image.colorSpace]
    lead: tuple[Range, ...] = ((1, 1), (1, 1) if colour is Colour.GRAYSCALE else (3, 3))
    shape = (1, lead[1][0], int(image.height), int(image.width))
    flexibility = image.WhichOneof("SizeFlexibility")
    choices: tuple[tuple[Range, ...], ...] = (_fixed(shape),)
    if flexibility == "enumeratedSizes":
        sizes = image.enumeratedSizes.sizes
        choices = tuple(lead + _fixed((int(size.height), int(size.width))) for size in sizes)
    elif flexibility == "imageSizeRange":
        limits = image.imageSizeRange
        choices = ((*lead, _range(limits.heightRange), _range(limits.widthRange)),)
    return Feature(name, shape, choices, colour)


def _fixed(shape: Sequence[int]) -> tuple[Range, ...]:
    return tuple((int(size), int(size)) for size in shape)


def _range(size: Any) -> Range:
    return int(size.lowerBound), None if size.upperBound < 0 else int(size.upperBound)


def _fits(shape: Sequence[int], choice: Sequence[Range]) -> bool:
    return len(shape) == len(choice) and all(
        low <= size and (high is None or size <= high) for size, (low, high) in zip(shape, choice, strict=True)
    )


def _range_text(size: Range) -> str:
    low, high = size
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low} to {high}"
