"""Op lists from converted Core ML programs: of a package on disk, or of a model's base program.

Ops and their operands are those of https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
What Core ML's compilers fold away is left out: casts, changes of shape, activations behind a weighted op, and the pairs of
``quantize`` and ``dequantize`` that say where activations are 8-bit.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coremltools as ct
from coremltools import proto

from palettune.device_bench.conversion.base_program import BaseProgram
from palettune.device_bench.cost.op import FP16_BYTES, CostOp, OpKind, OpList
from palettune.device_bench.cost.op_names import ACTIVATIONS, FREE, OF_CONSTANTS, PASSED_ON, RECURRENT, kind_of_op
from palettune.device_bench.package.package import PackageWeight, load_spec
from palettune.device_bench.package.package_weights import StoredConstant, stored_bytes, stored_constant
from palettune.device_bench.package.program_graph import Operand, program_nodes
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.errors import UserError, suggestion
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["PackageOps", "ProgramOpsError", "ops_of_base_program", "ops_of_package"]

Shape = tuple[int, ...]


class ProgramOpsError(UserError):
    """A program without a cost: its shapes are not known."""


@dataclass(frozen=True)
class PackageOps:
    """A package's op list and its weights as stored.

    Attributes:
        ops: every weighted op is a layer of its weight's name; each says how its weight is stored, and whether its
            activations are 8-bit.
        weights: layer -> what is stored.
        stored_bytes: bytes in the weight file by how they are stored (``fp16``, ``lut4``, ``sparse75+int8``), most first.
        target: the oldest deployment target whose packages have this format.
    """

    ops: OpList
    weights: Mapping[str, StoredWeight]
    stored_bytes: Mapping[str, int]
    target: DeploymentTarget

    @property
    def int8_layers(self) -> frozenset[str]:
        """The layers whose activations are 8-bit."""
        return frozenset(op.layer for op in self.ops if op.int8 and op.layer is not None)


def ops_of_base_program(base: BaseProgram, layers: Iterable[Layer]) -> OpList:
    """The op list of a model's base program.

    Args:
        base: from ``base_program``.
        layers: the model's layers; ops that read a layer's weight carry its name.

    Raises:
        ProgramOpsError: the program has a dimension of unknown size.
    """
    known = {layer.name: layer for layer in layers}
    nodes = [_Node(r.name, r.kind, dict(r.operands), r.types) for r in base.records]
    ops = OpList(_Reader(nodes, known, base.constants).ops())
    unused = (layer for name, layer in known.items() if name not in ops.layers)
    return OpList([*ops, *map(_unused, unused)])


def ops_of_package(path: str | Path, shapes: Mapping[str, Sequence[int]] | None = None) -> PackageOps:
    """The op list of a package.

    Args:
        path: an ``.mlpackage``.
        shapes: input name -> shape, for packages whose inputs have no fixed shape.

    Raises:
        PackageError: not an ML program package.
        ProgramOpsError: an input has no fixed shape and none was stated, or a stated one does not fit.
    """
    if shapes:
        with tempfile.TemporaryDirectory() as folder:
            fixed = _read_package(_materialized(Path(path), shapes, Path(folder) / "fixed.mlpackage"))
            return replace(fixed, target=_target(Path(path)))
    return _read_package(Path(path))


def _read_package(path: Path) -> PackageOps:
    nodes = program_nodes(path)
    reader = _Reader([_Node(n.name, n.kind, n.operands, n.types) for n in nodes], {})
    ops = OpList(reader.ops())
    weights = {op.layer: op.stored for op in ops if op.layer is not None and op.stored is not None}
    return PackageOps(
        ops,
        weights,
        stored_bytes(value for node in nodes for values in node.operands.values() for value in values),
        _target(path),
    )


def _target(path: Path) -> DeploymentTarget:
    version = load_spec(path).specificationVersion
    targets = [target for target in DeploymentTarget if getattr(ct.target, str(target)).value >= version]
    return min(targets, key=lambda target: target.generation, default=max(DeploymentTarget, key=lambda t: t.generation))


def _unused(layer: Layer) -> CostOp:
    """A layer that no op reads, or whose weight is computed with beforehand: it takes no time."""
    return CostOp(layer.name, OpKind.LINEAR, 0, layer.shape, layer=layer.name, count=0)


def _materialized(path: Path, shapes: Mapping[str, Sequence[int]], destination: Path) -> Path:
    """The package with fixed inputs, made by coremltools."""
    _check_stated(load_spec(path), shapes, path)
    model = ct.models.MLModel(str(path), skip_model_load=True)
    try:
        ct.models.utils.materialize_dynamic_shape_mlmodel(
            model, {"main": {name: tuple(shape) for name, shape in shapes.items()}}, str(destination)
        )
    except Exception as error:
        stated = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ProgramOpsError(f"{path}: the stated shapes do not fit ({stated}): {error}") from error
    return destination


def _check_stated(spec: Any, shapes: Mapping[str, Sequence[int]], path: Path) -> None:
    """Refuse shapes of inputs that the package does not have, or outside what it allows."""
    inputs = {item.name: item.type.multiArrayType for item in spec.description.input}
    for name, shape in shapes.items():
        if name not in inputs:
            raise ProgramOpsError(
                f"{path}: a shape is stated for {name!r}{suggestion(name, inputs)}; inputs are {', '.join(inputs)}"
            )
        bounds = [(side.lowerBound, side.upperBound) for side in inputs[name].shapeRange.sizeRanges]
        fits = len(bounds) == len(shape) and all(
            low <= size and (high < 0 or size <= high) for size, (low, high) in zip(shape, bounds, strict=True)
        )
        allowed = {tuple(one.shape) for one in inputs[name].enumeratedShapes.shapes} | {tuple(inputs[name].shape)}
        if not fits and tuple(shape) not in allowed:
            words = f"sizes from {bounds}" if bounds else f"one of {sorted(allowed)}"
            raise ProgramOpsError(f"{path}: the stated shapes do not fit ({name} {tuple(shape)}): it takes {words}")


@dataclass(frozen=True)
class _Node:
    name: str
    kind: str
    operands: Mapping[str, tuple[Operand, ...]]
    types: tuple[bytes, ...]


@dataclass(frozen=True)
class _Weight:
    """A weight where an op reads it.

    Attributes:
        layer: the layer whose encoding it takes, or None.
        shape: output channels first.
        operand, position: where it is read; position among several values of the operand.
        stored: how the program holds it; None for the weight of a model's layer.
        float_bits: of the floats that such a layer's program computes with.
    """

    layer: str | None
    shape: Shape
    operand: str
    position: int
    stored: StoredWeight | None
    float_bits: int = 16


class _Reader:
    """Turns nodes into ops, in order.

    Args:
        nodes: the program; its constants as they are, or as words.
        layers: by name; their weights are operands by words.
        constants: how those are stored that are words, and no layer's.
    """

    def __init__(
        self,
        nodes: Sequence[_Node],
        layers: Mapping[str, Layer],
        constants: Mapping[str, StoredConstant] | None = None,
    ) -> None:
        self._nodes, self._layers = nodes, layers
        self._constants = constants or {}
        self._inputs = {
            name: _shape(kind, node.name)
            for node in nodes
            if node.kind == "function"
            for name, kind in zip(node.operands, node.types, strict=True)
        }
        self._weighted: set[int] = set()
        self._int8: dict[str, bool] = {}

    def ops(self) -> Iterator[CostOp]:
        """All ops that take time."""
        for index, node in enumerate(self._nodes):
            if node.kind in FREE or not node.types or self._is_fused(node):
                continue
            yield from map(_in_float32, self._op(index, node)) if _computes_in_float32(node) else self._op(index, node)

    def _op(self, index: int, node: _Node) -> Iterator[CostOp]:
        out = _shape(node.types[0], node.name)
        found = list(self._weights(index, node))
        if found:
            self._weighted.add(index)
            yield from self._weighted_ops(node, found)
        elif node.kind == "scaled_dot_product_attention":
            yield from self._attention(node, out)
        elif node.kind in ("matmul", "einsum"):
            yield self._matmul(node, out)
        else:
            read, written = self._read(node), _elements(node.types, node.name)
            matrix = math.prod(out[-2:]) * FP16_BYTES if node.kind == "softmax" else 0
            yield CostOp(
                node.name, kind_of_op(node.kind), 0, (), read * FP16_BYTES, written * FP16_BYTES, None, matrix,
                int8=self._takes_int8(node, ()),
            )  # fmt: skip

    def _weighted_ops(self, node: _Node, found: Sequence[_Weight]) -> Iterator[CostOp]:
        """The op of a weight; a recurrent op stands once for each of its weights, and moves its activations once."""
        taken = {(weight.operand, weight.position) for weight in found}
        yield self._weighted_op(node, found[0], taken)
        if node.kind in RECURRENT:
            for weight in found[1:]:
                first = self._weighted_op(node, weight, taken)
                yield replace(first, name=f"{node.name}.{weight.operand}", read_bytes=0, written_bytes=0)

    def _weighted_op(self, node: _Node, weight: _Weight, taken: set[tuple[str, int]]) -> CostOp:
        read, written = self._read(node, taken), _elements(node.types, node.name)
        shape, elements = weight.shape, math.prod(weight.shape)
        int8 = self._takes_int8(node, taken)
        if node.kind in _GATHERS:
            kind = OpKind.EMBEDDING if node.kind == "gather" else OpKind.HOST
            moved = written * FP16_BYTES
            return CostOp(
                node.name, kind, 0, shape, moved, moved, weight.layer, stored=weight.stored, float_bits=weight.float_bits
            )  # fmt: skip
        if node.kind in RECURRENT:
            kind, macs = OpKind.RECURRENT, elements * max(1, self._steps(node))
        elif node.kind == "conv":
            depthwise = shape[1] == 1 and self._shape_of(node.operands["x"][0])[1] > 1
            kind = OpKind.DEPTHWISE if depthwise else OpKind.CONV
            macs = elements * (written // shape[0])
        elif node.kind == "conv_transpose":
            kind, macs = OpKind.CONV, elements * (read // shape[1])
        elif node.kind == "einsum":
            kind, macs = OpKind.LINEAR, elements * max(1, read // shape[1])
        else:
            kind, macs = OpKind.LINEAR, written * shape[-1]
        return CostOp(
            node.name, kind, macs, shape, read * FP16_BYTES, written * FP16_BYTES, weight.layer,
            int8=int8, stored=weight.stored, float_bits=weight.float_bits,
        )  # fmt: skip

    def _steps(self, node: _Node) -> int:
        """How often a recurrent op uses its weights: once for each step and sequence."""
        return math.prod(self._shape_of(node.operands["x"][0])[:-1])

    def _matmul(self, node: _Node, out: Shape) -> CostOp:
        operands = [self._shape_of(value) for name in ("x", "y", "values") for value in node.operands.get(name, ())]
        shared = operands[0][-1] if operands and operands[0] else 1
        if node.kind == "matmul" and _is_true(node, "transpose_x"):
            shared = operands[0][-2]
        matrix = max([math.prod(shape[-2:]) for shape in (*operands, out) if len(shape) > 1], default=0)
        return CostOp(
            node.name, OpKind.MATMUL, math.prod(out) * shared, (), sum(map(math.prod, operands)) * FP16_BYTES,
            math.prod(out) * FP16_BYTES, None, matrix * FP16_BYTES,
        )  # fmt: skip

    def _attention(self, node: _Node, out: Shape) -> Iterator[CostOp]:
        query, key = (self._shape_of(node.operands[name][0]) for name in ("query", "key"))
        heads, length = math.prod(query[:-2]), key[-2]
        scores = heads * query[-2] * length * FP16_BYTES
        matrix = query[-2] * length * FP16_BYTES
        macs = heads * query[-2] * length
        inputs = (math.prod(query) + math.prod(key)) * FP16_BYTES
        rest = math.prod(out) * FP16_BYTES
        yield CostOp(f"{node.name}.scores", OpKind.MATMUL, macs * query[-1], (), inputs, scores, None, matrix)
        yield CostOp(f"{node.name}.softmax", OpKind.SOFTMAX, 0, (), scores, scores, None, matrix)
        yield CostOp(f"{node.name}.sum", OpKind.MATMUL, macs * out[-1], (), scores + rest, rest, None, matrix)

    def _weights(self, index: int, node: _Node) -> Iterator[_Weight]:
        """The weights that an op reads, if it is of a kind that has some; of several operands, those of recurrent ops."""
        for name in _WEIGHT_OPERANDS.get(node.kind, ()):
            found = [
                weight
                for position, value in enumerate(node.operands.get(name, ()))
                if (weight := self._weight(node, value, (index, name, position))) is not None
            ]
            yield from found[:1]
            if found and node.kind not in RECURRENT:
                return

    def _weight(self, node: _Node, value: Operand, place: tuple[int, str, int]) -> _Weight | None:
        operand = place[1]
        axis = _output_axis(node, operand)
        if isinstance(value, str) and value.startswith("weight of "):
            layer = self._layers[value.removeprefix("weight of ")]
            return _Weight(layer.name, _output_first(layer.shape, axis), operand, place[2], None, layer.float_bits)
        constant = self._constant(value)
        if constant is None or len(constant.shape) < 2:
            return None
        shape = _output_first(constant.shape, axis)
        if isinstance(value, str) and value.startswith("const"):
            return _Weight(None, shape, operand, place[2], constant.weight(axis))
        name = value.name if isinstance(value, PackageWeight) else ""
        return _Weight(name or f"{node.name}.{operand}", shape, operand, place[2], constant.weight(axis))

    def _constant(self, value: Operand) -> StoredConstant | None:
        """How a constant is stored, also where ops that move or decode it stand before its use; None for all else."""
        if isinstance(value, PackageWeight):
            return stored_constant(value)
        if value.startswith("const"):
            return self._constants.get(value)
        found = self._source(value)
        if found is None or found.kind not in OF_CONSTANTS:
            return None
        inner = self._constant(_first(found))
        if inner is None:
            return None
        if found.kind == "dequantize":
            return replace(inner, scales=inner.scales or (1,) * len(inner.shape), in_rows=True)
        out = _shape(found.types[0], found.name)
        if found.kind == "transpose" and out == inner.shape[::-1]:
            return inner.transposed()
        return replace(inner, shape=out, tables=(), scales=(1,) * len(out) if inner.scales else (), in_rows=True)

    def _takes_int8(self, node: _Node, weights: Iterable[tuple[str, int]]) -> bool:
        """Whether all activations that an op reads are 8-bit; those of a weighted op are its first operand."""
        taken = set(weights)
        values = [
            value
            for name, values in node.operands.items()
            for position, value in enumerate(values)
            if (name, position) not in taken and isinstance(value, str) and value.startswith(("output ", "input "))
        ]
        if taken:
            values = [value for value in node.operands.get("x", ()) if value in values] or values
        return bool(values) and all(self._is_int8(value) for value in values)

    def _is_int8(self, value: str) -> bool:
        """Whether a value was rounded to 8 bits and decoded again, whatever only gave it on since."""
        if value not in self._int8:
            found = self._source(value)
            self._int8[value] = found is not None and (found.kind == "dequantize" or self._gives_int8(found))
        return self._int8[value]

    def _gives_int8(self, node: _Node) -> bool:
        if node.kind not in PASSED_ON:
            return False
        values = [v for v in node.operands.get("values", node.operands.get("x", ())) if isinstance(v, str)]
        return bool(values) and all(self._is_int8(value) for value in values)

    def _is_fused(self, node: _Node) -> bool:
        """An activation, or a scaling by constants, right behind a weighted op."""
        if node.kind not in ACTIVATIONS:
            return False
        index = self._index(_first(node))
        while index is not None and self._nodes[index].kind in ("cast", "quantize", "dequantize"):
            index = self._index(_first(self._nodes[index]))
        return index in self._weighted

    def _index(self, value: Operand) -> int | None:
        """Which op computes a value."""
        found = _OUTPUT.fullmatch(value) if isinstance(value, str) else None
        return None if found is None else int(found[2])

    def _source(self, value: Operand) -> _Node | None:
        """The op that computes a value."""
        index = self._index(value)
        return None if index is None else self._nodes[index]

    def _read(self, node: _Node, weights: Iterable[tuple[str, int]] = ()) -> int:
        """Activation elements that an op reads."""
        taken = set(weights)
        return sum(
            math.prod(self._shape_of(value))
            for name, values in node.operands.items()
            for position, value in enumerate(values)
            if (name, position) not in taken
            and isinstance(value, str)
            and not value.startswith(("weight of ", "const"))
        )

    def _shape_of(self, value: Operand) -> Shape:
        if isinstance(value, PackageWeight):
            return value.shape
        if value in self._constants:
            return self._constants[value].shape
        if found := _OUTPUT.fullmatch(value):
            node = self._nodes[int(found[2])]
            return _shape(node.types[int(found[1])], node.name)
        if value.startswith("input "):
            return self._inputs[value.removeprefix("input ")]
        if value.startswith("weight of "):
            return self._layers[value.removeprefix("weight of ")].shape
        return _constant_shape(value) or ()


def _computes_in_float32(node: _Node) -> bool:
    kind: Any = proto.MIL_pb2.ValueType.FromString(node.types[0])
    return bool(kind.tensorType.dataType == proto.MIL_pb2.DataType.FLOAT32)


def _in_float32(op: CostOp) -> CostOp:
    """The same op on floats of twice the size."""
    return replace(
        op,
        float32=True,
        read_bytes=2 * op.read_bytes,
        written_bytes=2 * op.written_bytes,
        matrix_bytes=2 * op.matrix_bytes,
    )


_OUTPUT = re.compile(r"output (\d+) of op (\d+)")
_CONSTANT = re.compile(r"const\w*\(\w+\[([\d, ]*)\]")
_WEIGHT_OPERANDS = {
    "conv": ("weight",), "conv_transpose": ("weight",), "linear": ("weight",), "matmul": ("y", "x"),
    "einsum": ("values",), "gather": ("x",), "gather_along_axis": ("x",),
    **dict.fromkeys(RECURRENT, ("weight_ih", "weight_hh", "weight_ih_back", "weight_hh_back")),
}  # fmt: skip
_GATHERS = frozenset({"gather", "gather_along_axis"})


def _constant_shape(word: str) -> Shape | None:
    found = _CONSTANT.match(word)
    return tuple(int(n) for n in found[1].split(",") if n.strip()) if found else None


def _first(node: _Node) -> Operand:
    """What an op of one input takes."""
    return next(iter(node.operands.get("x", node.operands.get("input", ()))), "")


def _output_axis(node: _Node, operand: str) -> int:
    """The axis of output channels: a matrix product's right operand lies input first, unless it is transposed."""
    if node.kind == "matmul":
        left = operand == "x"
        return -2 if left != _is_true(node, f"transpose_{operand}") else -1
    return 1 if node.kind == "conv_transpose" else 0


def _output_first(shape: Shape, axis: int) -> Shape:
    """A shape with its axis of output channels before that of input channels."""
    if axis == -1:
        return (*shape[:-2], shape[-1], shape[-2])
    return (shape[1], shape[0], *shape[2:]) if axis == 1 else shape


def _is_true(node: _Node, operand: str) -> bool:
    value = next(iter(node.operands.get(operand, ())), None)
    if isinstance(value, PackageWeight):
        return bool(value.value)
    return isinstance(value, str) and _TRUE in value


_TRUE = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"
"""SHA-256 of the one byte of a true boolean, as constants appear in a base program's words."""


def _elements(types: Sequence[bytes], name: str) -> int:
    return sum(math.prod(_shape(kind, name)) for kind in types)


def _shape(serialized: bytes, name: str) -> Shape:
    """Shape of a serialized value type; lists and scalars have none."""
    kind: Any = proto.MIL_pb2.ValueType.FromString(serialized)
    if kind.WhichOneof("type") != "tensorType":
        return ()
    if any(dimension.WhichOneof("dimension") != "constant" for dimension in kind.tensorType.dimensions):
        raise ProgramOpsError(
            f"{name}: a dimension has no fixed size; state the shape of each input that is flexible to predict for it"
        )
    return tuple(int(dimension.constant.size) for dimension in kind.tensorType.dimensions)
