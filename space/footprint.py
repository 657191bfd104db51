"""Footprint: bytes that a layer's weight takes in a package's weight file."""

from __future__ import annotations

import math

from space.encoding import Encoding, Entries, Granularity, Scheme
from space.encoding_parts import Linear, Sparsity, Table
from space.layer import Layer
from space.target import DeploymentTarget

__all__ = ["layer_bytes", "nonzeros"]

_HEADER = _ALIGNMENT = 64


def layer_bytes(layer: Layer, encoding: Encoding, target: DeploymentTarget) -> int:
    """Bytes of one layer's weight, metadata and alignment included."""
    kept = nonzeros(layer, encoding.sparsity)
    sizes = [math.ceil(kept * encoding.bits / 8)]
    if encoding.sparsity is not None:
        sizes.append(math.ceil(layer.parameters / 8))
    if encoding.table is not None:
        sizes += _table_sizes(layer, encoding.table)
    if encoding.linear is not None:
        sizes += _linear_sizes(layer, encoding.linear)
    return sum(_HEADER + math.ceil(size / _ALIGNMENT) * _ALIGNMENT for size in sizes)


def nonzeros(layer: Layer, sparsity: Sparsity | None) -> int:
    """Values of a layer that are stored: what ``sparsity`` leaves of the weight, all of it without."""
    if sparsity is None:
        return layer.parameters
    return layer.parameters - math.floor(layer.parameters * sparsity.share)


def _table_sizes(layer: Layer, table: Table) -> list[int]:
    channels = layer.shape[layer.output_axis if table.axis == "output" else layer.input_axis]
    tables = 1 if table.group is None else channels // table.group
    entry = 2 if table.entries is Entries.FP16 else 1
    sizes = [tables * 2**table.bits * table.vector * entry]
    if table.scaled:
        sizes.append(2 * layer.output_channels)
    return sizes


def _linear_sizes(layer: Layer, linear: Linear) -> list[int]:
    scales = 1
    if linear.granularity is not Granularity.TENSOR:
        scales = layer.output_channels
    if linear.block is not None:
        scales *= layer.input_channels // linear.block
    free = linear.scheme is Scheme.ASYMMETRIC or not linear.signed
    return [2 * scales, *([math.ceil(scales * linear.bits / 8)] if free else [])]
