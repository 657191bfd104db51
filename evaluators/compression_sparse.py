"""Pruning of one weight by coremltools' MagnitudePruner, alone or before a table or integers."""

from __future__ import annotations

import numpy as np
import torch
from coremltools.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig, ModuleMagnitudePrunerConfig
from torch import Tensor

from device_bench.compressed_weight import CompressedWeight
from evaluators.compression_carrier import Carrier, quiet, to_half
from space.encoding import Axis, Granularity, Linear, Sparsity, Table

__all__ = ["prune"]

_STAGE = "pruning"
# The converter takes every value of at most 2^-10 for a zero (``_construct_sparsification_op``, coremltools 9.0).
SMALLEST_KEPT = float(np.nextafter(np.float16(2**-10), np.float16(1)))


def prune(carrier: Carrier, weight: Tensor, sparsity: Sparsity, values: Table | Linear | None) -> CompressedWeight:
    """Set the weakest weights to zero; raise kept ones to what the converter does not take for zero."""
    if values is not None:
        raise carrier.failure(_STAGE, "joint forms are not there yet")
    kept = pruned(carrier, weight, sparsity)
    lifted = torch.sign(kept) * kept.abs().clamp(min=SMALLEST_KEPT)
    return CompressedWeight(to_half(lifted), {"compression_type": torch.tensor([1])})


def pruned(carrier: Carrier, weight: Tensor, sparsity: Sparsity) -> Tensor:
    """The weight with zeros where coremltools' pruner puts them."""
    module = carrier.module(weight)
    scalar = sparsity.granularity in (Granularity.SCALAR, Granularity.BLOCK)
    config = ModuleMagnitudePrunerConfig(
        target_sparsity=sparsity.share,
        granularity="per_scalar" if scalar else f"per_{sparsity.granularity}",
        block_size=sparsity.block or 1,
        n_m_ratio=sparsity.n_of_m,
        dim=0 if sparsity.axis is Axis.OUTPUT else 1,
    )
    with quiet():
        pruner = MagnitudePruner(module, MagnitudePrunerConfig(global_config=config))
        pruner.prepare(inplace=True)
        pruner.step()
        module = pruner.finalize(inplace=True)
    return carrier.weight(module)
