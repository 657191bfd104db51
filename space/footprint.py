"""Exact bytes of weights in a package's weight file, computed without converting.

Equal constants are not merged: ``device_bench.conversion.neutral_pipeline`` keeps each layer's constants apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from palettune.space.blob import Blob
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.encoding_parts import Axis, Entries, Granularity, Linear, Scheme, Table
from palettune.space.layer import Layer
from palettune.space.sparsity import nonzero_count
from palettune.space.target import DeploymentTarget

__all__ = ["blobs", "configuration_bytes", "layer_bytes", "stored_bits"]


def layer_bytes(layer: Layer, encoding: Encoding, target: DeploymentTarget, nonzero: int | None = None) -> int:
    """Return the bytes of one layer's weight, with the records and the alignment of its constants.

    The last constant of a file is not padded, so a file that ends with a layer is up to 63 bytes smaller than the
    sum of its parts (``BaseProgram.ends_with_layer``).

    Args:
        layer: the layer.
        encoding: a legal encoding.
        target: the deployment target.
        nonzero: values of a sparse weight that are not zero, where the compressed weight is at hand. Without it the
            number that pruning keeps is taken, which is more where some of these are zero already.
    """
    return sum(blob.bytes for blob in blobs(layer, encoding, target, nonzero))


def configuration_bytes(
    layers: Iterable[Layer],
    configuration: Configuration,
    target: DeploymentTarget,
    nonzero: Mapping[str, int] | None = None,
) -> int:
    """Return the bytes of the weights of all layers. ``nonzero``: as for ``layer_bytes``, by layer name."""
    counts = nonzero or {}
    return sum(
        layer_bytes(layer, configuration.encodings[layer.name], target, counts.get(layer.name)) for layer in layers
    )


def stored_bits(layer: Layer, encoding: Encoding, target: DeploymentTarget) -> float:
    """Return stored bits per weight: data of all constants, without records and alignment."""
    return 8 * sum(blob.data_bytes for blob in blobs(layer, encoding, target)) / layer.parameters


def blobs(layer: Layer, encoding: Encoding, target: DeploymentTarget, nonzero: int | None = None) -> tuple[Blob, ...]:
    """Return the constants that hold a layer's weight, in the order they are written; arguments as for ``layer_bytes``."""
    old = target.generation < 18
    if nonzero is None or encoding.sparsity is None:
        nonzero = nonzero_count(layer, encoding.sparsity)
    if encoding.values is None:
        if encoding.sparsity is None:
            return (Blob(layer.parameters, 16),)
        return (Blob(nonzero, layer.float_bits), _packed(layer.parameters, 1, old))
    mask = () if encoding.sparsity is None else (Blob(layer.parameters, 1),)
    if isinstance(encoding.values, Linear):
        return (*mask, *_linear_blobs(layer, encoding.values, nonzero, old))
    written = _sparse_table_blobs if mask else _table_blobs
    return (*mask, *written(layer, encoding.values, nonzero, old))


def table_count(layer: Layer, table: Table) -> int:
    """Count the tables of a layer."""
    if table.group is None:
        return 1
    return (layer.output_channels if table.axis is Axis.OUTPUT else layer.input_channels) // table.group


def scale_count(layer: Layer, linear: Linear) -> int:
    """Count the scales of a layer."""
    if linear.granularity is Granularity.TENSOR:
        return 1
    blocks = 1 if linear.block is None else layer.input_channels // linear.block
    return layer.output_channels // linear.rows * blocks


def _packed(elements: int, bits: int, old: bool) -> Blob:
    """Before iOS18 the package has no types narrower than a byte: the bytes are packed by coremltools."""
    return Blob(-(-elements * bits // 8), 8) if old else Blob(elements, bits)


def _table_blobs(layer: Layer, table: Table, nonzero: int, old: bool) -> Iterator[Blob]:
    """Scales are applied to the tables, which are repeated for it (``canonicalize_quantized_lut_pattern``)."""
    tables = table_count(layer, table)
    if table.scaled:
        tables *= layer.output_channels // (tables if table.axis is Axis.OUTPUT else 1)
    indices = _packed(nonzero // table.vector, table.bits, old)
    entries = Blob(tables * 2**table.bits * table.vector, layer.float_bits if table.entries is Entries.FP16 else 8)
    scales = [Blob(layer.output_channels, layer.float_bits)] if table.scaled else []
    if table.entries is not Entries.FP16:
        scales.append(Blob(tables, layer.float_bits))
    if table.entries is Entries.UINT8:
        scales.append(Blob(tables, 8))
    yield from (entries, *scales, indices) if scales else (indices, entries)


def _sparse_table_blobs(layer: Layer, table: Table, nonzero: int, old: bool) -> Iterator[Blob]:
    """A scale of a sparse weight is applied to the weight, and its tables are not repeated."""
    yield _packed(nonzero, table.bits, old)
    yield Blob(table_count(layer, table) * 2**table.bits, layer.float_bits)
    if table.scaled:
        yield Blob(layer.output_channels, layer.float_bits)


def _linear_blobs(layer: Layer, linear: Linear, nonzero: int, old: bool) -> Iterator[Blob]:
    """Before iOS18 there is always a zero point, and it comes before the scale."""
    scales = scale_count(layer, linear)
    free = linear.scheme is Scheme.ASYMMETRIC or not linear.signed
    yield Blob(nonzero, linear.bits)
    if old:
        yield Blob(scales, 8)
    yield Blob(scales, layer.float_bits)
    if free and not old:
        yield Blob(scales, linear.bits)
