"""Sample axes: the axis of samples in each input and output of a model.

Most models take samples along the first axis. torch's recurrent networks take them along the second by default; other
models are written for one sample, or without an axis of samples, and run on one item at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["FIRST", "WHOLE", "Inputs", "SampleAxes"]

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class SampleAxes:
    """The axis of samples of each input and of each floating-point output.

    Attributes:
        inputs: axis of each input; ``None`` for an input that all samples share. Inputs beyond its length have axis 0.
        outputs: axis of each floating-point output, likewise.
        whole: whether batches are never split or joined, and each counts as one sample.
    """

    inputs: tuple[int | None, ...] = ()
    outputs: tuple[int | None, ...] = ()
    whole: bool = False

    def __str__(self) -> str:
        if self.whole:
            return "each item of the data is one sample"
        if self == FIRST:
            return "samples lie along the first axis"
        named = ["shared by all" if axis is None else f"axis {axis}" for axis in self.inputs]
        return f"samples lie along: {', '.join(f'input {i} {name}' for i, name in enumerate(named))}"

    def of_input(self, index: int) -> int | None:
        """Return the axis of samples of one input; ``None`` if samples share it."""
        return None if self.whole else _axis(self.inputs, index)

    def of_output(self, index: int) -> int | None:
        """Return the axis of samples of one floating-point output; ``None`` if samples share it."""
        return None if self.whole else _axis(self.outputs, index)

    @property
    def main(self) -> int:
        """Axis of samples of the first output, which is assumed for other tensors of the model."""
        return next((axis for axis in self.outputs if axis is not None), 0)

    def count(self, inputs: Inputs) -> int | None:
        """Return the number of samples in a batch; ``None`` if its inputs disagree, or batches stay whole."""
        if self.whole:
            return None
        sizes = set()
        for index, value in enumerate(inputs):
            axis = self.of_input(index)
            if axis is not None:
                sizes.add(value.shape[axis] if value.ndim > axis else -1)
        return None if len(sizes) != 1 or -1 in sizes else int(sizes.pop())

    def rows_of_input(self, value: Tensor, index: int) -> int:
        """Return the number of samples in one input."""
        axis = self.of_input(index)
        return 1 if axis is None or value.ndim <= axis else int(value.shape[axis])

    def split(self, inputs: Inputs) -> list[Inputs]:
        """Split a batch into batches of one sample each; a batch that stays whole is returned as one."""
        count = self.count(inputs)
        if count is None:
            return [inputs]
        return [self.part(inputs, index) for index in range(count)]

    def part(self, inputs: Inputs, index: int) -> Inputs:
        """Return one sample of a batch, as a batch of one."""
        return tuple(
            value if (axis := self.of_input(place)) is None else value.narrow(axis, index, 1)
            for place, value in enumerate(inputs)
        )

    def fit_together(self, first: Inputs, second: Inputs) -> bool:
        """Return whether two batches of one sample each can be joined."""
        if self.count(first) != 1 or len(first) != len(second):
            return False
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            if one.shape != other.shape or one.dtype != other.dtype:
                return False
            if self.of_input(place) is None and not torch.equal(one, other):
                return False
        return True

    def join(self, samples: Sequence[Inputs]) -> Inputs:
        """Join batches for which ``fit_together`` holds."""
        if len(samples) == 1:
            return samples[0]
        return tuple(
            values[0] if (axis := self.of_input(place)) is None else torch.cat(values, axis)
            for place, values in enumerate(zip(*samples, strict=True))
        )

    def together(self, values: Sequence[Tensor], index: int | None) -> Tensor:
        """Join one output of several samples; ``index`` is its position among floating-point outputs, ``None`` for others."""
        axis = self.main if index is None else self.of_output(index)
        if axis is None or not values[0].ndim:
            return values[0]
        return torch.cat(list(values), min(axis, values[0].ndim - 1))

    def rows(self, output: Tensor, index: int) -> Tensor:
        """Return a floating-point output as (N, ...) for N samples; (1, ...) if all samples share it."""
        axis = self.of_output(index)
        if axis is None or output.ndim <= axis:
            return output.unsqueeze(0)
        return output if axis == 0 else output.movedim(axis, 0)


def _axis(axes: tuple[int | None, ...], index: int) -> int | None:
    return axes[index] if index < len(axes) else 0


FIRST = SampleAxes()
WHOLE = SampleAxes(whole=True)
