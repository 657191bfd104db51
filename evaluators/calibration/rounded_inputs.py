"""Layers whose inputs are rounded to 8 bits, and reasons why those of others stay in fp16.

Core ML's fast path on the Neural Engine of A17 Pro, M4 and later takes 8-bit linear weights with 8-bit inputs; inputs of
other layers stay in fp16, where rounding costs quality and gains nothing.
Source: https://apple.github.io/coremltools/docs-guides/source/opt-quantization-perf.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from palettune.device_bench.package_model.quantized_activation import roundable
from palettune.evaluators.quality.left_out import left_out
from palettune.evaluators.weights.weight_uses import WeightUse, watched_ops
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

    These are layers that are called as modules on floats, and others whose weight no op takes but alone, as its factor.

    Args:
        model: run on ``example_inputs`` without gradients, twice where not all layers are called.
        layers: of the model.
    """
    some = [layer for layer in layers if unroundable(layer) is None]
    called = roundable(model, example_inputs, [layer.module for layer in some if layer.module is not None])
    others = [layer for layer in some if layer.name not in called]
    return called | _taken_alone(model, example_inputs, others) if others else called


def _taken_alone(model: nn.Module, inputs: tuple[Tensor, ...], layers: list[Layer]) -> frozenset[str]:
    alone: dict[str, bool] = {}

    def see(name: str, use: WeightUse) -> None:
        alone[name] = use.alone and use.values.is_floating_point() and alone.get(name, True)

    with torch.inference_mode(), watched_ops(model, layers, see):
        model(*inputs)
    return frozenset(name for name, found in alone.items() if found)


def inputs_in_fp16(configuration: Configuration, layers: Mapping[str, Layer]) -> tuple[str, ...]:
    """Say which 8-bit layers of a configuration keep their inputs in fp16; nothing where none is rounded."""
    if not configuration.activations:
        return ()
    kept = {
        name: unroundable(layers[name])
        or "no module is called on floats, no op takes the weight alone, or the configuration leaves it out"
        for name, encoding in configuration.in_order.items()
        if takes_rounded_inputs(encoding) and configuration.activations.get(name) is not Precision.INT8
    }
    return left_out("8-bit activations: inputs in fp16 of", kept)
