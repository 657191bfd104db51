"""Identities of the tensors that layers read in one forward pass, for groups of layers that share an input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from palettune.evaluators.library_internals import write_count
from palettune.evaluators.weights.weight_uses import WeightUse, watched_weights
from palettune.space.layer import Layer

__all__ = ["TensorIdentity", "layer_inputs"]


@dataclass(frozen=True, slots=True)
class TensorIdentity:
    """Equal for two tensors that are the same memory with the same content.

    Attributes:
        address: of the first byte of the storage.
        offset: of the first element in the storage, in elements.
        shape: lengths of the axes.
        stride: of the axes, in elements.
        version: changes when the content is changed in place.
    """

    address: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    version: int


def layer_inputs(
    module: nn.Module, example_inputs: tuple[Tensor, ...], layers: Iterable[Layer]
) -> dict[str, tuple[TensorIdentity, ...]]:
    """Run a model once and return what each layer reads, by layer name, in the order of ``layers``.

    Args:
        module: the model; run on ``example_inputs``, in evaluation mode and without gradients.
        example_inputs: positional arguments of ``forward``.
        layers: to watch: modules by their calls, others by the uses of their weight. A layer that is never used reads
            nothing.
    """
    with _recording(module, tuple(layers)) as read, torch.no_grad(), _evaluating(module):
        module(*example_inputs)
    return {name: tuple(_identity(*one) for one in tensors) for name, tensors in read.tensors.items()}


@dataclass
class _Read:
    """Tensors read by each layer. They are held, lest another tensor takes the memory of one that is gone."""

    tensors: dict[str, list[tuple[Tensor, int]]] = field(default_factory=dict)

    def hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def record(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self.tensors[name] += [(value, _version(value)) for value in inputs if isinstance(value, Tensor)]

        return record

    def see(self, name: str, use: WeightUse) -> None:
        self.tensors[name].append((use.values, _version(use.values)))


@contextmanager
def _recording(module: nn.Module, layers: tuple[Layer, ...]) -> Iterator[_Read]:
    read = _Read({layer.name: [] for layer in layers})
    called = [layer.module for layer in layers if layer.module is not None]
    handles = [module.get_submodule(name).register_forward_pre_hook(read.hook(name)) for name in called]
    try:
        with watched_weights(module, [layer for layer in layers if layer.module is None], read.see):
            yield read
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
    """Return a number that changes with the content; inference tensors count no writes, so theirs is of the sum."""
    return hash(float(value.double().sum())) if value.is_inference() else write_count(value)


def _identity(value: Tensor, version: int) -> TensorIdentity:
    address = value.untyped_storage().data_ptr()
    return TensorIdentity(address, int(value.storage_offset()), tuple(value.shape), value.stride(), version)
