"""Footprint: bytes that weights take in a package's weight file, exactly, without converting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from space.blob import Blob, distinct
from space.configuration import Configuration
from space.encoding import Encoding
from space.encoding_parts import Axis, Entries, Granularity, Linear, Scheme, Table
from space.kept import kept_values
from space.layer import Layer
from space.target import DeploymentTarget

__all__ = ["blobs", "configuration_bytes", "layer_bytes"]


def layer_bytes(layer: Layer, encoding: Encoding, target: DeploymentTarget) -> int:
    """Bytes of one layer's weight with metadata and alignment, as if no other constant equalled one of its own.

    The last constant of a file is not padded, so a file can be up to 63 bytes smaller than the sum of its parts.
    """
    return sum(blob.bytes for blob in blobs(layer, encoding, target))


def configuration_bytes(layers: Iterable[Layer], configuration: Configuration, target: DeploymentTarget) -> int:
    """Bytes of the weights of all layers, with constants that are equal by construction counted once."""
    written = (blob for layer in layers for blob in blobs(layer, configuration.encodings[layer.name], target))
    return sum(blob.bytes for blob in distinct(written))


def blobs(layer: Layer, encoding: Encoding, target: DeploymentTarget) -> tuple[Blob, ...]:
    """The constants that hold a layer's weight, in the order they are written."""
    old = target.generation < 18
    kept = kept_values(layer, encoding.sparsity)
    if encoding.values is None:
        if encoding.sparsity is None:
            return (Blob(layer.parameters, 16),)
        return (Blob(kept, 16), _packed(layer.parameters, 1, old))
    mask = () if encoding.sparsity is None else (Blob(layer.parameters, 1),)
    if isinstance(encoding.values, Table):
        written = _sparse_table_blobs if mask else _table_blobs
        return (*mask, *written(layer, encoding.values, kept, old))
    return (*mask, *_linear_blobs(layer, encoding.values, kept, old))


def _packed(elements: int, bits: int, old: bool) -> Blob:
    """Before iOS18 the package has no types narrower than a byte: the bytes are packed by coremltools."""
    return Blob(-(-elements * bits // 8), 8) if old else Blob(elements, bits)


def _table_blobs(layer: Layer, table: Table, kept: int, old: bool) -> Iterator[Blob]:
    tables = table_count(layer, table)
    if table.scaled:
        tables *= layer.output_channels // (tables if table.axis is Axis.OUTPUT else 1)
    indices = _packed(kept // table.vector, table.bits, old)
    entries = Blob(tables * 2**table.bits * table.vector, 16 if table.entries is Entries.FP16 else 8)
    scales = [Blob(layer.output_channels, 16)] if table.scaled else []
    if table.entries is not Entries.FP16:
        scales.append(Blob(tables, 16))
    if table.entries is Entries.UINT8:
        scales.append(_zero_points(layer, tables, 8, "uint8 table", table.axis))
    # A scale is applied to the tables, which the converter repeats for it (``canonicalize_quantized_lut_pattern``).
    yield from (entries, *scales, indices) if scales else (indices, entries)


def _sparse_table_blobs(layer: Layer, table: Table, kept: int, old: bool) -> Iterator[Blob]:
    """A scale of a sparse weight is applied to the weight, and its tables are not repeated."""
    yield _packed(kept, table.bits, old)
    yield Blob(table_count(layer, table) * 2**table.bits, 16)
    if table.scaled:
        yield Blob(layer.output_channels, 16)


def table_count(layer: Layer, table: Table) -> int:
    """Number of tables of a layer."""
    if table.group is None:
        return 1
    return (layer.output_channels if table.axis is Axis.OUTPUT else layer.input_channels) // table.group


def scale_count(layer: Layer, linear: Linear) -> int:
    """Number of scales of a layer."""
    if linear.granularity is Granularity.TENSOR:
        return 1
    blocks = 1 if linear.block is None else layer.input_channels // linear.block
    return layer.output_channels // linear.rows * blocks


def _linear_blobs(layer: Layer, linear: Linear, kept: int, old: bool) -> Iterator[Blob]:
    scales = scale_count(layer, linear)
    yield Blob(kept, linear.bits)
    symmetric = linear.scheme is Scheme.SYMMETRIC
    name = f"{'' if linear.signed else 'u'}int{linear.bits}"
    if old:
        yield Blob(scales, 8, f"{name} zero" if symmetric else None)
        yield Blob(scales, 16)
        return
    yield Blob(scales, 16)
    if not symmetric:
        yield Blob(scales, linear.bits)
    elif not linear.signed:
        blocks = 1 if linear.block is None else layer.input_channels // linear.block
        yield _zero_points(layer, scales // blocks, linear.bits, f"{name} x{blocks}", Axis.OUTPUT, blocks)


def _zero_points(layer: Layer, count: int, bits: int, name: str, axis: Axis, other: int = 1) -> Blob:
    """Zero points in the middle of the range are one number throughout, so equal shapes mean equal constants."""
    place = layer.output_axis if axis is Axis.OUTPUT else layer.input_axis
    return Blob(count * other, bits, f"{name} zero, axis {place} of {len(layer.shape)}")
