"""Decoding of Core ML's ``constexpr_...`` ops.

coremltools defines each op's value in Python (``materialized_val_inference``) and is called for all but tables: there
it repeats the whole table for every weight, gigabytes for a large layer, so tables are indexed here instead.
Definitions: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from coremltools.converters.mil.mil.ops.defs.iOS16 import constexpr_ops as ios16
from coremltools.converters.mil.mil.ops.defs.iOS18 import compression as ios18
from numpy.typing import NDArray

__all__ = ["decode", "look_up"]

_Array = NDArray[Any]


def decode(operation: str, inputs: Mapping[str, Any], output: int = 0) -> _Array:
    """Return the value of one ``constexpr_...`` op.

    Args:
        operation: op type; the iOS 16 form of an op, which the ``shape`` input tells, packs its bits.
        inputs: arrays by parameter name, inner ops already decoded.
        output: which output, for the ops that return a mask and the data that is left.

    Raises:
        ValueError: an op that this version of coremltools does not have.
    """
    decoder = _DECODERS.get(operation)
    if decoder is None:
        raise ValueError(f"unknown compression op {operation!r}; a newer package than coremltools 9 can read")
    value = decoder(inputs)
    return np.asarray(value[output] if isinstance(value, tuple) else value)


def look_up(indices: _Array, table: _Array, vector_axis: int | None = None) -> _Array:
    """Return the values of a table by index.

    Args:
        indices: shape of the weight, divided by the vector's length along ``vector_axis``.
        table: the number of tables along each axis of ``indices``, then entries, then the vector's length.
        vector_axis: along which a vector's elements lie.
    """
    groups = []
    for axis, (size, count) in enumerate(zip(indices.shape, table.shape, strict=False)):
        of_index = np.arange(size) // (size // count)
        groups.append(of_index.reshape([-1 if i == axis else 1 for i in range(indices.ndim)]))
    vectors = table[(*groups, indices.astype(np.intp))]
    if table.shape[-1] == 1:
        return np.asarray(vectors[..., 0])
    axis = (vector_axis or 0) % indices.ndim
    shape = [size * table.shape[-1] if i == axis else size for i, size in enumerate(indices.shape)]
    return np.asarray(np.moveaxis(vectors, -1, axis + 1).reshape(shape))


def _table(inputs: Mapping[str, Any]) -> _Array:
    if "shape" not in inputs:
        return look_up(inputs["indices"], inputs["lut"], _axis(inputs))
    return np.asarray(ios16.constexpr_lut_to_dense.decompress(inputs["lut"], inputs["indices"], inputs["shape"]))


def _sparse_table(inputs: Mapping[str, Any]) -> tuple[_Array, _Array]:
    mask, axis = inputs["indices_mask"], _axis(inputs)
    indices = ios18.constexpr_sparse_to_dense.decompress(inputs["indices_nonzero_data"], mask)
    dense = look_up(indices, inputs["lut"], axis)
    if inputs["lut"].shape[-1] > 1:
        mask = np.repeat(mask, inputs["lut"].shape[-1], axis=axis or 0)
    return mask, dense[mask != 0]


def _sparse(inputs: Mapping[str, Any]) -> Any:
    data, mask = inputs["nonzero_data"], inputs["mask"]
    if "shape" in inputs:
        return ios16.constexpr_sparse_to_dense.decompress(data, mask, inputs["shape"])
    return ios18.constexpr_sparse_to_dense.decompress(data, mask)


def _axis(inputs: Mapping[str, Any]) -> int | None:
    return None if inputs.get("vector_axis") is None else int(inputs["vector_axis"])


_DECODERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "constexpr_lut_to_dense": _table,
    "constexpr_lut_to_sparse": _sparse_table,
    "constexpr_sparse_to_dense": _sparse,
    "constexpr_affine_dequantize": lambda i: ios16.constexpr_affine_dequantize.decompress(
        i["quantized_data"], i["zero_point"], i["scale"], int(i["axis"])
    ),
    "constexpr_blockwise_shift_scale": lambda i: ios18.constexpr_blockwise_shift_scale.decompress(
        i["data"], i["scale"], i.get("offset")
    ),
    "constexpr_sparse_blockwise_shift_scale": lambda i: ios18.constexpr_sparse_blockwise_shift_scale.decompress(
        i["data_mask"], i["nonzero_data"], i["scale"], i.get("offset")
    ),
    "constexpr_cast": lambda i: np.float32(i["source_val"]),
}
