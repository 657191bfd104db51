"""Proof that a saved package declares the inputs, outputs and labels that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from palettune.device_bench.interface.program_interface import InputDeclaration, ProgramInterface
from palettune.device_bench.package.package import load_spec
from palettune.device_bench.runtime.features import Feature, feature

__all__ = ["interface_failures"]


def interface_failures(
    package: str | Path, interface: ProgramInterface, arguments: Sequence[str], example: Sequence[Tensor]
) -> tuple[str, ...]:
    """Return what in a package's description is not as declared, in words.

    Scale and bias of an image are ops of the program, which the proof of the graph compares.

    Args:
        package: the saved ``.mlpackage``.
        interface: as it was converted with.
        arguments: names of the model's arguments.
        example: its example inputs.

    Raises:
        PackageError: the package cannot be opened.
    """
    description = load_spec(package).description
    failures: list[str] = []
    names = interface.input_names(arguments)
    found = [item.name for item in description.input]
    if found != list(names):
        failures.append(f"its inputs are {', '.join(found)}, declared are {', '.join(names)}")
    else:
        declared = zip(interface.of(arguments), example, description.input, strict=True)
        failures += [words for one, value, item in declared for words in _input_failures(one, value, feature(item))]
    return (*failures, *_output_failures(description, interface))


def _input_failures(declared: InputDeclaration, example: Tensor, found: Feature) -> Iterator[str]:
    wanted = {tuple(choice) for choice in declared.choices(tuple(example.shape))}
    if {tuple(choice) for choice in found.choices} != wanted:
        yield f"input {found.name!r} takes {found.expected()}, not the shapes that are declared"
    colour = declared.image.colour if declared.image is not None else None
    stored = found.colour.name if found.colour is not None else None
    if (colour.upper() if colour else None) != stored:
        yield f"input {found.name!r} is {stored or 'no image'}, declared is {colour or 'no image'}"


def _output_failures(description: Any, interface: ProgramInterface) -> Iterator[str]:
    found = [item.name for item in description.output]
    missing = [name for _, name in interface.outputs if name not in found]
    if missing and not interface.labels:
        yield f"it has no output {missing[0]!r}; its outputs are {', '.join(found)}"
    if bool(interface.labels) != bool(description.predictedFeatureName):
        yield "it is a classifier, and no labels are declared" if not interface.labels else "it is no classifier"
