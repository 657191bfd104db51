"""SparseGPT for sparse encodings, with or without integers or a table, by coremltools' algorithm.

The algorithm returns a float weight whose zeros have the least effect on the output and whose other values compensate
for them. The data-free compression of the same encoding then keeps the zeros and stores the other values.
Frantar and Alistarh, "SparseGPT", 2023.
"""

from __future__ import annotations

from coremltools.optimize.torch.layerwise_compression.algorithms import ModuleSparseGPTConfig, SparseGPT
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.compensation import damped
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.calibration.layer_statistics import as_matrices, from_matrices, observable
from palettune.evaluators.compression.carrier import quiet
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.library_internals import run_layerwise
from palettune.space.encoding import Axis, Encoding, Granularity, Sparsity
from palettune.space.layer import Layer
from palettune.space.sparsity import nonzero_count

__all__ = ["SparseGPTMethod"]

_SLIGHT = 1e-6


class SparseGPTMethod(LayerMethod):
    """Layer method that prunes by coremltools' SparseGPT."""

    name = "sparse_gpt"

    @classmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Return whether single values are pruned, or n of m input channels of a layer without a kernel; no groups."""
        sparsity = encoding.sparsity
        if sparsity is None or not observable(layer) or layer.groups > 1:
            return False
        if sparsity.granularity is not Granularity.SCALAR:
            return False
        single = layer.parameters == layer.output_channels * layer.input_channels
        return sparsity.n_of_m is None or (sparsity.axis is Axis.INPUT and single)

    @classmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """Prune the weight and store it in its encoding."""
        sparsity = task.encoding.sparsity
        assert sparsity is not None
        gram = damped(task.statistics.gram, _SLIGHT)[0]
        matrix = as_matrices(task.weight, task.layer)[0].to(gram.device)
        pruned = from_matrices(_pruned(matrix, gram, sparsity, _share(task.layer, sparsity))[None], task.layer)
        return compress(pruned, task.layer, task.encoding, task.seed)


def _share(layer: Layer, sparsity: Sparsity) -> float:
    """Return a share that keeps more values than asked for: coremltools prunes one too many, data-free pruning the rest."""
    zeros = layer.parameters - nonzero_count(layer, sparsity)
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
    with quiet():
        run_layerwise(algorithm, gram)
    return module.weight.detach()
