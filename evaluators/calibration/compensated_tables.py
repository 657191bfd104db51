"""Compensated tables: error-compensated indices (GPTQ) and least-squares entries, in alternation.

This is GPTVQ (van Baalen et al., "GPTVQ: the blessing of dimensionality for LLM quantization", 2024) for entries of one
value: weights are assigned to their nearest entry column by column (``compensation``); then each table takes the
entries of least output error for these indices, a linear least-squares problem.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.compensation import compensated, damped
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.calibration.layer_statistics import as_matrices, from_matrices, observable
from palettune.evaluators.compression.carrier import to_half
from palettune.space.encoding import Axis, Encoding, Entries
from palettune.space.layer import Layer, LayerKind

__all__ = ["CompensatedTables", "refitted"]

_TURNS = 2
_MOST_BITS = 6
_MOST_REFITTED_BITS = 4
_RIDGE = 1e-3
_ELEMENTS = 2**24


class CompensatedTables(LayerMethod):
    """Layer method that alternates GPTQ's assignment of indices with a least-squares fit of the table."""

    name = "compensated_tables"

    @classmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Return whether the encoding is a table of scalar fp16 entries with at most 6 bits, without scales or sparsity."""
        table = encoding.table
        return (
            table is not None
            and encoding.sparsity is None
            and table.vector == 1
            and table.entries is Entries.FP16
            and not table.scaled
            and table.bits <= _MOST_BITS
            and observable(layer)
        )

    @classmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """Start from the data-free table; entries are rounded to fp16 before the last assignment of indices."""
        table = task.encoding.table
        assert table is not None
        gram = damped(task.statistics.gram)
        lut = task.start.buffers["lut"].float().to(gram.device)
        weights = as_matrices(task.weight.to(gram.device), task.layer)
        by_output = table.axis is Axis.OUTPUT or lut.shape[:2] == (1, 1)
        turns = _TURNS if by_output and table.bits <= _MOST_REFITTED_BITS else 0
        for _ in range(turns):
            indices = _assigned(weights, gram, lut, task.layer)
            lut = refitted(weights, gram, indices, lut, task.layer)
        lut = to_half(lut)
        indices = _assigned(weights, gram, lut, task.layer)
        entries = table_entries(lut, task.layer).expand(*indices.shape, -1)
        decoded = from_matrices(entries.gather(-1, indices[..., None])[..., 0], task.layer)
        return CompressedWeight(decoded.cpu(), {**task.start.buffers, "lut": lut.cpu()})


def table_entries(lut: Tensor, layer: Layer) -> Tensor:
    """Return the table for each row and column of the weight's matrices: (G, R, K, E); a length of 1 means shared."""
    upright = lut.transpose(0, 1) if layer.kind is LayerKind.MATMUL else lut
    count, (outputs, inputs) = lut.shape[-2], upright.shape[:2]
    tables = upright.reshape(outputs, inputs, count)
    if inputs > 1:
        columns = layer.parameters // layer.output_channels
        tables = tables.repeat_interleave(columns // inputs, 1)
    if outputs == 1:
        return tables[None]
    rows = tables.repeat_interleave(layer.output_channels // outputs, 0)
    return rows.reshape(layer.groups, -1, *rows.shape[1:])


def _assigned(weights: Tensor, gram: Tensor, lut: Tensor, layer: Layer) -> Tensor:
    """Indices (G, R, K), compensated."""
    entries = table_entries(lut, layer)
    indices = torch.empty(weights.shape, dtype=torch.long, device=weights.device)

    def rounded(column: int, values: Tensor) -> Tensor:
        at = entries[:, :, column if entries.shape[2] > 1 else 0].expand(*values.shape, -1)
        indices[:, :, column] = (at - values[..., None]).abs().argmin(-1)
        return at.gather(-1, indices[:, :, column, None])[..., 0]

    compensated(weights, gram, rounded)
    return indices


def refitted(weights: Tensor, gram: Tensor, indices: Tensor, lut: Tensor, layer: Layer) -> Tensor:
    """Fit the tables of least output error for given indices; a small ridge keeps rarely used entries near ``lut``."""
    count, channels = lut.shape[-2], layer.output_channels
    sums = [_normal_sums(gram, *part, count) for part in _parts(weights, indices, count)]
    normal = torch.cat([normal for normal, _ in sums], 1).reshape(channels, count, count)
    target = torch.cat([target for _, target in sums], 1).reshape(channels, count)
    tables = lut.reshape(-1, count)  # by groups of output channels
    share = channels // len(tables)
    normal, target = (v.reshape(len(tables), share, *v.shape[1:]).sum(1) for v in (normal, target))
    ridge = _RIDGE * normal.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-20)[:, None]
    normal = normal + torch.diag_embed(ridge.expand(-1, count))
    found: Tensor = torch.linalg.solve(normal, target + ridge * tables)
    return found.reshape(lut.shape)


def _parts(weights: Tensor, indices: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Some output channels at a time, for a bound on memory."""
    groups, rows, columns = weights.shape
    step = max(1, _ELEMENTS // (groups * columns * count))
    for start in range(0, rows, step):
        yield weights[:, start : start + step], indices[:, start : start + step]


def _normal_sums(gram: Tensor, weights: Tensor, indices: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The normal equations of each output channel's entries: (G, R, E, E) and (G, R, E)."""
    onehot = torch.nn.functional.one_hot(indices, count).to(weights.dtype)
    products = torch.einsum("gkl,grle->grke", gram, onehot)
    return torch.einsum("grke,grkf->gref", onehot, products), torch.einsum("grke,grk->gre", products, weights)
