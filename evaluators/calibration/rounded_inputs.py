"""Layers whose inputs are rounded to 8 bits, and reasons why those of others stay in fp16.

Core ML's fast path on the Neural Engine of A17 Pro, M4 and later takes 8-bit linear weights with 8-bit inputs; inputs of
other layers stay in fp16, where rounding costs quality and gains nothing.
Source: https://apple.github.io/coremltools/docs-guides/source/opt-quantization-perf.html.
"""

from __future__ import annotations

from collections.abc import Mapping

from palettune.evaluators.quality.left_out import left_out
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["inputs_in_fp16", "takes_rounded_inputs", "unroundable"]


def takes_rounded_inputs(encoding: Encoding) -> bool:
    """Return whether values are 8-bit integers with a scale for each channel or for all, none of them left out."""
    return (
        encoding.linear is not None and encoding.bits == 8 and encoding.sparsity is None and not encoding.linear.block
    )


def unroundable(layer: Layer) -> str | None:
    """Return why a layer's inputs cannot be rounded, as far as that can be told without a forward pass."""
    if layer.module is None:
        return "the weight is used without a module, and only the input of a module can be rounded"
    return "each use of a shared weight would need a scale of its own" if layer.tied else None


def inputs_in_fp16(configuration: Configuration, layers: Mapping[str, Layer]) -> tuple[str, ...]:
    """Say which 8-bit layers of a configuration keep their inputs in fp16; nothing where none is rounded."""
    if not configuration.activations:
        return ()
    kept = {
        name: unroundable(layers[name]) or "its module is not called on floats, or the configuration leaves it out"
        for name, encoding in configuration.in_order.items()
        if takes_rounded_inputs(encoding) and configuration.activations.get(name) is not Precision.INT8
    }
    return left_out("8-bit activations: inputs in fp16 of", kept)
