"""Constant ops that decode a weight, as coremltools' torch front end makes them of a weight and its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from torch import Tensor

from palettune.device_bench.library_internals import (
    METADATA_VERSION,
    METADATA_VERSION_BUFFER,
    STATE_DICT_METADATA_BUFFER_PREFIX,
    WeightEncoder,
)

__all__ = ["encoded_weight"]

_OWNER = "layer"


def encoded_weight(
    weight: Tensor, buffers: Mapping[str, Tensor], name: str, *, half: bool, before_op: Any = None
) -> Any:
    """Return a variable that decodes a weight, made in the function that is being built.

    Args:
        weight: the decoded weight.
        buffers: coremltools' metadata by key; empty for a weight that is stored in fp16.
        name: of the variable.
        half: whether the program computes with it in fp16; in float32, what is stored in fp16 is cast back.
        before_op: where the ops go; at the end of the function without.
    """
    values = np.ascontiguousarray(weight.detach().float().cpu().numpy())
    place = {} if before_op is None else {"before_op": before_op}
    if buffers:
        prefix = f"{_OWNER}.{STATE_DICT_METADATA_BUFFER_PREFIX}/weight/"
        state = {f"{prefix}{key}": value for key, value in buffers.items()}
        encoder = WeightEncoder({**state, METADATA_VERSION_BUFFER: METADATA_VERSION})
        return _precise(encoder.variable(values, f"{_OWNER}.weight"), name, half, {}, place)
    if half:
        return mb.const(val=values.astype(np.float16), name=name, **place)
    return mb.constexpr_cast(source_val=values.astype(np.float16), output_dtype="fp32", name=name, **place)


def _precise(variable: Any, name: str, half: bool, done: dict[Any, tuple[Any, ...]], place: Mapping[str, Any]) -> Any:
    """The same chain of constant ops with its floats as fp16, under another name.

    The front end makes chains in float32 and leaves it to a pass of the conversion to round them, which would round
    all else in the program too.
    """
    op = variable.op
    if op not in done:
        inputs = {
            key: _operand(value, name, half, done, place) for key, value in op.inputs.items() if value is not None
        }
        made = getattr(mb, op.op_type)(**inputs, name=name, **place)
        done[op] = tuple(made) if isinstance(made, (list, tuple)) else (made,)
    return done[op][op.outputs.index(variable)]


def _operand(variable: Any, name: str, half: bool, done: dict[Any, tuple[Any, ...]], place: Mapping[str, Any]) -> Any:
    if variable.op.op_type != "const":
        return _precise(variable, f"{name}_inner", half, done, place)
    return np.float16(variable.val) if half and types.is_float(variable.dtype) else variable.val
