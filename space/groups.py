"""Groups of layers that should share an encoding: projections that read the same input.

Query, key and value projections of an attention, or gate and up projections of a feed-forward block, read one tensor;
Core ML can run them as one when they are stored alike. Tied weights need no group: they are one layer
(``space.modules``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from palettune.space.layer import Layer, LayerKind

__all__ = ["shared_groups"]

_Key = tuple[int, int, tuple[int, ...], tuple[int, ...], int]


def shared_groups(
    module: nn.Module, example_inputs: tuple[Tensor, ...], layers: Iterable[Layer]
) -> tuple[tuple[str, ...], ...]:
    """Linear layers that read the very same tensors in one forward pass, two or more, in the order of ``layers``.

    Args:
        module: the model; run once on ``example_inputs``, in evaluation mode and without gradients.
        example_inputs: positional arguments of ``forward``.
        layers: the layers to group.
    """
    linear = [layer.name for layer in layers if layer.kind in (LayerKind.LINEAR, LayerKind.MATMUL)]
    with _recording(module, linear) as seen, torch.no_grad(), _evaluating(module):
        module(*example_inputs)
    groups: dict[tuple[_Key, ...], list[str]] = {}
    for name in linear:
        if seen.tensors[name]:
            groups.setdefault(tuple(map(_identity, seen.tensors[name])), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


class _Seen:
    """The inputs of each layer. Tensors are held, lest another one takes the memory of a tensor that is gone."""

    def __init__(self, names: Sequence[str]) -> None:
        self.tensors: dict[str, list[tuple[Tensor, int]]] = {name: [] for name in names}

    def hook(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self.tensors[name] += [(value, _version(value)) for value in inputs if isinstance(value, Tensor)]

        return keep


@contextmanager
def _recording(module: nn.Module, names: Sequence[str]) -> Iterator[_Seen]:
    seen = _Seen(names)
    handles = [module.get_submodule(name).register_forward_pre_hook(seen.hook(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [child for child in module.modules() if child.training]
    module.eval()
    try:
        yield
    finally:
        for child in training:
            child.training = True


def _version(value: Tensor) -> int:
    """Changes when the content does. Inference tensors count no versions: their content is told by its sum."""
    return hash(float(value.double().sum())) if value.is_inference() else value._version


def _identity(read: tuple[Tensor, int]) -> _Key:
    """Equal for two tensors that are the same memory with the same content."""
    tensor, version = read
    return (
        tensor.untyped_storage().data_ptr(),
        int(tensor.storage_offset()),
        tuple(tensor.shape),
        tensor.stride(),
        version,
    )
