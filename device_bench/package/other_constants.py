"""Constants of a weight file that are no layer's weight, named after the model's own tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from palettune.device_bench.package.package import PackageWeight
from palettune.device_bench.package.program_graph import ProgramNode
from palettune.space.blob import Blob

__all__ = ["COMPRESSED_ALREADY", "NO_VECTOR", "OtherConstant", "other_constants"]

COMPRESSED_ALREADY = "compressed already"
NO_VECTOR = "coremltools compresses no vector"
_PLAIN = ("const", "constexpr_cast")
_HALF = 16


@dataclass(frozen=True)
class OtherConstant:
    """A constant in the weight file that no configuration compresses: floats or integers, plain or compressed.

    Attributes:
        name: of the parameter or buffer whose values it holds, rows in any order; else the op and its operand.
        shape: of what it decodes to.
        bytes: in the weight file.
        reason: why it is no layer's weight.
        float_bytes: of floats of two or more axes, which coverage is a share of: in the weight file, or of what one
            that a package holds compressed decodes to, in fp16; 0 of vectors, of integers, and of masks of a few
            values, which a conversion stores as tables without loss.
    """

    name: str
    shape: tuple[int, ...]
    bytes: int
    reason: str = ""
    float_bytes: int = 0


def other_constants(
    nodes: Sequence[ProgramNode],
    layers: Mapping[tuple[int, str, int], str],
    module: nn.Module,
    reasons: Mapping[str, str] | None = None,
) -> tuple[OtherConstant, ...]:
    """Return such constants of a program, each once, the largest first.

    Args:
        nodes: of the base program.
        layers: first layer name by op, parameter and position, where an operand is a layer's weight.
        module: the module that was converted; constants are matched with its tensors by content, floats in fp16.
        reasons: by tensor, why it is no layer's weight.
    """
    packaged = _is_named(module)
    kept: dict[tuple[tuple[str, int], ...], tuple[str, str, PackageWeight]] = {}
    for index, node in enumerate(nodes):
        for operand, position, weight in _weights(node):
            places = tuple(part.offset for *_, part in weight.parts() if part.offset is not None)
            if places and (index, operand, position) not in layers and _is_numeric(weight):
                name = weight.name if packaged else f"{operand} of op {node.name} ({node.kind})"
                kept.setdefault(places, (name, f"operand {operand!r} of op {node.name!r} ({node.kind})", weight))
    tensors = _Tensors(module, [np.asarray(weight.value) for *_, weight in kept.values()])
    found = []
    for name, use, weight in kept.values():
        own = tensors.name(np.asarray(weight.value)) or name
        reason = (reasons or {}).get(own) or _reason(weight, use, packaged)
        found.append(OtherConstant(own, weight.shape, weight.bytes, reason, _float_bytes(weight, packaged)))
    return tuple(sorted(found, key=lambda one: (-one.bytes, one.name)))


def _weights(node: ProgramNode) -> Iterator[tuple[str, int, PackageWeight]]:
    for operand, values in node.operands.items():
        for position, value in enumerate(values):
            if isinstance(value, PackageWeight):
                yield operand, position, value


def _is_numeric(weight: PackageWeight) -> bool:
    return np.asarray(weight.value).dtype.kind in "fiub"


def _reason(weight: PackageWeight, use: str, packaged: bool) -> str:
    if weight.operation not in _PLAIN:
        return COMPRESSED_ALREADY if packaged else f"stored as a table of its few values, without loss: {use}"
    if np.asarray(weight.value).dtype.kind != "f":
        return f"integers: {use}"
    return NO_VECTOR if len(weight.shape) < 2 else use


def _float_bytes(weight: PackageWeight, packaged: bool) -> int:
    value = np.asarray(weight.value)
    if value.ndim < 2 or value.dtype.kind != "f":
        return 0
    if weight.operation in _PLAIN:
        return weight.bytes
    return Blob(value.size, _HALF).bytes if packaged else 0  # masks that the conversion has stored in a bit a value


def _is_named(module: nn.Module) -> bool:
    """Whether the program's own names are the user's: those of a package."""
    return hasattr(module, "constants")


class _Tensors:
    """Parameters and buffers by the content of what they hold, floats in fp16.

    Args:
        constants: what will be looked up, so that no other tensor is read.
    """

    def __init__(self, module: nn.Module, constants: Sequence[NDArray[Any]]) -> None:
        sizes = {value.size for value in constants}
        widths = {width for value in constants if value.ndim == 2 for width in value.shape}
        self._whole: dict[bytes, list[str]] = {}
        self._rows: dict[bytes, str] = {}
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if "_COREML_/" in name or not tensor.ndim or tensor.is_complex() or tensor.is_quantized:
                continue
            if tensor.numel() in sizes:
                for value in _both_ways(_array(tensor)):
                    self._whole.setdefault(_hash(value), []).append(name)
            if tensor.ndim == 2 and tensor.shape[1] in widths and tensor.is_floating_point():
                for row in _array(tensor):
                    self._rows.setdefault(_hash(row), name)

    def name(self, value: NDArray[Any]) -> str | None:
        """The tensor that a constant is, or whose rows it is made of (a recurrent op's gates, a part of a projection).

        Of equal tensors the next one, for constants come in the order of the model.
        """
        plain = _comparable(value)
        same = self._whole.get(_hash(plain))
        if same:
            return same.pop(0) if len(same) > 1 else same[0]
        for matrix in _both_ways(plain) if plain.ndim == 2 else ():
            names = {self._rows.get(_hash(row)) for row in matrix}
            if len(names) == 1:
                return names.pop()
        return None


def _array(tensor: Tensor) -> NDArray[Any]:
    held = tensor.detach().cpu()
    return _comparable((held.float() if held.is_floating_point() else held).numpy())


def _comparable(value: NDArray[Any]) -> NDArray[Any]:
    """Equal for what a tensor holds and what the converter has made of it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return value.astype(np.float16 if value.dtype.kind == "f" else np.int64)


def _both_ways(value: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """A matrix and its transpose; anything else alone."""
    return (value, value.T) if value.ndim == 2 else (value,)


def _hash(value: NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()
