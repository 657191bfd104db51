"""Batches of samples through a program that was converted for one.

The rule: each sample is computed as the program states, on its own, and the results are laid one after the other. With
``torch.vmap`` that is one vectorized pass; a program whose course depends on its values is run sample by sample. What
cannot be laid along a first dimension of size 1 is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from palettune.device_bench.runtime.errors import ExecutionError, ProgramError
from palettune.device_bench.runtime.features import Feature

__all__ = ["batch_size", "run_each", "sample_of"]

Sample = Callable[[Mapping[str, Tensor]], dict[str, Any]]


def batch_size(path: Path, features: Mapping[str, Feature], tensors: Mapping[str, Tensor]) -> int | None:
    """Return how many samples the inputs hold; None when the program takes them as they are.

    Raises:
        ProgramError: a shape that is neither allowed nor several allowed samples, or inputs that disagree.
    """
    counts: dict[str, int] = {}
    for name, value in tensors.items():
        shape = tuple(value.shape)
        if features[name].accepts(shape):
            continue
        if not shape or not features[name].accepts((1, *shape[1:])) or shape[0] < 2:
            expected = features[name].expected()
            raise ProgramError(f"{path}: input {name!r} has shape {shape}; {expected} is expected")
        counts[name] = shape[0]
    if len(set(counts.values())) > 1:
        raise ProgramError(f"{path}: inputs disagree on the number of samples: {counts}")
    return next(iter(counts.values()), None)


def run_each(path: Path, sample: Sample, tensors: Mapping[str, Tensor], count: int, vectorized: bool) -> dict[str, Any]:
    """Apply ``sample`` to each of ``count`` samples; an input with one row serves all of them."""
    if vectorized:
        try:
            return _vectorized(path, sample, tensors, count)
        except (ExecutionError, TypeError):
            pass  # an op that reads values, or has no batching rule: one by one, any real failure shows again
    results = []
    for index in range(count):
        results.append(sample({name: sample_of(value, index, count) for name, value in tensors.items()}))
    return {name: _joined(path, name, [result[name] for result in results]) for name in results[0]}


def sample_of(value: Tensor, index: int, count: int) -> Tensor:
    """Return one of ``count`` samples, (1, ...); an input that does not hold so many serves all of them."""
    return value[index : index + 1] if value.dim() and value.shape[0] == count else value


def _vectorized(path: Path, sample: Sample, tensors: Mapping[str, Tensor], count: int) -> dict[str, Any]:
    names = list(tensors)
    axes = tuple(0 if tensors[name].dim() and tensors[name].shape[0] == count else None for name in names)

    def one(*values: Tensor) -> dict[str, Any]:
        rows = (value if axis is None else value.unsqueeze(0) for value, axis in zip(values, axes, strict=True))
        return sample(dict(zip(names, rows, strict=True)))

    results = torch.vmap(one, in_dims=axes, randomness="different")(*(tensors[name] for name in names))
    for name, value in results.items():
        _check_row(path, name, value.shape[1:])
    return {name: value.flatten(0, 1) for name, value in results.items()}


def _joined(path: Path, name: str, values: list[Any]) -> Any:
    if not isinstance(values[0], Tensor):
        return values
    for value in values:
        _check_row(path, name, value.shape)
        if value.shape != values[0].shape:
            raise ProgramError(
                f"{path}: {name!r} has shape {tuple(values[0].shape)} for one sample and {tuple(value.shape)} for "
                "another; run samples one at a time"
            )
    return torch.cat(values)


def _check_row(path: Path, name: str, shape: torch.Size) -> None:
    if not shape or shape[0] != 1:
        raise ProgramError(
            f"{path}: {name!r} has shape {tuple(shape)} for one sample, without a first dimension of 1 to lay samples "
            "along; run samples one at a time"
        )
