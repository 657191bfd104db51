"""Reader of ``.mlpackage`` programs: coremltools' MIL loader, after checks that it leaves out.

Formats: https://apple.github.io/coremltools/mlmodel/Format/MIL.html; the weight file's layout is coremltools' own
(``mlmodel/src/MILBlob/Blob/StorageFormat.hpp``): a header, then for each constant 64 bytes that begin with a sentinel,
and its data.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct

from palettune.device_bench.library_internals import known_ops, load_mil_program
from palettune.device_bench.runtime.errors import ProgramError, UnsupportedOpError
from palettune.space.errors import suggestion

__all__ = ["ProgramFile", "read_program_file"]

_WEIGHTS = Path("Data/com.apple.CoreML/weights")
_SENTINEL, _ENTRY = 0xDEADBEEF, struct.Struct("<IIQQ")
# Ops of the file format that the loader turns into others.
_LOADER_OPS = {"write_state"}


@dataclass(frozen=True)
class ProgramFile:
    """One function of a package.

    Attributes:
        path: the package.
        function_name: ``main``, unless the package has several functions.
        function: coremltools' MIL function: ops, blocks and typed variables.
        inputs: the model description's inputs, protobuf messages.
        outputs: its outputs.
        states: its states.
        functions: names of all functions of the package.
    """

    path: Path
    function_name: str
    function: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    states: tuple[Any, ...]
    functions: tuple[str, ...]


def read_program_file(path: str | Path, function: str | None = None) -> ProgramFile:
    """Read one function of an ML Program package; the default function when none is named.

    Raises:
        ProgramError: no package, not an ML Program, a damaged weight file, or no such function.
        UnsupportedOpError: an op that coremltools does not know.
    """
    path = Path(path)
    spec = _spec(path)
    name = _function_name(path, spec, function)
    folder = path / _WEIGHTS
    for function_name, body in spec.mlProgram.functions.items():
        for block in body.block_specializations.values():
            _check_block(path, folder, function_name, block)
    logger = logging.getLogger("coremltools")
    level = logger.level
    # The loader logs each renamed variable; the level is put back at once.
    logger.setLevel(logging.ERROR)
    try:
        program = load_mil_program(spec, spec.specificationVersion, folder)
    except Exception as error:
        raise ProgramError(
            f"{path}: coremltools cannot read the program ({error}); export the package again"
        ) from error
    finally:
        logger.setLevel(level)
    description = _description(spec, name)
    return ProgramFile(
        path,
        name,
        program.functions[name],
        tuple(description.input),
        tuple(description.output),
        tuple(description.state),
        tuple(program.functions),
    )


def _spec(path: Path) -> Any:
    if not path.exists():
        raise ProgramError(f"{path}: no such package")
    try:
        spec = ct.utils.load_spec(str(path))
    except Exception as error:
        hint = "it is compiled; give the .mlpackage that it was compiled from" if path.suffix == ".mlmodelc" else error
        raise ProgramError(f"{path}: not a readable Core ML package ({hint})") from error
    kind = spec.WhichOneof("Type")
    if kind != "mlProgram":
        raise ProgramError(f"{path}: holds a {kind}, {_instead(kind)}")
    return spec


def _instead(kind: str) -> str:
    """What to do with a model that is no ML Program."""
    if kind.startswith("neuralNetwork"):
        return (
            "an older format; the runtime runs ML Programs. Convert the source model again with "
            'coremltools.convert(..., convert_to="mlprogram"), minimum_deployment_target iOS15 or later'
        )
    if kind.startswith("pipeline"):
        return "several models in a row; the runtime runs ML Programs: give each ML Program that is in it by itself"
    return "which is no ML Program; the runtime runs nothing else"


def _function_name(path: Path, spec: Any, wanted: str | None) -> str:
    names = list(spec.mlProgram.functions)
    name = wanted or spec.description.defaultFunctionName or ("main" if "main" in names else names[0])
    if name not in names:
        raise ProgramError(f"{path}: has no function {name!r}, only {', '.join(names)}{suggestion(name, names)}")
    return name


def _description(spec: Any, name: str) -> Any:
    for described in spec.description.functions:
        if described.name == name:
            return described
    return spec.description


def _check_block(path: Path, folder: Path, function: str, block: Any) -> None:
    for operation in block.operations:
        name = _name(operation)
        if operation.type not in known_ops() and operation.type not in _LOADER_OPS:
            raise UnsupportedOpError(
                f"{path}, function {function!r}, op {name!r}: coremltools {ct.__version__} knows no op of type "
                f"{operation.type!r}"
            )
        for value in _values(operation):
            if value.WhichOneof("value") == "blobFileValue":
                _check_blob(folder, name, value)
        for inner in operation.blocks:
            _check_block(path, folder, function, inner)


def _name(operation: Any) -> str:
    if "name" in operation.attributes:
        return str(operation.attributes["name"].immediateValue.tensor.strings.values[0])
    return str(operation.outputs[0].name) if operation.outputs else str(operation.type)


def _values(operation: Any) -> Iterator[Any]:
    yield from operation.attributes.values()
    for argument in operation.inputs.values():
        yield from (binding.value for binding in argument.arguments if binding.WhichOneof("binding") == "value")


def _check_blob(folder: Path, name: str, value: Any) -> None:
    """The constant's entry lies within the weight file and holds as many bytes as its type says."""
    file = folder / value.blobFileValue.fileName.split("/")[-1]
    if not file.is_file():
        raise ProgramError(f"{file}: missing, although constant {name!r} lies in it; export the package again")
    start, length = value.blobFileValue.offset, file.stat().st_size
    if start + _ENTRY.size > length:
        raise ProgramError(f"{file}: truncated at {length} bytes; constant {name!r} begins at {start}")
    with file.open("rb") as stream:
        stream.seek(start)
        sentinel, _, size, offset = _ENTRY.unpack(stream.read(_ENTRY.size))
    if sentinel != _SENTINEL:
        raise ProgramError(f"{file}: altered; no constant begins at byte {start}, where {name!r} should")
    if offset + size > length:
        raise ProgramError(f"{file}: truncated at {length} bytes; constant {name!r} ends at {offset + size}")
    expected = _bytes(value.type.tensorType)
    if size != expected:
        raise ProgramError(f"{file}: altered; constant {name!r} holds {size} bytes, its type needs {expected}")


def _bytes(tensor_type: Any) -> int:
    count = 1
    for dimension in tensor_type.dimensions:
        count *= dimension.constant.size
    kind = ct.proto.MIL_pb2.DataType.Name(tensor_type.dataType)
    bits = int("".join(filter(str.isdigit, kind)) or 8)
    return -(-count * bits // 8)
