"""GPTQ for linear quantization: coremltools' algorithm, on the fp16 scales that the package stores.

coremltools 9.0 (``optimize/torch/layerwise_compression/algorithms.py``) does not support grouped convolutions
and keeps its scales in float32. Here each group of a convolution is passed to it as a linear layer, with the Gram
matrix and the fp16 scales set beforehand. Frantar et al., "GPTQ", 2023.
"""

from __future__ import annotations

import torch
from coremltools.optimize.torch.layerwise_compression.algorithms import GPTQ, ModuleGPTQConfig
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.compensation import damped
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.calibration.layer_statistics import as_matrices, from_matrices, observable
from palettune.evaluators.compression.carrier import Carrier, quiet, spread
from palettune.evaluators.compression.linear import Quantization
from palettune.evaluators.library_internals import run_layerwise
from palettune.space.encoding import Encoding, Linear
from palettune.space.layer import Layer

__all__ = ["GPTQMethod", "Grid"]

_MOST_GROUPS = 64
_SLIGHT = 1e-6  # so that columns without calibration inputs are still rounded, not set to zero


class Grid:
    """Replacement for coremltools' quantizer with given scales and zero points, one block of columns after another.

    Args:
        scales: (R, B), one for each output channel and block.
        zeros: (R, B), counted from the lowest integer.
        bits: of each integer.
    """

    def __init__(self, scales: Tensor, zeros: Tensor, bits: int) -> None:
        self._scales, self._zeros, self._block = scales, zeros, -1
        self.max_q = torch.tensor(2**bits - 1, device=scales.device)
        self.scale, self.zero_point = scales[:, :1], zeros[:, :1]

    def ready(self) -> bool:
        """Return True: scales and zero points are given."""
        return True

    def find_params(self, _weight: Tensor, weight: bool = True) -> None:
        """Move to the scales of the next block of columns."""
        self._block += 1
        self.scale, self.zero_point = (v[:, self._block : self._block + 1] for v in (self._scales, self._zeros))


class GPTQMethod(LayerMethod):
    """Layer method that runs coremltools' GPTQ on linear quantization."""

    name = "gptq"

    @classmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Return whether the encoding is linear without sparsity and the layer has at most 64 groups."""
        return (
            encoding.linear is not None
            and encoding.sparsity is None
            and observable(layer)
            and layer.groups <= _MOST_GROUPS
        )

    @classmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """Find error-compensated integers on the scales of the data-free weight."""
        linear = task.encoding.linear
        assert linear is not None
        carrier = Carrier(task.layer, task.encoding)
        quantization = Quantization(carrier, task.weight, linear)
        scales, zeros = (as_matrices(v, task.layer) for v in _per_element(quantization, task.weight))
        width = _block_columns(task.layer, linear)
        grams = damped(task.statistics.gram, _SLIGHT)
        weights, scales, zeros = (
            v.to(grams.device)
            for v in (as_matrices(task.weight, task.layer), scales[:, :, ::width], zeros[:, :, ::width])
        )
        found = [
            _gptq(weight, gram, scale, zero, linear.bits, width)
            for weight, gram, scale, zero in zip(weights, grams, scales, zeros, strict=True)
        ]
        steps = quantization.steps(from_matrices(torch.stack(found).cpu(), task.layer))
        return CompressedWeight(quantization.decode(steps), quantization.buffers)


def _per_element(quantization: Quantization, weight: Tensor) -> tuple[Tensor, Tensor]:
    lowest = -(2 ** (quantization.linear.bits - 1)) if quantization.linear.signed else 0
    zero = spread(quantization.zero, weight.shape) - lowest
    return quantization.wide_scale.expand(weight.shape), zero.expand(weight.shape)


def _block_columns(layer: Layer, linear: Linear) -> int:
    """Columns of the weight matrix that share a scale."""
    kernel = layer.parameters // (layer.output_channels * layer.input_channels)
    return (linear.block or layer.input_channels) * kernel


def _gptq(weight: Tensor, gram: Tensor, scales: Tensor, zeros: Tensor, bits: int, width: int) -> Tensor:
    """One matrix (R, K) through coremltools' algorithm; columns of one block are ``width`` neighbours."""
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    module.weight = nn.Parameter(weight.contiguous().clone(), requires_grad=False)
    blocks = scales.shape[1] > 1
    config = ModuleGPTQConfig(
        weight_dtype=f"uint{bits}",
        granularity="per_block" if blocks else "per_channel",
        block_size=width if blocks else None,
    )
    algorithm = GPTQ(module, config)
    with quiet():
        run_layerwise(algorithm, gram, Grid(scales, zeros, bits))
    return module.weight.detach()
