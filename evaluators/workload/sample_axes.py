"""Sample axes: where the samples of a batch lie, in what a model takes and in what it gives.

Most models take samples along the first axis. Recurrent networks of torch's own take them along the second; others
were written for one sample, or for no axis of samples at all, and run one by one.
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
        inputs: ``None`` for one that all samples of a batch share; nothing at all means the first axis of every input.
        outputs: likewise.
        whole: batches are never taken apart nor joined, and each counts as one sample.
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
        """The axis of one input."""
        return None if self.whole else _axis(self.inputs, index)

    def of_output(self, index: int) -> int | None:
        """The axis of one floating-point output."""
        return None if self.whole else _axis(self.outputs, index)

    @property
    def main(self) -> int:
        """The axis along which other things of a model most likely hold their samples: that of its first output."""
        return next((axis for axis in self.outputs if axis is not None), 0)

    def count(self, inputs: Inputs) -> int | None:
        """How many samples a batch holds; ``None`` where it stays whole, for its inputs do not agree."""
        if self.whole:
            return None
        sizes = set()
        for index, value in enumerate(inputs):
            axis = self.of_input(index)
            if axis is not None:
                sizes.add(value.shape[axis] if value.ndim > axis else -1)
        return None if len(sizes) != 1 or -1 in sizes else int(sizes.pop())

    def rows_of_input(self, value: Tensor, index: int) -> int:
        """How many samples one input holds."""
        axis = self.of_input(index)
        return 1 if axis is None or value.ndim <= axis else int(value.shape[axis])

    def split(self, inputs: Inputs) -> list[Inputs]:
        """A batch as batches of one sample each; as it is where it stays whole."""
        count = self.count(inputs)
        if count is None:
            return [inputs]
        return [self.part(inputs, index) for index in range(count)]

    def part(self, inputs: Inputs, index: int) -> Inputs:
        """One sample of a batch, as a batch."""
        return tuple(
            value if (axis := self.of_input(place)) is None else value.narrow(axis, index, 1)
            for place, value in enumerate(inputs)
        )

    def fit_together(self, first: Inputs, second: Inputs) -> bool:
        """Whether two batches of one sample can be one batch."""
        if self.count(first) != 1 or len(first) != len(second):
            return False
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            if one.shape != other.shape or one.dtype != other.dtype:
                return False
            if self.of_input(place) is None and not torch.equal(one, other):
                return False
        return True

    def join(self, samples: Sequence[Inputs]) -> Inputs:
        """Batches that fit together as one."""
        if len(samples) == 1:
            return samples[0]
        return tuple(
            values[0] if (axis := self.of_input(place)) is None else torch.cat(values, axis)
            for place, values in enumerate(zip(*samples, strict=True))
        )

    def together(self, values: Sequence[Tensor], index: int | None) -> Tensor:
        """An output of one sample each as that of one batch; other outputs than floating-point ones have no index."""
        axis = self.main if index is None else self.of_output(index)
        if axis is None or not values[0].ndim:
            return values[0]
        return torch.cat(list(values), min(axis, values[0].ndim - 1))

    def rows(self, output: Tensor, index: int) -> Tensor:
        """A floating-point output as (N, ...), N samples; one row of what all samples share."""
        axis = self.of_output(index)
        if axis is None or output.ndim <= axis:
            return output.unsqueeze(0)
        return output if axis == 0 else output.movedim(axis, 0)


def _axis(axes: tuple[int | None, ...], index: int) -> int | None:
    return axes[index] if index < len(axes) else 0


FIRST = SampleAxes()
WHOLE = SampleAxes(whole=True)
