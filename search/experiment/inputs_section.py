"""Sections of an experiment file on the package's interface: inputs, output names and class labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from palettune.device_bench.interface.program_interface import (
    Channels,
    DeclaredShape,
    InputDeclaration,
    InputType,
    PixelScaling,
    ProgramInterface,
)
from palettune.search.experiment.section import Section
from palettune.space.errors import UserError

__all__ = [
    "ImageSection",
    "InputSection",
    "InputsSection",
    "LabelsError",
    "LabelsSection",
    "PackageName",
    "interface_of",
]

_RANGE = re.compile(r"^\s*(\d+)\s*\.\.\s*(\d+)\s*$")
PackageName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
#: Size of a dimension: a number, or "LOW..HIGH".
_Size = int | str
_Numbers = float | tuple[float, ...]


class LabelsError(UserError):
    """Labels that cannot be read; names the file or the function."""


class ImageSection(Section):
    """An image input: ``value = scale * pixel + bias`` is what the model takes."""

    colour: Channels = "RGB"
    scale: _Numbers = 1.0
    bias: _Numbers = 0.0

    @model_validator(mode="after")
    def _by_channel(self) -> ImageSection:
        channels = 1 if self.colour == "grayscale" else 3
        for key, given in (("scale", self.scale), ("bias", self.bias)):
            if isinstance(given, tuple) and len(given) not in (1, channels):
                raise ValueError(
                    f"{key}: {len(given)} numbers; one, or one for each of {channels} channels is expected"
                )
        if 0.0 in _numbers(self.scale):
            raise ValueError("scale: 0 would make every pixel the same; a number other than 0 is expected")
        return self

    @property
    def scaling(self) -> PixelScaling:
        """Scaling of this section in the form that conversion takes."""
        return PixelScaling(self.colour, _numbers(self.scale), _numbers(self.bias))


class InputSection(Section):
    """One input of the package, under the name of an argument of the model's ``forward``."""

    name: PackageName | None = None
    shape: tuple[_Size, ...] | None = Field(default=None, min_length=1)
    shapes: tuple[tuple[int, ...], ...] | None = Field(default=None, min_length=2)
    dtype: InputType | None = None
    image: ImageSection | None = None

    @field_validator("shape")
    @classmethod
    def _ranges(cls, value: tuple[_Size, ...] | None) -> tuple[_Size, ...] | None:
        for size in value or ():
            _bounds(size)
        return value

    @field_validator("shapes")
    @classmethod
    def _sizes(cls, value: tuple[tuple[int, ...], ...] | None) -> tuple[tuple[int, ...], ...] | None:
        for size in (size for shape in value or () for size in shape):
            _bounds(size)
        if value is not None and len(set(value)) != len(value):
            raise ValueError("names a shape twice")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> InputSection:
        if self.shape is not None and self.shapes is not None:
            raise ValueError("shape and shapes: give one of both, ranges or a list of shapes")
        return self

    def declaration(self, argument: str) -> InputDeclaration:
        """Return the declaration of this input in the form that conversion takes."""
        shapes: tuple[DeclaredShape, ...] = ()
        if self.shape is not None:
            shapes = (tuple(_bounds(size) for size in self.shape),)
        elif self.shapes is not None:
            shapes = tuple(tuple((size, size) for size in shape) for shape in self.shapes)
        image = self.image.scaling if self.image is not None else None
        return InputDeclaration(argument, self.name, shapes, self.dtype, image)


InputsSection = dict[str, InputSection]
"""Inputs by the names of the arguments of ``forward``."""


class LabelsSection(Section):
    """Labels of the classes, from one of three places."""

    names: tuple[str, ...] | tuple[int, ...] | None = None
    file: Path | None = None
    function: str | None = None

    @model_validator(mode="after")
    def _from_one_place(self) -> LabelsSection:
        given = [key for key in ("names", "file", "function") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                "give one of names (a list), file (a label on each line) and function (of the workload, returns a list), "
                f"not {' and '.join(given) or 'nothing'}"
            )
        if self.names is not None:
            _check_labels("names", self.names)
        return self

    def read(self, call: Callable[[str], Any]) -> tuple[str, ...] | tuple[int, ...]:
        """Return the labels.

        Args:
            call: calls a function of the workload by its name.

        Raises:
            LabelsError: the file or the function gives none.
        """
        if self.names is not None:
            return self.names
        try:
            if self.file is not None:
                found: Any = tuple(self.file.read_text(encoding="utf-8").splitlines())
            else:
                assert self.function is not None
                found = tuple(call(self.function))
            _check_labels("file" if self.file is not None else f"function: {self.function}()", found)
        except (OSError, UnicodeDecodeError) as error:
            raise LabelsError(f"labels.file: {self.file} cannot be read: {error}; give a text file") from error
        except (TypeError, ValueError) as error:
            raise LabelsError(f"labels.{error}") from error
        labels: tuple[str, ...] | tuple[int, ...] = found
        return labels


def interface_of(
    inputs: Mapping[str, InputSection], outputs: Mapping[str, str], labels: tuple[str, ...] | tuple[int, ...]
) -> ProgramInterface:
    """Return what the sections declare."""
    declared = tuple(section.declaration(argument) for argument, section in inputs.items())
    return ProgramInterface(declared, tuple(outputs.items()), labels)


def _bounds(size: _Size) -> tuple[int, int]:
    if isinstance(size, int):
        low = high = size
    elif (found := _RANGE.match(size)) is not None:
        low, high = int(found[1]), int(found[2])
    else:
        raise ValueError(f'{size!r} is no size; a number, or a range "LOW..HIGH" such as "1..512", is expected')
    if low < 1:
        raise ValueError(f"{size!r}: sizes begin at 1")
    if low > high:
        raise ValueError(f'{size!r}: {low} is more than {high}; "LOW..HIGH" is expected')
    return low, high


def _numbers(value: _Numbers) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _check_labels(where: str, labels: tuple[Any, ...]) -> None:
    if not labels or not (
        all(isinstance(label, str) and label for label in labels) or all(type(label) is int for label in labels)
    ):
        raise ValueError(f"{where}: texts, or whole numbers, are expected, one for each class")
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{where}: {twice!r} stands for two classes; each label names one")
