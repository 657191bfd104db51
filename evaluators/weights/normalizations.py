"""Normalizations that take back a scale of each output channel of the layer before them, without a byte or an op.

A batch normalization by running statistics computes ``weight * (y - mean) / sqrt(variance + epsilon) + bias``. Where a
layer's outputs ``y`` reach nothing else, they may be divided by ``scale``, if ``weight`` is multiplied by it and ``mean``
divided (cross-layer equalization: Nagel et al., "Data-free quantization through weight equalization and bias
correction", 2019). So the layer's weight may be stored with the scales that suit its encoding.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from palettune.device_bench.model.layer_weight import held_tensor, layer_weight, put_layer_weight
from palettune.evaluators.library_internals import tree_leaves
from palettune.space.layer import Layer, Normalization

__all__ = ["take_back", "with_normalizations"]

_LAYERS = frozenset(
    (
        *(torch.conv1d, torch.conv2d, torch.conv3d),
        *(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d),
        F.linear,
    )
)
_NORMALIZATION = inspect.signature(F.batch_norm)
_LOOKS = frozenset({"shape", "dtype", "device", "ndim", "size", "dim", "numel", "is_floating_point", "requires_grad"})
_OTHER = ""
_CLOSE = 1e-4


def with_normalizations(
    model: nn.Module, layers: Sequence[Layer], run: Callable[[nn.Module], Any]
) -> tuple[Layer, ...]:
    """Return the layers, each with the normalization that alone receives its outputs, where there is one.

    What is found is proven: the model is run again with scales taken back by every normalization found, and where any
    output differs by more than rounding, none is given.

    Args:
        model: the float model, in evaluation mode; not changed.
        layers: its layers.
        run: runs a model on an example and returns its outputs.
    """
    candidates = [layer for layer in layers if layer.view is None and not layer.tied]
    watch = _Watch(model, candidates)
    with torch.no_grad():
        with watch:
            outputs = run(model)
        found = watch.found(outputs)
        with_them = tuple(replace(layer, normalization=found.get(layer.name)) for layer in layers)
        if not found or not _proven(model, with_them, run, outputs):
            return tuple(layers)
    return with_them


def take_back(model: nn.Module, layer: Layer, scale: Tensor | None) -> None:
    """Give the scales of a layer's stored weight to the normalization after it, in place.

    Args:
        model: holds the stored weight, the weight over its scales.
        layer: of the weight.
        scale: of each output channel, positive; nothing is changed for ``None``.
    """
    if scale is None:
        return
    normalization = layer.normalization
    assert normalization is not None, layer.name
    factors = scale.flatten()
    with torch.no_grad():
        held_tensor(model, normalization.weight).mul_(factors)
        held_tensor(model, normalization.mean).div_(factors)
        if normalization.bias:
            held_tensor(model, normalization.bias).div_(factors)


class _Watch(TorchFunctionMode):
    """Record what reads the tensors of a model, and where the outputs of its layers go.

    Args:
        model: the model that is run.
        layers: those whose outputs are followed.
    """

    def __init__(self, model: nn.Module, layers: Sequence[Layer]) -> None:
        super().__init__()
        tensors = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
        self._names: dict[int, str] = {}
        for name, value in tensors:
            self._names.setdefault(id(value), name)
        self._layers = {id(held_tensor(model, layer.tensor)): layer for layer in layers}
        self._outputs: dict[
            int, tuple[Tensor, str]
        ] = {}  # held, lest another tensor has the identity of one that is gone
        self._readers: dict[str, set[str]] = {}
        self._given: dict[str, set[str]] = {}
        self._after: dict[str, set[Normalization | None]] = {}
        self._bias: dict[str, str] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one function of torch and record what it takes."""
        named = dict(kwargs or {})
        result = func(*args, **named)
        if func is F.batch_norm:
            bound = _NORMALIZATION.bind(*args, **named)
            bound.apply_defaults()
            self._normalized(bound.arguments)
        elif func in _LAYERS:
            self._multiplied(args, named, result)
        elif _name_of(func) not in _LOOKS:
            self._read(_OTHER, (args, named))
        return result

    def found(self, outputs: Any) -> dict[str, Normalization]:
        """Return the normalization of each layer that has one to itself.

        Args:
            outputs: of the model."""
        self._read(_OTHER, outputs)
        return {name: one for name, after in self._after.items() if (one := self._only(name, after)) is not None}

    def _only(self, layer: str, after: set[Normalization | None]) -> Normalization | None:
        if len(after) != 1 or (one := next(iter(after))) is None or self._given[one.weight] != {layer}:
            return None
        one = replace(one, bias=self._bias[layer])
        own = {self._names[at] for at, held in self._layers.items() if held.name == layer} | {one.bias} - {""}
        alone = all(self._readers[name] == {layer} for name in own)
        return one if alone and all(self._readers[name] == {one.weight} for name in (one.weight, one.mean)) else None

    def _multiplied(self, args: tuple[Any, ...], named: Mapping[str, Any], result: Any) -> None:
        weight, bias = (
            named.get(key, args[at] if len(args) > at else None) for at, key in ((1, "weight"), (2, "bias"))
        )
        layer = self._layers.get(id(weight))
        self._read(_OTHER, [value for value in (*args, *named.values()) if value is not weight and value is not bias])
        self._read(layer.name if layer else _OTHER, (weight, bias))
        if layer is None or (bias is not None and id(bias) not in self._names):
            return
        self._outputs[id(result)] = result, layer.name
        self._after.setdefault(layer.name, set())
        self._bias[layer.name] = "" if bias is None else self._names[id(bias)]

    def _normalized(self, given: Mapping[str, Any]) -> None:
        held = [self._names.get(id(given[key]), "") for key in ("weight", "running_mean")]
        _, layer = self._outputs.get(id(given["input"]), (None, ""))
        if not all(held) or given["training"] or not layer:
            self._read(_OTHER, list(given.values()))
            return
        one = Normalization(*held)
        self._after[layer].add(one)
        self._given.setdefault(one.weight, set()).add(layer)
        self._read(one.weight, [given["weight"], given["running_mean"]])

    def _read(self, reader: str, values: Any) -> None:
        for value in tree_leaves(values):
            if not isinstance(value, Tensor):
                continue
            if id(value) in self._outputs:
                self._after[self._outputs[id(value)][1]].add(None)
            if id(value) in self._names:
                self._readers.setdefault(self._names[id(value)], set()).add(reader)


def _name_of(func: Any) -> str:
    """The name of a function; of the attribute, where it is one of a tensor's."""
    name = getattr(func, "__name__", "")
    return getattr(getattr(func, "__self__", None), "__name__", name) if name == "__get__" else name


def _proven(model: nn.Module, layers: Sequence[Layer], run: Callable[[nn.Module], Any], wanted: Any) -> bool:
    """Whether scales between a half and two, taken back, leave every output as it was but for rounding."""
    changed = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    for layer in layers:
        if layer.normalization is not None:
            scale = _along_outputs(2 ** (2 * torch.rand(layer.output_channels, generator=generator) - 1), layer)
            put_layer_weight(changed, layer, layer_weight(changed, layer) / scale)
            take_back(changed, layer, scale)
    pairs = zip(tree_leaves(run(changed)), tree_leaves(wanted), strict=True)
    return all(_alike(ours, theirs) for ours, theirs in pairs if isinstance(theirs, Tensor))


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    if not theirs.is_floating_point():
        return True  # an index may turn where two values are as good as equal
    largest = float(theirs.abs().max()) if theirs.numel() else 0.0
    return float((ours - theirs).abs().max()) <= _CLOSE * largest if theirs.numel() else True


def _along_outputs(values: Tensor, layer: Layer) -> Tensor:
    """One number for each output channel, to broadcast to the weight."""
    shape = [1] * len(layer.shape)
    shape[layer.output_axis] = -1
    return values.reshape(shape)
