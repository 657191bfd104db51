"""Tensors that a module holds itself, whatever it holds them as."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from palettune.device_bench.library_internals import buffer_slots
from palettune.evaluators.library_internals import own_parameters

__all__ = ["held_tensors"]


def held_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Iterate over the tensors that a module itself holds, by name: parameters, buffers and plain attributes."""
    for held in (own_parameters(module), buffer_slots(module), vars(module)):
        yield from [(name, value) for name, value in held.items() if isinstance(value, Tensor)]
