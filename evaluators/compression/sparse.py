"""Pruning of one weight by coremltools' MagnitudePruner, alone or before a table or integers.

The converter of coremltools 9.0 treats every value of at most 2^-10 as zero when it builds a sparse weight
(``_construct_sparsification_op``), so values that are kept are stored larger than that.
"""

from __future__ import annotations

import torch
from coremltools.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig, ModuleMagnitudePrunerConfig
from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.carrier import Carrier, quiet, spread, to_half
from palettune.evaluators.compression.linear import Quantization
from palettune.evaluators.compression.lut import cluster, table_buffers
from palettune.space.encoding import Axis, Granularity, Linear, Sparsity, Table
from palettune.space.sparsity import nonzero_count

__all__ = ["SMALLEST_KEPT", "TAKEN_FOR_ZERO", "prune_weight", "pruned_by_magnitude"]

_STAGE = "pruning"
TAKEN_FOR_ZERO = 2.0**-10
SMALLEST_KEPT = TAKEN_FOR_ZERO * (1 + TAKEN_FOR_ZERO)


def prune_weight(
    carrier: Carrier, weight: Tensor, sparsity: Sparsity, values: Table | Linear | None
) -> CompressedWeight:
    """Set the smallest weights to zero and store the others as ``values`` says (fp16, a table or integers).

    Raises:
        CompressionError: no weight is left, groups do not divide the channels, or a stored value would be taken for zero."""
    pruned = pruned_by_magnitude(carrier, weight, sparsity)
    kept = pruned != 0
    lifted = _lifted(pruned)
    if values is None:
        compressed = CompressedWeight(to_half(lifted), {"compression_type": torch.tensor([1])})
    elif isinstance(values, Linear):
        compressed = _quantized(carrier, lifted, kept, values)
    else:
        compressed = _palettized(carrier, lifted, kept, values)
    stored = compressed.weight != 0
    if not stored.any() or (stored & ~kept).any() or (compressed.weight[stored].abs() <= TAKEN_FOR_ZERO).any():
        raise carrier.failure(_STAGE, "the converter would store other values than the pruned weight")
    return compressed


def pruned_by_magnitude(carrier: Carrier, weight: Tensor, sparsity: Sparsity) -> Tensor:
    """Set the smallest units of a weight to zero by coremltools' MagnitudePruner."""
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
        pruner.finalize(inplace=True)
    pruned = carrier.weight(module)
    if sparsity.granularity is Granularity.SCALAR and sparsity.n_of_m is None:
        pruned = _without_ties(pruned, nonzero_count(carrier.layer, sparsity))
    if not pruned.any():
        raise carrier.failure(_STAGE, "no weight is left; use a lower sparsity")
    return pruned


def _without_ties(pruned: Tensor, wanted: int) -> Tensor:
    """Drop values that tie with the smallest kept one, all of which coremltools keeps, down to ``wanted`` values."""
    surplus = int(pruned.count_nonzero()) - wanted
    if surplus <= 0:
        return pruned
    flat = pruned.flatten()
    weakest = flat.abs()[flat != 0].min()
    flat[(flat.abs() == weakest).nonzero().flatten()[-surplus:]] = 0
    return flat.reshape(pruned.shape)


def _lifted(values: Tensor) -> Tensor:
    return torch.sign(values) * values.abs().clamp(min=SMALLEST_KEPT)


def _quantized(carrier: Carrier, weight: Tensor, kept: Tensor, linear: Linear) -> CompressedWeight:
    """Kept values stay off zero by the fewest steps that the converter does not take for zero, where there are any."""
    quantization = Quantization(carrier, weight, linear)
    steps = quantization.steps(weight)
    fewest = torch.floor(TAKEN_FOR_ZERO / quantization.wide_scale) + 1
    fewest = fewest + (quantization.decode(fewest) <= TAKEN_FOR_ZERO)
    steps = torch.where(steps.abs() < fewest, torch.sign(weight) * fewest, steps)
    stored = steps + quantization.wide_zero
    outside = (stored > quantization.high) | (stored < quantization.low)
    steps = torch.where(kept & ~outside, steps, torch.zeros_like(steps))
    buffers = {**quantization.buffers, "compression_type": torch.tensor([1, 3])}
    return CompressedWeight(quantization.decode(steps), buffers)


def _palettized(carrier: Carrier, weight: Tensor, kept: Tensor, table: Table) -> CompressedWeight:
    """Cluster what is kept, each group of channels by itself, so that no table entry is spent on zeros."""
    scale = _channel_scale(carrier, weight) if table.scaled else torch.ones(())
    axis = carrier.axis(0 if table.axis is Axis.OUTPUT else 1)
    group = table.group or weight.shape[axis]
    if weight.shape[axis] % group:
        raise carrier.failure(_STAGE, f"groups of {group} do not divide axis {axis}, where coremltools would skip it")
    parts = zip(torch.split(weight / scale, group, axis), torch.split(kept, group, axis), strict=True)
    tables = [_entries(carrier, values[chosen], table) for values, chosen in parts]
    shape = [1] * weight.dim()
    shape[axis] = len(tables)
    lut = torch.stack(tables).reshape(*shape, -1, 1)
    buffers = {**table_buffers(carrier, table, lut), "compression_type": torch.tensor([1, 2])}
    if table.scaled:
        buffers["palettization_scale"] = scale
    return CompressedWeight(_nearest(carrier, weight, kept, lut, scale), buffers)


def _channel_scale(carrier: Carrier, weight: Tensor) -> Tensor:
    """The largest value of each output channel, as coremltools' palettizer takes it."""
    others = [axis for axis in range(weight.dim()) if axis != carrier.layer.output_axis]
    largest = to_half(weight.abs().amax(dim=others, keepdim=True))
    return torch.where(largest > 0, largest, torch.ones_like(largest))


def _entries(carrier: Carrier, values: Tensor, table: Table) -> Tensor:
    if not values.numel():
        return torch.zeros(2**table.bits)
    row = carrier.flat(values)
    lut = row.buffer(cluster(row, values.reshape(1, -1), Table(table.bits)), "lut")
    if lut is None:
        raise carrier.failure(_STAGE, "coremltools left no lut")
    entries = to_half(lut.float()).flatten()
    return entries if table.scaled else to_half(_lifted(entries))


def _nearest(carrier: Carrier, weight: Tensor, kept: Tensor, lut: Tensor, scale: Tensor) -> Tensor:
    """Each kept weight as the nearest table entry that the converter does not take for a zero."""
    decoded, distance = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
    for entry in lut[..., 0].unbind(-1):
        value = carrier.product(spread(entry, weight.shape) * scale).expand_as(weight)
        nearer = kept & (value.abs() > TAKEN_FOR_ZERO) & ((value - weight).abs() < distance)
        decoded = torch.where(nearer, value, decoded)
        distance = torch.where(nearer, (value - weight).abs(), distance)
    return decoded
