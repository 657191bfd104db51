"""Computation of a package without its names: ops in order, each with what its operands are.

Two packages of one model are compared by it: op by op, operand by operand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palettune.device_bench.package.package import PackageWeight, Reader, StoredPart, load_spec

__all__ = ["RECURRENT_OPS", "Operand", "ProgramNode", "fingerprint", "program_nodes"]

#: A constant, or words for what is computed: ``output 0 of op 12``, ``input x``.
Operand = PackageWeight | str

#: Types of the ops that read a sequence step by step; each has several weights.
RECURRENT_OPS = frozenset({"gru", "lstm", "rnn"})


@dataclass(frozen=True, eq=False)
class ProgramNode:
    """One op of a program, constants excepted.

    Attributes:
        name: its name in the program, for messages; two packages may differ in it.
        kind: op type; ``function``, ``block`` and ``return`` stand for what encloses ops.
        operands: by parameter name, in the order of the program; a parameter may take several.
        types: of its outputs, as the format writes them.
    """

    name: str
    kind: str
    operands: Mapping[str, tuple[Operand, ...]]
    types: tuple[bytes, ...] = ()


def program_nodes(path: str | Path) -> tuple[ProgramNode, ...]:
    """Return the ops of all functions of a package, in program order.

    Raises:
        PackageError: not an ML program package, or damaged beyond reading.
    """
    spec = load_spec(path)
    reader = Reader(spec, Path(path))
    nodes: list[ProgramNode] = []
    for name, function in spec.mlProgram.functions.items():
        _Walk(reader, nodes, name).function(function)
    return tuple(nodes)


def fingerprint(operand: Operand) -> str:
    """Return words for an operand that are equal exactly when the operands are; constants by the SHA-256 of their content."""
    if isinstance(operand, str):
        return operand
    content = [
        fingerprint_of_part(value) if isinstance(value, StoredPart) else fingerprint(value)
        for value in _inputs(operand)
    ]
    return f"{operand.operation}({', '.join(content)})"


def fingerprint_of_part(part: StoredPart) -> str:
    """Return type, shape and SHA-256 of one stored constant."""
    value = part.value
    content = (
        np.ascontiguousarray(value).tobytes() if isinstance(value, (np.ndarray, np.generic)) else repr(value).encode()
    )
    return f"{part.dtype}{list(part.shape)} {hashlib.sha256(content).hexdigest()}"


def _inputs(weight: PackageWeight) -> Iterator[StoredPart | PackageWeight]:
    return (weight.inputs[name] for name in sorted(weight.inputs))


class _Walk:
    """Numbers the ops of one function and resolves what their operands refer to."""

    def __init__(self, reader: Reader, nodes: list[ProgramNode], name: str) -> None:
        self._reader, self._nodes, self._name = reader, nodes, name
        self._known: dict[str, Operand] = {}

    def function(self, function: Any) -> None:
        """Add the ops of a function, its inputs before and its results after them."""
        inputs = {item.name: f"input {item.name}" for item in function.inputs}
        types = tuple(item.type.SerializeToString(deterministic=True) for item in function.inputs)
        self._nodes.append(
            ProgramNode(self._name, "function", {name: (value,) for name, value in inputs.items()}, types)
        )
        self._known.update(inputs)
        self._block(function.block_specializations[function.opset])

    def _block(self, block: Any) -> None:
        for index, item in enumerate(block.inputs):
            self._known[item.name] = f"block input {index} at op {len(self._nodes)}"
        for operation in block.operations:
            if operation.type == "const" or operation.type.startswith("constexpr_"):
                self._known.update(self._reader.constant(self._name, operation, self._known))
            else:
                self._operation(operation)
        results = {f"result {index}": (self._known[name],) for index, name in enumerate(block.outputs)}
        self._nodes.append(ProgramNode(self._name, "return", results))

    def _operation(self, operation: Any) -> None:
        for block in operation.blocks:
            self._block(block)
        operands = {
            name: tuple(self._operand(binding) for binding in argument.arguments)
            for name, argument in sorted(operation.inputs.items())
        }
        types = tuple(item.type.SerializeToString(deterministic=True) for item in operation.outputs)
        for index, item in enumerate(operation.outputs):
            self._known[item.name] = f"output {index} of op {len(self._nodes)}"
        name = operation.outputs[0].name if operation.outputs else operation.type
        self._nodes.append(ProgramNode(name, operation.type, operands, types))

    def _operand(self, binding: Any) -> Operand:
        if binding.name:
            return self._known[binding.name]
        return PackageWeight("", self._name, "const", {"val": self._reader.part(binding.value)})
