"""What a package's weight costs to fetch and decode, read from how it is stored."""

from __future__ import annotations

import math

import numpy as np

from device_bench.cost.stored_weight import StoredWeight
from device_bench.package import PackageWeight

__all__ = ["stored_weight"]


def stored_weight(weight: PackageWeight) -> StoredWeight:
    """A constant of a package, by the ops that decode it."""
    elements = math.prod(weight.shape)
    if not weight.chain:
        return StoredWeight.fp16(elements)
    kept = _kept(weight)
    zeros = 0.0 if kept is None else 1 - kept / elements
    channels, linear, blocks = None, False, False
    for operation, name, part in weight.parts():
        if name == "lut" and len(part.shape) > 1 and "lut" in operation:
            tables = part.shape[0]
            channels = weight.shape[0] // tables if tables > 1 else None
        if name == "scale" and "shift_scale" in operation:
            linear = True
            blocks = len(part.shape) > 1 and math.prod(part.shape[1:]) > 1
        linear = linear or operation == "constexpr_affine_dequantize"
    return StoredWeight(elements, float(weight.bytes), channels, zeros, blocks, linear)


def _kept(weight: PackageWeight) -> int | None:
    """Elements that a sparse weight stores."""
    for _, name, part in weight.parts():
        if name in ("mask", "indices_mask", "data_mask"):
            return int(np.unpackbits(part.value).sum()) if part.dtype == "uint8" else int(np.count_nonzero(part.value))
    return None
