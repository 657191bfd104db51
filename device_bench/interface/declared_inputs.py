"""Types of a package's inputs for coremltools, and the same for torch.export, from what a user declares.

Types: https://apple.github.io/coremltools/docs-guides/source/model-input-and-output-types.html; flexible shapes:
https://apple.github.io/coremltools/docs-guides/source/flexible-inputs.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import coremltools as ct
import numpy as np
import torch
from torch import Tensor

from palettune.device_bench.interface.program_interface import DeclaredShape, InputDeclaration, ProgramInterface
from palettune.device_bench.interface.shape_points import in_shape
from palettune.space.errors import UserError

__all__ = ["SpecializedError", "classifier", "dynamic_sizes", "export_example", "input_types", "narrowed_sizes"]

_COLOURS = {"RGB": ct.colorlayout.RGB, "BGR": ct.colorlayout.BGR, "grayscale": ct.colorlayout.GRAYSCALE}
_DTYPES = {"float32": np.float32, "float16": np.float16, "int32": np.int32}
_Symbols = dict[str, ct.RangeDim]


class SpecializedError(UserError):
    """A model that fixes a size which is declared as flexible."""


def input_types(
    interface: ProgramInterface, arguments: Sequence[str], example: Sequence[Tensor], program: Any
) -> list[ct.TensorType | ct.ImageType]:
    """Return the declared type of each input: whole numbers stay whole, for a token id does not fit fp16.

    Args:
        program: what a front end of torch has made of the model. Sizes that torch.export found to be one are one size.

    Raises:
        SpecializedError: torch.export has fixed a flexible size to that of the example.
    """
    sizes = _exported_sizes(program) if interface.flexible else None
    symbols: _Symbols = {}
    return [
        _input_type(declared, value, sizes[index] if sizes is not None else None, symbols)
        for index, (declared, value) in enumerate(zip(interface.of(arguments), example, strict=True))
    ]


def dynamic_sizes(
    interface: ProgramInterface, arguments: Sequence[str], example: Sequence[Tensor]
) -> dict[str, Any] | None:
    """Return ``dynamic_shapes`` for torch.export of a module with ``forward(*inputs)``; None where all sizes are fixed."""
    if not interface.flexible:
        return None
    found = []
    for declared, value in zip(interface.of(arguments), example, strict=True):
        bounds = enumerate(declared.bounds(value.shape))
        # what must be equal in the model, such as the lengths of tokens and mask, is found by torch.export itself
        found.append({axis: torch.export.Dim.AUTO(min=low, max=high) for axis, (low, high) in bounds if low != high})
    return {"inputs": tuple(found)}


def narrowed_sizes(
    interface: ProgramInterface, arguments: Sequence[str], example: Sequence[Tensor], program: Any
) -> tuple[str, ...]:
    """Return, in words, the flexible sizes of which torch.export has followed the model for a part alone.

    For others the program may still be right: a slice alone narrows a range.
    """
    found = []
    for declared, value, sizes in zip(interface.of(arguments), example, _exported_sizes(program) or (), strict=False):
        for axis, (size, (low, high)) in enumerate(zip(sizes, declared.bounds(value.shape), strict=False)):
            problem = size.problem(low, high) if low != high else None
            found += [f"{problem} along dimension {axis} of {declared.argument}"] if problem else []
    return tuple(found)


def export_example(
    interface: ProgramInterface, arguments: Sequence[str], example: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return the example with no flexible size of one, which torch.export would take for a fixed one."""
    return tuple(
        in_shape(
            value,
            [_exportable(size, *pair) for size, pair in zip(value.shape, declared.bounds(value.shape), strict=True)],
        )
        for declared, value in zip(interface.of(arguments), example, strict=True)
    )


def classifier(interface: ProgramInterface) -> ct.ClassifierConfig | None:
    """Return coremltools' description of a classifier; None for a package that is none."""
    return ct.ClassifierConfig(list(interface.labels)) if interface.labels else None


def _exportable(size: int, low: int, high: int) -> int:
    return 2 if size == 1 and low != high and high >= 2 else size


def _input_type(
    declared: InputDeclaration, example: Tensor, sizes: Sequence[_ExportedSize] | None, symbols: _Symbols
) -> ct.TensorType | ct.ImageType:
    name, shape = declared.package_name, _shape(declared, tuple(example.shape), sizes, symbols)
    if declared.image is not None:
        image, rows = declared.image, len(declared.image.scale)
        # coremltools takes several factors as they are: they have to lie along the axis of channels
        scale = [[[[factor]] for factor in image.scale]] if rows > 1 else image.scale[0]
        bias = list(image.bias) * (image.channels // len(image.bias))
        colour = _COLOURS[image.colour]
        return ct.ImageType(name, shape, scale, bias if len(bias) > 1 else bias[0], colour)
    default = "float32" if example.is_floating_point() else "int32"
    return ct.TensorType(name=name, shape=shape, dtype=_DTYPES[declared.dtype or default])


def _shape(
    declared: InputDeclaration, example: tuple[int, ...], sizes: Sequence[_ExportedSize] | None, symbols: _Symbols
) -> Any:
    if not declared.flexible:
        return example
    bounds = declared.bounds(example)
    for axis, (size, (low, high)) in enumerate(zip(sizes or (), bounds, strict=False)):
        if low != high and not size.text.isidentifier():
            raise SpecializedError(
                f"inputs.{declared.argument}: torch.export finds that the model works with {size.text} along dimension "
                f"{axis} alone, {low}..{high} is declared"
            )
    if declared.enumerated:
        return ct.EnumeratedShapes([_sizes(choice) for choice in declared.shapes], example)
    ranges = []
    for axis, (low, high) in enumerate(bounds):
        if low == high:
            ranges.append(low)
            continue
        key = sizes[axis].text if sizes is not None else f"{declared.argument}[{axis}]"
        ranges.append(symbols.setdefault(key, ct.RangeDim(low, high, default=example[axis])))
    return ct.Shape(ranges)


def _sizes(choice: DeclaredShape) -> tuple[int, ...]:
    return tuple(low for low, _ in choice)


@dataclass(frozen=True)
class _ExportedSize:
    """A size of an exported program's input: a number, a symbol, or an expression of symbols; with a symbol's range."""

    text: str
    low: float = 0
    high: float = inf

    def problem(self, low: int, high: int) -> str | None:
        """For which part of a range alone the program was read; torch.export begins at two, and means one, too."""
        if self.low > max(low, 2):
            return f"sizes from {self.low:g} on"
        return f"sizes up to {self.high:g}" if self.high < high else None


def _exported_sizes(program: Any) -> list[list[_ExportedSize]] | None:
    """The sizes of an exported program's inputs; None of a traced one."""
    if not isinstance(program, torch.export.ExportedProgram):
        return None
    ranges = {str(symbol): (float(r.lower), float(r.upper)) for symbol, r in program.range_constraints.items()}
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    return [
        [_ExportedSize(str(size), *ranges.get(str(size), (0, inf))) for size in values[name].shape]
        for name in program.graph_signature.user_inputs
    ]
