"""Packages with flexible inputs, made again with the shapes that a user states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import coremltools as ct

from palettune.device_bench.cost.op_node import ProgramOpsError
from palettune.device_bench.package.package import load_spec
from palettune.device_bench.runtime.features import feature
from palettune.space.errors import suggestion

__all__ = ["fix_shapes"]

_WEIGHTS = Path("Data/com.apple.CoreML/weights")


def fix_shapes(path: Path, shapes: Mapping[str, Sequence[int]], destination: Path) -> Path:
    """Write a copy of a package whose inputs have fixed shapes, made by coremltools; return its path.

    Args:
        path: the package.
        shapes: input name -> shape.
        destination: path of the copy.

    Raises:
        PackageError: not an ML program package.
        ProgramOpsError: a shape of an input that the package does not have, or one outside what it allows; or a
            classifier, whose labels coremltools cannot write again.
    """
    spec = load_spec(path)
    _check_stated(spec, shapes, path)
    if spec.description.predictedFeatureName:
        raise ProgramOpsError(
            f"{path}: a classifier with flexible inputs has no latency; export it without labels, or with fixed shapes"
        )
    model = ct.models.MLModel(_as_arrays(spec), weights_dir=str(path / _WEIGHTS), skip_model_load=True)
    try:
        ct.models.utils.materialize_dynamic_shape_mlmodel(
            model, {"main": {name: tuple(shape) for name, shape in shapes.items()}}, str(destination)
        )
    except Exception as error:
        stated = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ProgramOpsError(f"{path}: the stated shapes do not fit ({stated}): {error}") from error
    return destination


def _as_arrays(spec: Any) -> Any:
    """A package's message with images as arrays, all that coremltools takes here; the program is the same."""
    for item in spec.description.input:
        if item.type.WhichOneof("Type") == "imageType":
            item.type.multiArrayType.CopyFrom(ct.proto.FeatureTypes_pb2.ArrayFeatureType())
    return spec


def _check_stated(spec: Any, shapes: Mapping[str, Sequence[int]], path: Path) -> None:
    inputs = {item.name: feature(item) for item in spec.description.input}
    for name, shape in shapes.items():
        if name not in inputs:
            raise ProgramOpsError(
                f"{path}: a shape is stated for {name!r}{suggestion(name, inputs)}; inputs are {', '.join(inputs)}"
            )
        if not inputs[name].accepts(shape):
            raise ProgramOpsError(
                f"{path}: the stated shapes do not fit ({name} {tuple(shape)}): it takes {inputs[name].expected()}"
            )
