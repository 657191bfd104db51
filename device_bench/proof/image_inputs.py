"""Inputs of a program from those of its torch model, where the program takes images and the model float tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from palettune.device_bench.interface.program_interface import PixelScaling, ProgramInterface
from palettune.device_bench.runtime.features import Feature

__all__ = ["ToInputs", "to_program_inputs"]

#: Makes a program's inputs, by name, from a sample of its model.
ToInputs = Callable[[Sequence[Tensor]], Mapping[str, Tensor]]


def to_program_inputs(
    interface: ProgramInterface, arguments: Sequence[str], features: Mapping[str, Feature]
) -> ToInputs | None:
    """Return what makes a program's inputs from a sample; None where they are the same.

    Args:
        interface: what is declared of the model's arguments.
        arguments: names of the model's arguments, in the order of the program's inputs.
        features: the program's inputs. One that is no image in the program is taken as it is, declared or not.
    """
    declared = zip(interface.of(arguments), features.items(), strict=False)
    images = {name: one.image for one, (name, feature) in declared if one.image and feature.colour is not None}
    if not images:
        return None
    names = list(features)

    def to_inputs(sample: Sequence[Tensor]) -> Mapping[str, Tensor]:
        return {name: _taken(value, images.get(name)) for name, value in zip(names, sample, strict=False)}

    return to_inputs


def _taken(value: Tensor, image: PixelScaling | None) -> Tensor:
    return value if image is None else image.pixels(value)
