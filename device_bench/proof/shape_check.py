"""Check of a package with flexible inputs: run beside its module at the smallest, the largest and a middle shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from palettune.device_bench.interface.shape_points import in_shape, in_words, shape_points
from palettune.device_bench.proof.image_inputs import ToInputs
from palettune.device_bench.runtime.comparison import as_stored
from palettune.device_bench.runtime.errors import ExecutionError, ProgramError
from palettune.device_bench.runtime.execution import Execution, Precisions, execute
from palettune.device_bench.runtime.features import Feature

__all__ = ["ShapeCheck", "check_shapes", "shaped_examples"]


@dataclass(frozen=True)
class ShapeCheck:
    """Outcome of running a package and its module at one of the shapes that the package takes.

    Attributes:
        shapes: of all inputs, in words.
        execution: in both precisions; None where one of the two fails at these shapes.
        error: why.
    """

    shapes: str
    execution: Execution | None
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the package computes what its module does, at these shapes."""
        return self.execution is not None and self.execution.passed

    @property
    def failures(self) -> tuple[str, ...]:
        """Failures in words."""
        found = self.execution.failures if self.execution is not None else (self.error or "it was not run",)
        return tuple(f"at {self.shapes}: {words}" for words in found)


def shaped_examples(features: Mapping[str, Feature], example: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], ...]:
    """Return the example in each shape at which a program with these inputs is checked; none for one of fixed shape."""
    choices = [found.choices for found, _ in zip(features.values(), example, strict=False)]
    points = shape_points(choices, [tuple(value.shape) for value in example[: len(choices)]])
    return tuple(tuple(in_shape(*pair) for pair in zip(example, shapes, strict=True)) for shapes in points)


def check_shapes(
    programs: Precisions, module: nn.Module, example: tuple[Tensor, ...], to_inputs: ToInputs | None = None
) -> tuple[ShapeCheck, ...]:
    """Run a package and its module at several of the shapes that the package takes.

    Args:
        programs: the package, loaded.
        module: what it was converted from, with the state that it begins with.
        example: inputs of one shape; of the others their elements are repeated or cut.
        to_inputs: makes the program's inputs from a sample, where they are not the same.

    Returns:
        One check for each shape; none for a package of fixed shape.
    """
    names = list(programs.float32.inputs)
    samples = shaped_examples(programs.float32.inputs, example)
    return tuple(_check(programs, module, sample, names, to_inputs) for sample in samples)


def _check(
    programs: Precisions,
    module: nn.Module,
    sample: tuple[Tensor, ...],
    names: Sequence[str],
    to_inputs: ToInputs | None,
) -> ShapeCheck:
    words = in_words(names, [tuple(value.shape) for value in sample])
    try:
        execution = execute(programs, as_stored(module), [sample], fitting=1, total=1, to_inputs=to_inputs)
    except (ProgramError, ExecutionError) as error:
        return ShapeCheck(words, None, f"the package fails: {error}")
    except Exception as error:  # whatever the user's module raises
        return ShapeCheck(words, None, f"the model fails: {type(error).__name__}: {error}")
    return ShapeCheck(words, execution)
