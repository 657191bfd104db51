"""The package's interface as an experiment declares it, checked against the workload before anything is converted."""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.interface.argument_names import argument_names
from palettune.device_bench.interface.interface_check import InterfaceError, check_inputs, check_outputs
from palettune.device_bench.interface.program_interface import PLAIN, PixelScaling, ProgramInterface
from palettune.device_bench.interface.shape_points import in_shape, in_words, shape_points
from palettune.device_bench.model.outputs import identifiers, leaves
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.evaluators.workload.workload import Split, Workload
from palettune.search.experiment.experiment import Experiment, ExperimentError
from palettune.search.experiment.inputs_section import interface_of

__all__ = ["declared_interface"]

#: By how much a pixel may miss a whole number: float rounding in the data.
_WHOLE = 0.02


def declared_interface(experiment: Experiment, workload: Workload) -> ProgramInterface:
    """Return what an experiment declares of the package's inputs, outputs and labels.

    The model is run once at the smallest, the largest and a middle shape where its inputs are flexible.

    Raises:
        ExperimentError: naming the key, where the model, its example, its data or the deployment target does not allow it.
    """
    labels = experiment.labels.read(workload.class_labels) if experiment.labels is not None else ()
    interface = interface_of(experiment.inputs, experiment.outputs, labels)
    if interface == PLAIN:
        return interface
    if isinstance(workload.model, PackageModule):
        raise ExperimentError(
            "inputs, outputs, labels: the model is a package, whose interface is fixed in the package; leave these "
            "sections out, or convert the package again"
        )
    example = workload.example_inputs
    arguments = argument_names(workload.model, len(example))
    if len(arguments) < len(example):  # said by the conversion
        return interface
    try:
        check_inputs(interface, arguments, example, experiment.deployment_target)
        outputs = leaves(_run(workload, example))
        names = identifiers((path for path, _ in outputs), interface.input_names(arguments))
        sizes = [value.numel() for _, value in outputs]
        check_outputs(interface, names, interface.input_names(arguments), sizes)
    except InterfaceError as error:
        raise ExperimentError(str(error)) from error
    _check_shapes(interface, workload, arguments)
    _check_pictures(interface, workload, arguments)
    return interface


def _run(workload: Workload, inputs: tuple[Tensor, ...]) -> object:
    with torch.inference_mode(), workload.sampling.state.around(workload.model):
        return workload.model(*inputs)


def _check_shapes(interface: ProgramInterface, workload: Workload, arguments: tuple[str, ...]) -> None:
    """Raise ExperimentError where the model itself fails at a shape that the package is to take."""
    example = workload.example_inputs
    declared = interface.of(arguments)
    choices = [one.choices(value.shape) for one, value in zip(declared, example, strict=True)]
    for shapes in shape_points(choices, [value.shape for value in example]):
        try:
            _run(workload, tuple(in_shape(*pair) for pair in zip(example, shapes, strict=True)))
        except Exception as error:
            flexible = next(one for one in declared if one.flexible)
            key = "shapes" if flexible.enumerated else "shape"
            raise ExperimentError(
                f"inputs.{flexible.argument}.{key}: the model fails at {in_words(arguments, shapes)}, which is among the "
                f"declared shapes: {type(error).__name__}: {error}. Narrow the range, list the sizes that it takes in "
                "`shapes`, or take the size in forward() from its inputs, not from a number"
            ) from error


def _check_pictures(interface: ProgramInterface, workload: Workload, arguments: tuple[str, ...]) -> None:
    """Raise ExperimentError for data that no picture holds; note data that pixels of 8 bits hold only rounded."""
    for place, declared in enumerate(interface.of(arguments)):
        if declared.image is None:
            continue
        for batch in workload.batches(Split.EVALUATION):
            if len(batch.inputs) > place:
                _check_picture(declared.argument, declared.image, batch.inputs[place], workload)


def _check_picture(argument: str, image: PixelScaling, values: Tensor, workload: Workload) -> None:
    outside = image.out_of_range(values)
    if outside is not None:
        raise ExperimentError(
            f"inputs.{argument}.image: with this scale and bias evaluation_data() holds pixels from {outside[0]:.4g} to "
            f"{outside[1]:.4g}; 0 to 255 are expected: correct them, or leave `image` out"
        )
    pixels = image.pixels(values)
    if float((pixels - pixels.round()).abs().max()) > _WHOLE:
        workload.note(
            f"inputs.{argument}.image: evaluation_data() holds values between those of whole pixels (of pictures that "
            "were resized as floats, say). A device rounds them to 8 bits; divergences here do not include that"
        )
