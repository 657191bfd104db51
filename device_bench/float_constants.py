"""The floating-point constants of a program that are no layer's weight, named after the model's own tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from device_bench.package import PackageWeight
from device_bench.program_graph import ProgramNode

__all__ = ["FloatConstant", "float_constants"]

_PLAIN = ("const", "constexpr_cast")


@dataclass(frozen=True)
class FloatConstant:
    """A constant of two or more axes in the weight file that no configuration compresses.

    Attributes:
        name: of the parameter or buffer whose values it holds, rows in any order; else the op and its operand.
        shape: as stored.
        bytes: in the weight file.
    """

    name: str
    shape: tuple[int, ...]
    bytes: int


def float_constants(
    nodes: Sequence[ProgramNode], layers: Mapping[tuple[int, str, int], str], module: nn.Module
) -> tuple[FloatConstant, ...]:
    """Those of a program, each once, the largest first.

    Args:
        nodes: of the base program.
        layers: first layer name by op, parameter and position, where an operand is a layer's weight.
        module: the module that was converted; constants are matched with its tensors by content, in fp16.
    """
    kept: dict[tuple[str, int], tuple[str, PackageWeight]] = {}
    for index, node in enumerate(nodes):
        for operand, position, weight in _weights(node):
            offset = next((part.offset for *_, part in weight.parts() if part.offset is not None), None)
            if offset is not None and (index, operand, position) not in layers and _is_float(weight):
                name = weight.name if _is_named(module) else f"{operand} of op {node.name} ({node.kind})"
                kept.setdefault(offset, (name, weight))
    names = _names(module, {np.size(weight.value) for _, weight in kept.values()})
    found = []
    for name, weight in kept.values():
        known = next((names[key] for key in _keys(weight.value) if key in names), None) if names else None
        found.append(FloatConstant(_next(known) if known else name, weight.shape, weight.bytes))
    return tuple(sorted(found, key=lambda one: (-one.bytes, one.name)))


def _next(names: list[str]) -> str:
    """Of tensors with equal values the next one, for constants come in the order of the model."""
    return names.pop(0) if len(names) > 1 else names[0]


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


def _names(module: nn.Module, sizes: set[int]) -> dict[str, list[str]]:
    """Parameter and buffer names by the content of what they hold.

    Args:
        sizes: numbers of elements to look for, so that no other tensor is read.
    """
    names: dict[str, list[str]] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.numel() in sizes and tensor.is_floating_point() and tensor.ndim >= 2 and "_COREML_/" not in name:
            same: list[str] | None = None  # one list for all keys of equal tensors
            for key in _keys(_array(tensor)):
                same = names.setdefault(key, [] if same is None else same)
                if name not in same:
                    same.append(name)
    return names


def _array(tensor: Tensor) -> NDArray[Any]:
    values: NDArray[Any] = tensor.detach().float().cpu().numpy()
    return values


def _keys(value: NDArray[Any]) -> Iterator[str]:
    """Hashes of a constant's values: as they lie, turned over, and row by row in any order (a recurrent op's gates)."""
    with np.errstate(over="ignore", invalid="ignore"):
        half = np.ascontiguousarray(value.astype(np.float16))
    yield hashlib.sha256(half.tobytes()).hexdigest()
    matrix = half.reshape(half.shape[0], -1) if half.ndim == 2 else None
    if matrix is not None:
        yield hashlib.sha256(np.ascontiguousarray(matrix.T).tobytes()).hexdigest()
        rows = sorted(hashlib.sha256(row.tobytes()).digest() for row in matrix)
        yield hashlib.sha256(b"".join(rows)).hexdigest()
