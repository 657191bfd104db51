"""Floating-point constants of a program that are no layer's weight, named after the model's own tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from palettune.device_bench.package.package import PackageWeight
from palettune.device_bench.package.program_graph import ProgramNode

__all__ = ["FloatConstant", "float_constants"]

_PLAIN = ("const", "constexpr_cast")


@dataclass(frozen=True)
class FloatConstant:
    """A constant of two or more axes in the weight file that no configuration compresses.

    Attributes:
        name: of the parameter or buffer whose values it holds, rows in any order; else the op and its operand.
        shape: as stored.
        bytes: in the weight file.
        reason: why it is no layer's weight.
    """

    name: str
    shape: tuple[int, ...]
    bytes: int
    reason: str = ""


def float_constants(
    nodes: Sequence[ProgramNode],
    layers: Mapping[tuple[int, str, int], str],
    module: nn.Module,
    reasons: Mapping[str, str] | None = None,
) -> tuple[FloatConstant, ...]:
    """Return such constants of a program, each once, the largest first.

    Args:
        nodes: of the base program.
        layers: first layer name by op, parameter and position, where an operand is a layer's weight.
        module: the module that was converted; constants are matched with its tensors by content, in fp16.
        reasons: by tensor, why it is no layer's weight.
    """
    kept: dict[tuple[str, int], tuple[str, str, PackageWeight]] = {}
    for index, node in enumerate(nodes):
        for operand, position, weight in _weights(node):
            offset = next((part.offset for *_, part in weight.parts() if part.offset is not None), None)
            if offset is not None and (index, operand, position) not in layers and _is_float(weight):
                name = weight.name if _is_named(module) else f"{operand} of op {node.name} ({node.kind})"
                kept.setdefault(offset, (name, f"operand {operand!r} of op {node.name!r} ({node.kind})", weight))
    tensors = _Tensors(module, [np.asarray(weight.value) for *_, weight in kept.values()])
    found = []
    for name, use, weight in kept.values():
        own = tensors.name(weight.value) or name
        found.append(FloatConstant(own, weight.shape, weight.bytes, (reasons or {}).get(own, use)))
    return tuple(sorted(found, key=lambda one: (-one.bytes, one.name)))


def _weights(node: ProgramNode) -> Iterator[tuple[str, int, PackageWeight]]:
    for operand, values in node.operands.items():
        for position, value in enumerate(values):
            if isinstance(value, PackageWeight) and value.operation in _PLAIN:
                yield operand, position, value


def _is_float(weight: PackageWeight) -> bool:
    value = np.asarray(weight.value)
    return value.ndim >= 2 and value.dtype.kind == "f"


def _is_named(module: nn.Module) -> bool:
    """Whether the program's own names are the user's: those of a package."""
    return hasattr(module, "constants")


class _Tensors:
    """Parameters and buffers by the content of what they hold, in fp16.

    Args:
        constants: what will be looked up, so that no other tensor is read.
    """

    def __init__(self, module: nn.Module, constants: Sequence[NDArray[Any]]) -> None:
        sizes = {value.size for value in constants}
        widths = {width for value in constants if value.ndim == 2 for width in value.shape}
        self._whole: dict[bytes, list[str]] = {}
        self._rows: dict[bytes, str] = {}
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.ndim < 2 or not tensor.is_floating_point() or "_COREML_/" in name:
                continue
            if tensor.numel() in sizes:
                for value in _both_ways(_half(tensor.detach().float().cpu().numpy())):
                    self._whole.setdefault(_hash(value), []).append(name)
            if tensor.ndim == 2 and tensor.shape[1] in widths:
                for row in _half(tensor.detach().float().cpu().numpy()):
                    self._rows.setdefault(_hash(row), name)

    def name(self, value: NDArray[Any]) -> str | None:
        """The tensor that a constant is, or whose rows it is made of (a recurrent op's gates, a part of a projection).

        Of equal tensors the next one, for constants come in the order of the model.
        """
        half = _half(value)
        same = self._whole.get(_hash(half))
        if same:
            return same.pop(0) if len(same) > 1 else same[0]
        for matrix in _both_ways(half) if half.ndim == 2 else ():
            names = {self._rows.get(_hash(row)) for row in matrix}
            if len(names) == 1:
                return names.pop()
        return None


def _half(value: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        return value.astype(np.float16)


def _both_ways(value: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """A matrix and its transpose; anything else alone."""
    return (value, value.T) if value.ndim == 2 else (value,)


def _hash(value: NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()
