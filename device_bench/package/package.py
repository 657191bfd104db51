"""Weights of a saved ``.mlpackage``, as stored and decoded; nothing is run, so any machine will do.

The package is opened again from disk, constants through coremltools' own reader (``frontend.milproto``).
Format: https://apple.github.io/coremltools/mlmodel/Format/MIL.html.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import types

from palettune.device_bench.library_internals import TranscriptionContext, read_constant
from palettune.device_bench.package.constexpr import decode
from palettune.space.errors import UserError

__all__ = ["Consumer", "PackageError", "PackageWeight", "StoredPart", "package_bytes", "weight_bytes", "weights"]

_WEIGHTS = Path("Data/com.apple.CoreML/weights")


class PackageError(UserError):
    """A path without a readable ML program package; the message names the file."""


@dataclass(frozen=True, eq=False)
class StoredPart:
    """One constant as stored.

    Attributes:
        value: array or scalar; integers below 8 bits come one to a byte.
        dtype: as stored, ``fp16``, ``uint4`` ...
        offset: place in the weight file, or ``None`` when the value stands in the program itself (under 10 elements).
        bytes: taken in the weight file: entry header, data and padding.
    """

    value: Any
    dtype: str
    offset: tuple[str, int] | None = None
    bytes: int = 0

    @property
    def bits(self) -> int:
        """Bits per element."""
        return int("".join(filter(str.isdigit, self.dtype)) or 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as stored; empty for a scalar."""
        return tuple(np.shape(self.value))


@dataclass(frozen=True)
class Consumer:
    """Use of a weight: the operand of one op."""

    op: str
    kind: str
    operand: str


@dataclass(frozen=True, eq=False)
class PackageWeight:
    """A constant of a package, plain or compressed.

    Attributes:
        name: its name in the program.
        function: the program function that it stands in.
        operation: ``const``, or the last ``constexpr_...`` op, whose output the consumers read.
        inputs: by parameter name, a stored part or the weight that an inner ``constexpr_...`` op makes.
        output: which output of ``operation``; the sparse ones have a mask and the data.
        consumers: the operands that read it.
    """

    name: str
    function: str
    operation: str
    inputs: Mapping[str, StoredPart | PackageWeight]
    output: int = 0
    consumers: tuple[Consumer, ...] = field(default=())

    @property
    def chain(self) -> tuple[str, ...]:
        """Types of the ``constexpr_...`` ops from the stored data to the value; empty for a plain constant."""
        if self.operation == "const":
            return ()
        inner = [value.chain for value in self.inputs.values() if isinstance(value, PackageWeight)]
        return (*max(inner, key=len, default=()), self.operation)

    @property
    def used(self) -> bool:
        """Whether an op other than a decoding one reads the weight."""
        return any(not consumer.kind.startswith("constexpr_") for consumer in self.consumers)

    def parts(self) -> Iterator[tuple[str, str, StoredPart]]:
        """Yield every stored part, from the inside out: type of the op that reads it, name of the parameter, part."""
        seen: set[int] = set()
        for name, value in self.inputs.items():
            if isinstance(value, PackageWeight):
                for found in value.parts():
                    if id(found[2]) not in seen:
                        seen.add(id(found[2]))
                        yield found
            elif id(value) not in seen:
                seen.add(id(value))
                yield self.operation, name, value

    def part(self, operation: str, name: str) -> StoredPart | None:
        """Return the part that an op of the chain reads under a parameter name; None without one."""
        return next((part for op, key, part in self.parts() if op == operation and key == name), None)

    @property
    def bytes(self) -> int:
        """Bytes in the weight file."""
        return sum({part.offset: part.bytes for *_, part in self.parts() if part.offset is not None}.values())

    @cached_property
    def value(self) -> Any:
        """Decoded value, in the float type that the program computes with."""
        stored = {key: value.value for key, value in self.inputs.items()}
        return stored["val"] if self.operation == "const" else decode(self.operation, stored, self.output)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the decoded value."""
        return tuple(np.shape(self.value))


def weights(path: str | Path) -> tuple[PackageWeight, ...]:
    """Return every constant of a package that lies in its weight file or is compressed, in program order.

    The inner values of a ``constexpr_...`` chain are not listed: the weight that comes out of it holds them.

    Raises:
        PackageError: not an ML program package, or damaged beyond reading.
    """
    return tuple(
        weight for weight in constants(load_spec(path), path) if (weight.chain or weight.bytes) and weight.used
    )


def weight_bytes(path: str | Path) -> int:
    """Return the size of the package's weight files in bytes."""
    return sum(file.stat().st_size for file in (Path(path) / _WEIGHTS).glob("*") if file.is_file())


def package_bytes(path: str | Path) -> int:
    """Return the size of all files of a package in bytes."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def load_spec(path: str | Path) -> Any:
    """Load the package's ``Model`` message; raise PackageError unless it is an ML program."""
    try:
        spec = ct.models.utils.load_spec(str(path))
    except Exception as error:
        raise PackageError(f"{path}: not a readable Core ML package ({error})") from error
    if spec.WhichOneof("Type") != "mlProgram":
        raise PackageError(
            f"{path}: holds a {spec.WhichOneof('Type')}, an mlProgram is needed; convert the model again"
        )
    return spec


def blocks(function: Any) -> Iterator[Any]:
    """Yield the operations of a program function in order, those of nested blocks before the op that holds them."""
    for operation in function.block_specializations[function.opset].operations:
        yield from _nested(operation)


def constants(spec: Any, path: str | Path) -> tuple[PackageWeight, ...]:
    """Return every constant of the program, small ones too, with its consumers."""
    reader = Reader(spec, Path(path))
    found: list[PackageWeight] = []
    for name, function in spec.mlProgram.functions.items():
        found += reader.read(name, list(blocks(function)))
    return tuple(found)


def _nested(operation: Any) -> Iterator[Any]:
    for block in operation.blocks:
        for inner in block.operations:
            yield from _nested(inner)
    yield operation


class Reader:
    """Reader of constants and of the bytes that each takes in the weight file."""

    def __init__(self, spec: Any, path: Path) -> None:
        self._folder = path / _WEIGHTS
        self._context = TranscriptionContext(str(self._folder))
        self._parts: dict[tuple[str, int], StoredPart] = {}
        self._spans = _spans(spec, self._folder)

    def read(self, function: str, operations: list[Any]) -> list[PackageWeight]:
        """Return the constants of one function."""
        consumers: dict[str, list[Consumer]] = {}
        for operation in operations:
            for operand, argument in operation.inputs.items():
                for binding in argument.arguments:
                    if binding.name:
                        consumers.setdefault(binding.name, []).append(
                            Consumer(_name(operation), operation.type, operand)
                        )
        known: dict[str, Any] = {}
        for operation in operations:
            if operation.type == "const" or operation.type.startswith("constexpr_"):
                known.update(self.constant(function, operation, known, consumers))
        return list(known.values())

    def constant(
        self,
        function: str,
        operation: Any,
        known: Mapping[str, Any],
        consumers: Mapping[str, list[Consumer]] | None = None,
    ) -> dict[str, PackageWeight]:
        """Return the outputs by name of one ``const`` or ``constexpr_...`` op, given the constants ``known`` before it."""
        inputs = dict(self._inputs(operation, known))
        used = consumers or {}
        return {
            output.name: PackageWeight(
                output.name, function, operation.type, inputs, index, tuple(used.get(output.name, ()))
            )
            for index, output in enumerate(operation.outputs)
        }

    def _inputs(self, operation: Any, known: Mapping[str, Any]) -> Iterator[tuple[str, StoredPart | PackageWeight]]:
        """Parameters of a constant op: attributes up to iOS 17, inputs from iOS 18 on."""
        for name, value in operation.attributes.items():
            if name != "name":
                yield name, self.part(value)
        for name, argument in operation.inputs.items():
            binding = argument.arguments[0]
            yield name, known[binding.name] if binding.name else self.part(binding.value)

    def part(self, value: Any) -> StoredPart:
        """Return one stored value; each entry of the weight file is read once."""
        if value.WhichOneof("value") != "blobFileValue":
            return StoredPart(self._load(value), _dtype(value))
        file = value.blobFileValue
        offset = (file.fileName.split("/")[-1], file.offset)
        if offset not in self._parts:
            self._parts[offset] = StoredPart(self._load(value), _dtype(value), offset, self._spans[offset])
        return self._parts[offset]

    def _load(self, value: Any) -> Any:
        try:
            return read_constant(self._context, value)
        except NotImplementedError:  # lists and the like: never a weight
            return value.SerializeToString(deterministic=True)
        except (RuntimeError, ValueError) as error:
            raise PackageError(
                f"{self._folder}: a constant cannot be read ({error}); export the package again"
            ) from error


def _spans(spec: Any, folder: Path) -> dict[tuple[str, int], int]:
    """Bytes from each entry of the weight files to the next one, or to the end."""
    offsets: dict[str, set[int]] = {}
    for function in spec.mlProgram.functions.values():
        for operation in blocks(function):
            for value in _values(operation):
                if value.WhichOneof("value") == "blobFileValue":
                    file = value.blobFileValue
                    offsets.setdefault(file.fileName.split("/")[-1], set()).add(file.offset)
    spans: dict[tuple[str, int], int] = {}
    for name, starts in offsets.items():
        if not (folder / name).is_file():
            raise PackageError(f"{folder / name}: the weight file is missing; export the package again")
        order = [*sorted(starts), (folder / name).stat().st_size]
        spans.update({(name, start): end - start for start, end in itertools.pairwise(order)})
    return spans


def _values(operation: Any) -> Iterator[Any]:
    yield from operation.attributes.values()
    for argument in operation.inputs.values():
        yield from (binding.value for binding in argument.arguments if binding.HasField("value"))


def _name(operation: Any) -> str:
    if "name" in operation.attributes:
        return str(operation.attributes["name"].immediateValue.tensor.strings.values[0])
    return str(operation.outputs[0].name if operation.outputs else operation.type)


def _dtype(value: Any) -> str:
    if value.type.WhichOneof("type") != "tensorType":
        return "other"
    return str(types.builtin_to_string(types.PROTO_TO_BUILTIN_TYPE[value.type.tensorType.dataType]))
