"""Activations in 8 bits: which inputs of a configuration can be rounded.

Core ML's fast path on the Neural Engine of A17 Pro, M4 and later takes 8-bit linear weights with 8-bit inputs; inputs of
other layers stay in fp16, where rounding costs quality and gains nothing.
Source: https://apple.github.io/coremltools/docs-guides/source/opt-quantization-perf.html.
"""

from __future__ import annotations

from collections.abc import Callable

from palettune.device_bench.package_model.quantized_activation import roundable
from palettune.search.preparation.preparation import Preparation
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding

__all__ = ["rounding"]


def rounding(preparation: Preparation) -> Callable[[Configuration], Configuration | None]:
    """Return a function that adds to a configuration the 8-bit activations that its layers can take.

    The result is ``None`` for one that has no layer to round, or whose activations are in 8 bits already.
    """
    workload = preparation.workload
    # each use would need a scale of its own, and only the input of a module can be rounded
    alone = [layer.module for layer in preparation.layers if not layer.tied and layer.module is not None]
    with workload.sampling.state.around(workload.model):
        takers = roundable(workload.model, workload.example_inputs, alone)

    def rounded(configuration: Configuration) -> Configuration | None:
        encodings = configuration.in_order
        chosen = {name: Precision.INT8 for name, e in encodings.items() if name in takers and _eight_bits(e)}
        return Configuration(encodings, chosen) if chosen and not configuration.activations else None

    return rounded


def _eight_bits(encoding: Encoding) -> bool:
    """Whether values are 8-bit integers with a scale for each channel or for all, none of them left out."""
    return (
        encoding.linear is not None and encoding.bits == 8 and encoding.sparsity is None and not encoding.linear.block
    )
