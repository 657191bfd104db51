"""Complex numbers as rotary embeddings use them: made of pairs, multiplied, and taken apart again.

Core ML has none: every complex tensor is a real and an imaginary part, of which nothing is left in the program but the
real arithmetic. The Fourier transforms are coremltools' own.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from palettune.device_bench.conversion.ops.converter import Converter, converter
from palettune.device_bench.library_internals import front_end_inputs, torch_converter

__all__ = ["complex_of", "parts_of"]

#: Ops that do the same to both parts.
_BY_PARTS = (
    *("clone", "contiguous", "expand", "flatten", "neg", "permute", "reshape", "select", "slice"),
    *("squeeze.dim", "transpose", "unsqueeze", "view"),
)


def parts_of(variable: Any) -> tuple[Any, Any]:
    """Return the real and the imaginary part of a variable; zero is the imaginary part of a real one."""
    if not types.is_complex(variable.dtype):
        return variable, None
    if variable.val is not None:
        return np.float32(np.real(variable.val)), np.float32(np.imag(variable.val))
    if variable.op.op_type == "complex":
        return variable.op.real_data, variable.op.imag_data
    return mb.complex_real(data=variable), mb.complex_imag(data=variable)


def complex_of(real: Any, imaginary: Any) -> Any:
    """Return a complex variable of two parts."""
    return mb.complex(real_data=real, imag_data=imaginary)


@converter()
def view_as_complex(context: Any, node: Any) -> None:
    """``aten.view_as_complex``: pairs along the last axis."""
    (x,) = front_end_inputs(context, node)
    real, imaginary = (mb.squeeze(x=half, axes=[-1]) for half in mb.split(x=x, num_splits=2, axis=-1))
    context.add(complex_of(real, imaginary), node.name)


@converter()
def polar(context: Any, node: Any) -> None:
    """``aten.polar``: of lengths and angles."""
    length, angle = front_end_inputs(context, node)
    real, imaginary = mb.mul(x=length, y=mb.cos(x=angle)), mb.mul(x=length, y=mb.sin(x=angle))
    context.add(complex_of(real, imaginary), node.name)


@converter("_conj", "conj_physical")
def conj(context: Any, node: Any) -> None:
    """``aten.conj``: of a real tensor the tensor itself."""
    (x,) = front_end_inputs(context, node)
    real, imaginary = parts_of(x)
    conjugate = x if imaginary is None else complex_of(real, mb.mul(x=imaginary, y=np.float32(-1)))
    context.add(conjugate, node.name)


def _product(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts_of(x), parts_of(y)
    if b is None or d is None:
        (scale, (real, imaginary)) = (_floats(a), (c, d)) if b is None else (_floats(c), (a, b))
        return complex_of(mb.mul(x=real, y=scale), mb.mul(x=imaginary, y=scale))
    real = mb.sub(x=mb.mul(x=a, y=c), y=mb.mul(x=b, y=d))
    return complex_of(real, mb.add(x=mb.mul(x=a, y=d), y=mb.mul(x=b, y=c)))


def _floats(x: Any) -> Any:
    """A real operand, which may be a whole number, as floats."""
    return x if isinstance(x, np.ndarray | np.floating) or types.is_float(x.dtype) else mb.cast(x=x, dtype="fp32")


def _sum(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts_of(x), parts_of(y)
    real = mb.add(x=_floats(a), y=_floats(c))
    return complex_of(
        real, mb.add(x=b, y=d) if b is not None and d is not None else mb.identity(x=d if b is None else b)
    )


def _with_complex(known: Converter, combine: Any) -> Converter:
    """A conversion of two operands that is coremltools' own unless one of them is complex."""

    def convert(context: Any, node: Any) -> None:
        inputs = front_end_inputs(context, node)[:2]
        if any(types.is_complex(getattr(one, "dtype", None)) for one in inputs):
            context.add(combine(*inputs), node.name)
        else:
            known(context, node)

    return convert


def _by_parts(known: Converter) -> Converter:
    """A conversion that is coremltools' own, done to both parts where the first operand is complex."""

    def convert(context: Any, node: Any) -> None:
        first = context[node.inputs[0]] if isinstance(node.inputs[0], str) else None
        if not types.is_complex(getattr(first, "dtype", None)):
            known(context, node)
            return
        results = []
        for suffix, part in zip(("real", "imaginary"), parts_of(first), strict=True):
            name = f"{node.name}_{suffix}"
            context.add(mb.identity(x=part), f"{name}_of")
            shadow = copy.copy(node)
            shadow.name, shadow.outputs, shadow.inputs = name, [name], [f"{name}_of", *node.inputs[1:]]
            known(context, shadow)
            results.append(context[name])
        context.add(complex_of(*results), node.name)

    return convert


def _wrap() -> None:
    """Put the conversions above around coremltools' own."""
    for kind, combine in (("mul", _product), ("add", _sum)):
        _register(kind, _with_complex(torch_converter(kind), combine))
    for kind in _BY_PARTS:
        _register(kind, _by_parts(torch_converter(kind)))


def _register(kind: str, function: Converter) -> None:
    function.__name__ = kind
    converter()(function)


_wrap()
