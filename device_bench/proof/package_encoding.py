"""Check of a package's weight against the encoding asked for, property by property."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.package.package import PackageWeight, StoredPart
from palettune.space.encoding import Axis, Encoding, Entries, Granularity, Linear, Scheme, Sparsity, Table
from palettune.space.layer import Layer

__all__ = ["differences", "roundings", "stored_as"]

_TABLE_OPS = ("constexpr_lut_to_dense", "constexpr_lut_to_sparse")
_SCALE_OPS = (
    "constexpr_affine_dequantize",
    "constexpr_blockwise_shift_scale",
    "constexpr_sparse_blockwise_shift_scale",
)
_SPARSE_OPS = ("constexpr_sparse_to_dense",)


def differences(weight: PackageWeight, layer: Layer, encoding: Encoding) -> Iterator[str]:
    """Return every way in which the stored weight differs from ``encoding``, in words; empty when it is as asked.

    Args:
        weight: from the package, in the layer's own layout.
        layer: fixes which axes are output and input channels.
        encoding: asked for.
    """
    table, linear = encoding.table, encoding.linear
    scaled = linear is not None or (table is not None and (table.scaled or table.entries is not Entries.FP16))
    asked = [(_SPARSE_OPS, encoding.sparsity is not None), (_TABLE_OPS, table is not None), (_SCALE_OPS, scaled)]
    if any(any(op in ops for op in weight.chain) != wanted for ops, wanted in asked):
        yield f"{encoding} was asked for, it is stored as {stored_as(weight)}"
        return
    if encoding == Encoding():
        yield from _plain(weight, layer)
    if table is not None:
        yield from _table(weight, layer, table)
    if linear is not None:
        yield from _linear(weight, layer, linear)
    if encoding.sparsity is not None:
        yield from _sparsity(np.asarray(weight.value), layer, encoding.sparsity)


def stored_as(weight: PackageWeight) -> str:
    """Return how a weight is stored, in a few words: the ops of its chain with the types of their data."""
    if not weight.chain:
        return f"plain {weight.inputs['val'].dtype}" if isinstance(weight.inputs["val"], StoredPart) else "plain"
    words = [
        f"{operation.removeprefix('constexpr_')}({name}: {part.dtype}{list(part.shape)})"
        for operation, name, part in weight.parts()
        if name
        in ("source_val", "indices", "indices_nonzero_data", "lut", "quantized_data", "data", "nonzero_data", "scale")
    ]
    return ", ".join(words)


def roundings(encoding: Encoding) -> int:
    """Count the fp16 roundings from the stored data to the weight: one, and one for each scale."""
    table = encoding.table
    scaled = encoding.linear is not None or (table is not None and (table.scaled or table.entries is not Entries.FP16))
    return 1 + scaled + (table is not None and scaled)


def _plain(weight: PackageWeight, layer: Layer) -> Iterator[str]:
    """Where the program computes in float32, fp16 is cast back."""
    cast = weight.operation == "constexpr_cast"
    if cast != (layer.float_bits == 32):
        yield f"fp16 was asked for in a program of {layer.float_bits}-bit floats, it is stored as {stored_as(weight)}"
        return
    part = weight.inputs["source_val" if cast else "val"]
    if isinstance(part, StoredPart) and part.dtype != "fp16":
        yield f"fp16 was asked for, it is stored as {part.dtype}"


def _find(weight: PackageWeight, operations: Sequence[str], *names: str) -> StoredPart | None:
    found = (weight.part(operation, name) for operation in operations for name in names)
    return next((part for part in found if part is not None), None)


def _counts(layer: Layer, output: int = 1, inputs: int = 1) -> list[int]:
    """How many tables or scales lie along each axis of the weight."""
    counts = [1] * len(layer.shape)
    counts[layer.output_axis], counts[layer.input_axis] = output, inputs
    return counts


def _table(weight: PackageWeight, layer: Layer, table: Table) -> Iterator[str]:
    shape, dtype = _stored_table(weight, len(layer.shape))
    if shape[-2] != 2**table.bits:
        yield f"tables of {2**table.bits} entries were asked for, they have {shape[-2]}"
    channels = layer.output_channels if table.axis is Axis.OUTPUT else layer.input_channels
    tables = 1 if table.group is None else channels // table.group
    asked = _counts(layer, tables) if table.axis is Axis.OUTPUT else _counts(layer, 1, tables)
    scales = _counts(layer, layer.output_channels) if table.scaled else asked
    repeated = [max(pair) for pair in zip(asked, scales, strict=True)]
    if list(shape[:-2]) not in (asked, repeated):
        yield f"tables along the axes: {asked} were asked for, there are {list(shape[:-2])}"
    unsigned = dtype == "uint8" and _find(weight, ("constexpr_blockwise_shift_scale",), "offset") is None
    entries = f"fp{layer.float_bits}" if table.entries is Entries.FP16 else table.entries.value
    if dtype != entries and not (unsigned and table.entries is Entries.INT8):  # where none is negative
        yield f"table entries of {entries} were asked for, they are {dtype}"
    yield from _vectors(weight, layer, table, shape[-1])
    if table.scaled:
        yield from _scale_counts(weight, scales)


def _stored_table(weight: PackageWeight, rank: int) -> tuple[tuple[int, ...], str]:
    """Shape of the tables, as iOS 18 writes it, and the type of their entries.

    Entries that have scales come through an op of their own. coremltools puts it before the look-up
    (``canonicalize_quantized_lut_pattern``), and repeats a table until there is one for each scale.
    """
    table = _find(weight, _TABLE_OPS, "lut") or _find(weight, ("constexpr_blockwise_shift_scale",), "data")
    if table is None:
        return (1,) * (rank + 2), "none"
    return (table.shape if len(table.shape) > 1 else (*[1] * rank, table.shape[0], 1)), table.dtype


def _vectors(weight: PackageWeight, layer: Layer, table: Table, length: int) -> Iterator[str]:
    if length != table.vector:
        yield f"vectors of {table.vector} were asked for, they are of {length}"
    axis = _find(weight, _TABLE_OPS, "vector_axis")
    expected = layer.output_axis if table.axis is Axis.OUTPUT else layer.input_axis
    if table.vector > 1 and (axis is None or int(axis.value) % len(layer.shape) != expected):
        yield f"vectors along axis {expected} were asked for, they run along {None if axis is None else axis.value}"


def _linear(weight: PackageWeight, layer: Layer, linear: Linear) -> Iterator[str]:
    data = _find(weight, _SCALE_OPS, "quantized_data", "data", "nonzero_data")
    if data is not None and data.bits < linear.bits and not np.any(data.value):
        linear = replace(linear, bits=data.bits)  # coremltools stores integers that are all zero in fewer bits
    if data is None or data.bits != linear.bits or not data.dtype.endswith(f"int{linear.bits}"):
        yield f"integers of {linear.bits} bits were asked for, they are {'none' if data is None else data.dtype}"
        return
    offset = _find(weight, _SCALE_OPS, "offset", "zero_point")
    if data.dtype.startswith("u") == linear.signed and not _holds_no_negative(data, offset):
        yield f"{'signed' if linear.signed else 'unsigned'} integers were asked for, they are {data.dtype}"
    output = 1 if linear.granularity is Granularity.TENSOR else layer.output_channels // linear.rows
    inputs = 1 if linear.block is None else layer.input_channels // linear.block
    yield from _scale_counts(weight, _counts(layer, output, inputs))
    if linear.scheme is Scheme.SYMMETRIC and offset is not None:
        half = 2 ** (linear.bits - 1)  # without the lowest or the highest integer the middle is half less one
        middles = (0,) if linear.signed else (half - 1, half)
        if not any(np.all(np.asarray(offset.value) == middle) for middle in middles):
            yield "a zero in the middle was asked for, zero points differ from it"


def _holds_no_negative(data: StoredPart, offset: StoredPart | None) -> bool:
    """Where nothing is negative, coremltools stores what was signed without a sign."""
    return bool(np.min(data.value, initial=0) >= 0 and (offset is None or np.min(offset.value) >= 0))


def _scale_counts(weight: PackageWeight, expected: list[int]) -> Iterator[str]:
    found = _scales(weight, len(expected))
    if found != expected:
        yield f"scales along the axes: {expected} were asked for, there are {found}"


def _scales(weight: PackageWeight, rank: int) -> list[int]:
    """Number of scales along each axis; iOS 16 writes a number or a row with its axis."""
    scale = _find(weight, _SCALE_OPS, "scale")
    counts = [1] * rank
    if scale is None or scale.shape == ():
        return counts
    axis = weight.part("constexpr_affine_dequantize", "axis")
    if axis is None:  # scales of a table have the axes of the table, two more than the weight
        return list(scale.shape[:rank])
    counts[int(axis.value)] = scale.shape[0]
    return counts


def _sparsity(values: NDArray[Any], layer: Layer, sparsity: Sparsity) -> Iterator[str]:
    rows = np.moveaxis(values, layer.output_axis, 0) if layer.output_axis else values
    if sparsity.n_of_m is not None:
        yield from _neighbourhoods(values, layer, sparsity)
        return
    if sparsity.granularity is Granularity.CHANNEL:
        whole = rows.reshape(len(rows), -1)
    elif sparsity.granularity is Granularity.KERNEL:
        whole = rows.reshape(rows.shape[0] * rows.shape[1], -1)
    elif sparsity.granularity is Granularity.BLOCK and sparsity.block:
        full = len(rows) // sparsity.block * sparsity.block
        whole = np.moveaxis(rows[:full].reshape(-1, sparsity.block, math.prod(rows.shape[1:])), 1, 2)
        whole = whole.reshape(-1, sparsity.block)
    else:
        whole = values.reshape(-1, 1)
    zeros, least = int((whole == 0).all(1).sum()), math.floor(len(whole) * sparsity.share)
    if zeros < least:
        unit = "values" if sparsity.granularity is Granularity.SCALAR else f"{sparsity.granularity}s"
        yield f"{least} of {len(whole)} {unit} were to be zero, {zeros} are"


def _neighbourhoods(values: NDArray[Any], layer: Layer, sparsity: Sparsity) -> Iterator[str]:
    least, size = sparsity.n_of_m or (0, 1)
    axis = layer.input_axis if sparsity.axis is Axis.INPUT else layer.output_axis
    line = np.moveaxis(values, axis, -1)
    if line.shape[-1] % size:
        yield f"{least} zeros in every {size} neighbours were asked for, {line.shape[-1]} channels do not divide"
        return
    zeros = (line.reshape(-1, size) == 0).sum(1)
    if zeros.min() < least:
        yield f"{least} zeros in every {size} neighbours were asked for, some have {zeros.min()}"
