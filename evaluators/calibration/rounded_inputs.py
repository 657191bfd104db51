"""Layers whose inputs are rounded to 8 bits, and reasons why those of others stay in fp16.

Core ML's fast path on the Neural Engine of A17 Pro, M4 and later takes 8-bit linear weights with 8-bit inputs; inputs of
other layers stay in fp16, where rounding costs quality and gains nothing.
Source: https://apple.github.io/coremltools/docs-guides/source/opt-quantization-perf.html.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from palettune.device_bench.package_model.quantized_activation import roundable
from palettune.evaluators.quality.left_out import left_out
from palettune.evaluators.weights.weight_uses import WeightUse, watched_ops
from palettune.evaluators.workload.course import Hook, watched
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind

__all__ = ["inputs_in_fp16", "roundable_layers", "takes_rounded_inputs", "unroundable"]

_WITHOUT = {
    LayerKind.RECURRENT: "Core ML's recurrent ops take their inputs and states as floats",
    LayerKind.EMBEDDING: "a look-up takes integers",
    LayerKind.OPERAND: "it is no weight of a product",
}


def takes_rounded_inputs(encoding: Encoding) -> bool:
    """Return whether values are 8-bit integers with a scale for each channel or for all, none of them left out."""
    return (
        encoding.linear is not None and encoding.bits == 8 and encoding.sparsity is None and not encoding.linear.block
    )


def unroundable(layer: Layer) -> str | None:
    """Return why a layer's inputs cannot be rounded, as far as that can be told without a forward pass."""
    if layer.tied:
        return "each use of a shared weight would need a scale of its own"
    return _WITHOUT.get(layer.kind)


def roundable_layers(model: nn.Module, example_inputs: tuple[Tensor, ...], layers: Iterable[Layer]) -> frozenset[str]:
    """Return the names of the layers whose inputs can be rounded.

    These are layers that are called as modules on floats, and whose weight nothing else uses; and others whose weight no
    op takes but alone, as its factor.

    Args:
        model: run twice on ``example_inputs`` without gradients.
        layers: of the model.
    """
    some = [layer for layer in layers if unroundable(layer) is None]
    called = roundable(model, example_inputs, [layer.module for layer in some if layer.module is not None])
    uses: dict[str, list[bool]] = {layer.name: [] for layer in some}
    calls = Counter[str]()

    def see(name: str, use: WeightUse) -> None:
        uses[name].append(use.alone and use.values.is_floating_point())

    hooks: dict[str, Hook] = {name: lambda *_, name=name: calls.update([name]) for name in called}
    with torch.inference_mode(), watched(model, hooks), watched_ops(model, some, see):
        model(*example_inputs)
    by_module = {name for name in called if len(uses[name]) <= calls[name]}
    return frozenset(by_module | {name for name, seen in uses.items() if name not in called and seen and all(seen)})


def inputs_in_fp16(configuration: Configuration, layers: Mapping[str, Layer]) -> tuple[str, ...]:
    """Say which 8-bit layers of a configuration keep their inputs in fp16; nothing where none is rounded."""
    if not configuration.activations:
        return ()
    kept = {
        name: unroundable(layers[name])
        or "neither a module called on floats nor ops that take it alone are all that uses it, or it was left out"
        for name, encoding in configuration.in_order.items()
        if takes_rounded_inputs(encoding) and configuration.activations.get(name) is not Precision.INT8
    }
    return left_out("8-bit activations: inputs in fp16 of", kept)
