"""Shapes at which a program with flexible inputs is checked: the smallest, the largest and one in between."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["in_shape", "in_words", "shape_points"]

Shape = tuple[int, ...]
#: Smallest and largest size by dimension; None when there is no largest.
Choice = Sequence[tuple[int, int | None]]


def shape_points(
    choices: Sequence[Sequence[Choice]], example: Sequence[Sequence[int]]
) -> tuple[tuple[Shape, ...], ...]:
    """Return the shapes of all inputs at each point; nothing where no input is flexible.

    All dimensions grow together, so that inputs of one length keep it: everything at its smallest, then in between,
    then at its largest. Of enumerated shapes each is a point; those of several inputs go together by their place.

    Args:
        choices: by input, the shapes that it may have.
        example: by input, a shape that it has; stands for a choice that is empty, and for an upper bound that is missing.
    """
    rows = [_points(each, tuple(like)) for each, like in zip(choices, example, strict=True)]
    count = max(map(len, rows), default=0)
    if count < 2:
        return ()
    points = (tuple(row[_place(index, count, len(row))] for row in rows) for index in range(count))
    return tuple(dict.fromkeys(points))


def in_shape(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a tensor of another shape of the same rank that holds a value's elements again and again."""
    for axis, size in enumerate(shape):
        if value.shape[axis] != size:
            value = value.index_select(axis, torch.arange(size) % value.shape[axis])
    return value


def in_words(names: Sequence[str], shapes: Sequence[Shape]) -> str:
    """Return shapes with the names of their inputs."""
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in zip(names, shapes, strict=False))


def _points(choices: Sequence[Choice], example: Shape) -> list[Shape]:
    if len(choices) > 1:
        return [tuple(low for low, _ in choice) for choice in choices]
    if not choices:
        return [example]
    bounds = [(low, _upper(low, high, size)) for (low, high), size in zip(choices[0], example, strict=True)]
    between = tuple((low + high) // 2 for low, high in bounds)
    return list(dict.fromkeys([tuple(low for low, _ in bounds), between, tuple(high for _, high in bounds)]))


def _upper(low: int, high: int | None, size: int) -> int:
    return max(2 * size, low) if high is None else high


def _place(index: int, count: int, length: int) -> int:
    """The point of a row with ``length`` points that goes with one of ``count``: the ends go with the ends."""
    return round(index * (length - 1) / (count - 1))
