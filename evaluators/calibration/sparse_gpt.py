"""SparseGPT for sparsity, alone or before integers or a table: coremltools' own algorithm chooses and makes up.

What it leaves is a float weight whose zeros cost the output least and whose other values make up for them. It then
goes through the data-free compression of the same encoding, which keeps the zeros and stores the rest as asked.
Frantar and Alistarh, "SparseGPT", 2023.
"""

from __future__ import annotations

import torch
from coremltools.optimize.torch.layerwise_compression.algorithms import ModuleSparseGPTConfig, SparseGPT
from torch import Tensor, nn

from palettune.device_bench.conversion.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.compensation import damped
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.calibration.layer_statistics import as_matrices, from_matrices, observable
from palettune.evaluators.compression.carrier import quiet
from palettune.evaluators.compression.compression import compress
from palettune.space.encoding import Axis, Encoding, Granularity, Sparsity
from palettune.space.layer import Layer
from palettune.space.sparsity import kept_values

__all__ = ["SparseGPTMethod"]

_SLIGHT = 1e-6


class SparseGPTMethod(LayerMethod):
    """coremltools' SparseGPT."""

    name = "sparse_gpt"

    @classmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Single values, or n of m input channels where those are neighbours in memory; not of grouped convolutions."""
        sparsity = encoding.sparsity
        if sparsity is None or not observable(layer) or layer.groups > 1:
            return False
        if sparsity.granularity is not Granularity.SCALAR:
            return False
        single = layer.parameters == layer.output_channels * layer.input_channels
        return sparsity.n_of_m is None or (sparsity.axis is Axis.INPUT and single)

    @classmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """The pruned weight in its encoding."""
        sparsity = task.encoding.sparsity
        assert sparsity is not None
        gram = damped(task.statistics.gram, _SLIGHT)[0]
        matrix = as_matrices(task.weight, task.layer)[0].to(gram.device)
        pruned = from_matrices(_pruned(matrix, gram, sparsity, _share(task.layer, sparsity))[None], task.layer)
        module = nn.Module()
        module.register_parameter("weight", nn.Parameter(pruned, requires_grad=False))
        return compress(module, task.layer, task.encoding, task.seed)


def _share(layer: Layer, sparsity: Sparsity) -> float:
    """A share that leaves one value more than asked for: coremltools takes one too many, data-free pruning the rest."""
    zeros = layer.parameters - kept_values(layer, sparsity)
    return max(zeros - 2, 0) / layer.parameters


def _pruned(weight: Tensor, gram: Tensor, sparsity: Sparsity, share: float) -> Tensor:
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    module.weight = nn.Parameter(weight.contiguous().clone(), requires_grad=False)
    config = ModuleSparseGPTConfig(
        target_sparsity=share,
        n_m_ratio=sparsity.n_of_m,
        weight_dtype="float32",
        processing_group_size=weight.shape[1],  # one threshold for the whole matrix
    )
    algorithm = SparseGPT(module, config)
    algorithm._hessian = 2 * gram
    algorithm._inp1, algorithm._out1 = (torch.zeros(1, size, device=gram.device) for size in reversed(weight.shape))
    with quiet(), torch.no_grad():
        algorithm._compress_impl()
    return module.weight.detach()
