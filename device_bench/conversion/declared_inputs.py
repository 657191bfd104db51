"""Types of a package's inputs for coremltools, and the same for torch.export, from what a user declares.

Types: https://apple.github.io/coremltools/docs-guides/source/model-input-and-output-types.html; flexible shapes:
https://apple.github.io/coremltools/docs-guides/source/flexible-inputs.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import coremltools as ct
import numpy as np
import torch
from torch import Tensor

from palettune.device_bench.model.program_interface import DeclaredShape, InputDeclaration, ProgramInterface
from palettune.device_bench.model.shape_points import in_shape
from palettune.space.errors import UserError

__all__ = ["SpecializedError", "classifier", "dynamic_sizes", "export_example", "input_types"]

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
    declared: InputDeclaration, example: Tensor, sizes: Sequence[str] | None, symbols: _Symbols
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


def _shape(declared: InputDeclaration, example: tuple[int, ...], sizes: Sequence[str] | None, symbols: _Symbols) -> Any:
    if not declared.flexible:
        return example
    bounds = declared.bounds(example)
    for axis, (low, high) in enumerate(bounds if sizes is not None else ()):
        if low != high and sizes is not None and sizes[axis].isdigit():
            raise SpecializedError(
                f"inputs.{declared.argument}: torch.export finds that the model works with {sizes[axis]} along dimension "
                f"{axis} alone, {low}..{high} is declared"
            )
    if declared.enumerated:
        return ct.EnumeratedShapes([_sizes(choice) for choice in declared.shapes], example)
    ranges = []
    for axis, (low, high) in enumerate(bounds):
        if low == high:
            ranges.append(low)
            continue
        key = sizes[axis] if sizes is not None else f"{declared.argument}[{axis}]"
        ranges.append(symbols.setdefault(key, ct.RangeDim(low, high, default=example[axis])))
    return ct.Shape(ranges)


def _sizes(choice: DeclaredShape) -> tuple[int, ...]:
    return tuple(low for low, _ in choice)


def _exported_sizes(program: Any) -> list[list[str]] | None:
    """The sizes of an exported program's inputs, as torch names them; None of a traced one."""
    if not isinstance(program, torch.export.ExportedProgram):
        return None
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    return [[str(size) for size in values[name].shape] for name in program.graph_signature.user_inputs]
