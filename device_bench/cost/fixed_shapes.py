"""Packages with flexible inputs, made again with the shapes that a user states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import coremltools as ct

from palettune.device_bench.cost.op_node import ProgramOpsError
from palettune.device_bench.package.package import load_spec
from palettune.space.errors import suggestion

__all__ = ["fix_shapes"]


def fix_shapes(path: Path, shapes: Mapping[str, Sequence[int]], destination: Path) -> Path:
    """Write a copy of a package whose inputs have fixed shapes, made by coremltools; return its path.

    Args:
        path: the package.
        shapes: input name -> shape.
        destination: path of the copy.

    Raises:
        PackageError: not an ML program package.
        ProgramOpsError: a shape of an input that the package does not have, or one outside what it allows.
    """
    _check_stated(load_spec(path), shapes, path)
    model = ct.models.MLModel(str(path), skip_model_load=True)
    try:
        ct.models.utils.materialize_dynamic_shape_mlmodel(
            model, {"main": {name: tuple(shape) for name, shape in shapes.items()}}, str(destination)
        )
    except Exception as error:
        stated = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ProgramOpsError(f"{path}: the stated shapes do not fit ({stated}): {error}") from error
    return destination


def _check_stated(spec: Any, shapes: Mapping[str, Sequence[int]], path: Path) -> None:
    inputs = {item.name: item.type.multiArrayType for item in spec.description.input}
    for name, shape in shapes.items():
        if name not in inputs:
            raise ProgramOpsError(
                f"{path}: a shape is stated for {name!r}{suggestion(name, inputs)}; inputs are {', '.join(inputs)}"
            )
        bounds = [(side.lowerBound, side.upperBound) for side in inputs[name].shapeRange.sizeRanges]
        fits = len(bounds) == len(shape) and all(
            low <= size and (high < 0 or size <= high) for size, (low, high) in zip(shape, bounds, strict=True)
        )
        allowed = {tuple(one.shape) for one in inputs[name].enumeratedShapes.shapes} | {tuple(inputs[name].shape)}
        if not fits and tuple(shape) not in allowed:
            words = f"sizes from {bounds}" if bounds else f"one of {sorted(allowed)}"
            raise ProgramOpsError(f"{path}: the stated shapes do not fit ({name} {tuple(shape)}): it takes {words}")
