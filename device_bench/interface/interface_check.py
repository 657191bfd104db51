"""Check of a declared interface against a model's example, before anything is converted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from torch import Tensor

from palettune.device_bench.interface.program_interface import (
    InputDeclaration,
    ProgramInterface,
    contains_shape,
    shape_words,
)
from palettune.space.errors import UserError, suggestion
from palettune.space.target import DeploymentTarget

__all__ = ["InterfaceError", "check_inputs", "check_outputs"]

#: From this generation on a package may have several inputs with enumerated shapes.
_SEVERAL_ENUMERATED = 18


class InterfaceError(UserError):
    """A declared interface that a model, its data or a deployment target does not allow; the message names the key."""


def check_inputs(
    interface: ProgramInterface, arguments: Sequence[str], example: Sequence[Tensor], target: DeploymentTarget
) -> None:
    """Check the declared inputs against the model's arguments and the example.

    Raises:
        InterfaceError: naming the key, such as ``inputs.tokens.shape``.
    """
    known = dict(zip(arguments, example, strict=True))
    for declared in interface.inputs:
        if declared.argument not in known:
            raise InterfaceError(
                f"inputs.{declared.argument}: the model has no such input{suggestion(declared.argument, known)}; the "
                f"arguments of its forward() are {', '.join(arguments)}"
            )
        for problem in _problems(declared, known[declared.argument]):
            raise InterfaceError(f"inputs.{declared.argument}.{problem}")
    _check_names("inputs", interface.input_names(arguments))
    _check_enumerated(interface, target)


def check_outputs(
    interface: ProgramInterface, names: Sequence[str], inputs: Sequence[str], sizes: Sequence[int]
) -> None:
    """Check the declared output names and labels against what the model returns for one sample.

    Args:
        names: of the outputs, as they are named otherwise.
        inputs: names of the package's inputs.
        sizes: number of elements of each output.

    Raises:
        InterfaceError: naming the key.
    """
    for default, wanted in interface.outputs:
        if default not in names:
            raise InterfaceError(
                f"outputs.{default}: the model has no such output{suggestion(default, names)}; it returns "
                f"{', '.join(names)}"
            )
        if wanted != default and wanted in names:
            raise InterfaceError(f"outputs.{default}: {wanted!r} is the name of another output; choose another one")
    _check_names("outputs", (*inputs, *interface.output_names(names)))
    if not interface.labels:
        return
    if len(names) != 1:
        raise InterfaceError(
            f"labels: the model returns {len(names)} tensors ({', '.join(names)}); a classifier returns one, the "
            "probabilities of the classes: wrap the model in one that does"
        )
    if sizes[0] != len(interface.labels):
        raise InterfaceError(
            f"labels: {len(interface.labels)} are given, and the model returns {sizes[0]} values for one sample; one "
            "label for each is expected, in their order"
        )


def _problems(declared: InputDeclaration, example: Tensor) -> Iterator[str]:
    shape = tuple(example.shape)
    key = "shapes" if declared.enumerated else "shape"
    for choice in declared.shapes:
        if len(choice) != len(shape):
            yield f"{key}: {shape_words(choice)} has {len(choice)} dimensions, example_inputs() gives {shape}"
    if declared.shapes and not any(contains_shape(choice, shape) for choice in declared.shapes):
        stated = " or ".join(map(shape_words, declared.shapes))
        yield f"{key}: {stated} does not contain the shape of example_inputs(), {shape}; one of both has to change"
    if declared.dtype is not None:
        yield from _dtype_problems(declared.dtype, example)
    if declared.image is not None:
        yield from _image_problems(declared, example)


def _dtype_problems(dtype: str, example: Tensor) -> Iterator[str]:
    if example.is_floating_point() != dtype.startswith("float"):
        kind = str(example.dtype).removeprefix("torch.")
        expected = '"float32" or "float16"' if example.is_floating_point() else '"int32"'
        yield f"dtype: {dtype!r} for an input of {kind} in example_inputs(); {expected} is expected"


def _image_problems(declared: InputDeclaration, example: Tensor) -> Iterator[str]:
    image, shape = declared.image, tuple(example.shape)
    assert image is not None
    if len(shape) != 4 or shape[0] != 1 or shape[1] != image.channels or not example.is_floating_point():
        yield (
            f"image: a float tensor of shape (1, {image.channels}, height, width) is expected for {image.colour}, "
            f"example_inputs() gives {str(example.dtype).removeprefix('torch.')} {shape}"
        )
    if declared.dtype is not None:
        yield "dtype: an image input holds pixels of 8 bits; leave the key out"
    if any(low != high for low, high in declared.bounds(shape)[:2]):
        yield "shape: of an image only height and width may vary"
    outside = image.out_of_range(example)
    if outside is not None:
        yield (
            "image: with this scale and bias the values of example_inputs() are pixels from "
            f"{outside[0]:.4g} to {outside[1]:.4g}, "
            "0 to 255 are expected; value = scale * pixel + bias: a model that takes (pixel / 255 - mean) / deviation "
            "has scale = 1 / (255 * deviation) and bias = -mean / deviation"
        )


def _check_names(key: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InterfaceError(f"{key}: two inputs or outputs of the package would be named {twice[0]!r}; rename one")


def _check_enumerated(interface: ProgramInterface, target: DeploymentTarget) -> None:
    found = [declared for declared in interface.inputs if declared.enumerated]
    if len(found) < 2:
        return
    names = ", ".join(declared.argument for declared in found)
    if target.generation < _SEVERAL_ENUMERATED:
        raise InterfaceError(
            f"inputs: {names} have lists of shapes; a package for {target} may have one such input: use ranges, or "
            'raise deployment_target to "iOS18" (macOS15) or later'
        )
    if len({len(declared.shapes) for declared in found}) > 1:
        raise InterfaceError(
            f"inputs: {names} have lists of shapes of different lengths; the first shapes belong together, the second "
            "ones, and so on: give each the same number"
        )
