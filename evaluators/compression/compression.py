"""Compression of one layer's weight by coremltools' algorithms, with a check of the result.

coremltools skips layers without an error and can damage a weight that it reports as skipped. Therefore each result is
checked: the metadata is present, the decoded weight is the one that the converter will compute, and all is finite.
"""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.compression.linear import quantize
from palettune.evaluators.compression.lut import palettize
from palettune.evaluators.compression.sparse import prune_weight
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["changed_since", "compress"]


def compress(
    values: Tensor, layer: Layer, encoding: Encoding, seed: int = 0, importance: Tensor | None = None
) -> CompressedWeight:
    """Compress the weight of one layer.

    Args:
        values: the layer's weight, of the layer's shape; not changed.
        layer: description of the layer: its name for errors, and its axes.
        encoding: how to store the weight; must be legal for the layer.
        seed: seeds the clustering of vectors, the only step that draws random numbers.
        importance: positive weight of each element, in the weight's shape, for tables of weights that are not pruned; equal
            weights unless given.

    Returns:
        The decoded weight, float32 and representable in fp16 where the program computes in it, and the metadata that
        coremltools' converter reads.

    Raises:
        CompressionError: coremltools skipped the layer, or a value is not finite.
    """
    weight = _checked(values, layer, encoding)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            compressed = _compress(weight, layer, encoding, importance)
    finally:
        torch.set_num_threads(threads)
    _check(compressed, layer, encoding)
    return compressed


def changed_since(encoding: Encoding) -> dict[str, int]:
    """Return versions of the algorithms whose results differ from earlier releases, for the bank's key; mostly empty."""
    table = encoding.table
    if table is None or encoding.sparsity is not None:
        return {}
    clustering = {"clustering": 2} if table.vector > 1 else {}
    return {**clustering, **({"scales": 2} if table.scaled else {})}


def _compress(weight: Tensor, layer: Layer, encoding: Encoding, importance: Tensor | None) -> CompressedWeight:
    carrier = Carrier(layer, encoding)
    if encoding.sparsity is not None:
        return prune_weight(carrier, weight, encoding.sparsity, encoding.values)
    if encoding.table is not None:
        return palettize(carrier, weight, encoding.table, importance)
    if encoding.linear is not None:
        return quantize(carrier, weight, encoding.linear)
    return CompressedWeight(weight.half().float())


def _checked(values: Tensor, layer: Layer, encoding: Encoding) -> Tensor:
    weight = values.detach().cpu().float().contiguous()
    if tuple(weight.shape) != layer.shape:
        raise CompressionError(
            layer, encoding, "reading", f"its weight has shape {tuple(weight.shape)}; expected {layer.shape}"
        )
    largest = weight.abs().max().item()
    if not largest <= torch.finfo(torch.float16).max:
        raise CompressionError(
            layer, encoding, "reading", f"the largest weight is {largest}, outside the range of fp16"
        )
    return weight


def _check(compressed: CompressedWeight, layer: Layer, encoding: Encoding) -> None:
    if tuple(compressed.weight.shape) != layer.shape:
        raise CompressionError(layer, encoding, "checking", f"the shape became {tuple(compressed.weight.shape)}")
    for what, tensor in (("weight", compressed.weight), *compressed.buffers.items()):
        if not torch.isfinite(tensor).all():
            raise CompressionError(layer, encoding, "checking", f"{what} is not finite")
