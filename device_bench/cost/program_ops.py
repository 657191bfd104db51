"""Op lists from converted Core ML programs: of a package on disk, or of a model's base program.

Ops and their operands are those of https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
What Core ML's compilers fold away is left out: casts, changes of shape, and activations behind a weighted op.
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

from device_bench.base_program import BaseProgram
from device_bench.cost.op import FP16_BYTES, CostOp, OpKind, OpList
from device_bench.cost.package_weights import stored_weight
from device_bench.cost.stored_weight import StoredWeight
from device_bench.package import PackageWeight, load_spec
from device_bench.program_graph import Operand, program_nodes
from space.errors import UserError, suggestion
from space.layer import Layer

__all__ = ["PackageOps", "ProgramOpsError", "ops_of_base_program", "ops_of_package"]

Shape = tuple[int, ...]
_FREE = frozenset(
    {
        "cast", "const", "expand_dims", "function", "identity", "read_state", "reshape", "return", "shape", "squeeze",
        "transpose",
    }
)  # fmt: skip
_ACTIVATIONS = frozenset(
    {
        "batch_norm", "clamped_relu", "clip", "elu", "gelu", "leaky_relu", "linear_activation", "prelu", "relu",
        "relu6", "scaled_tanh", "sigmoid", "sigmoid_hard", "silu", "softplus", "softsign", "tanh",
    }
)  # fmt: skip
_MOVES = frozenset(
    {
        "concat", "coreml_update_state", "crop", "pad", "pixel_shuffle", "reverse", "slice_by_index", "slice_by_size",
        "slice_update", "sliding_windows", "space_to_depth", "depth_to_space", "split", "stack", "tile",
        "upsample_bilinear", "upsample_nearest_neighbor", "resize_bilinear", "resize_nearest_neighbor",
    }
)  # fmt: skip
_HOST = frozenset(
    {
        "argsort", "classify", "cond", "cumsum", "gather_along_axis", "gather_nd", "make_list", "non_maximum_suppression",
        "non_zero", "one_hot", "random_normal", "random_uniform", "range_1d", "reduce_argmax", "reduce_argmin",
        "scatter", "scatter_along_axis", "scatter_nd", "topk", "while_loop",
    }
)  # fmt: skip
_RECURRENT = frozenset({"gru", "lstm", "rnn"})
_NORMS = frozenset({"instance_norm", "l2_norm", "layer_norm", "local_response_norm"})


class ProgramOpsError(UserError):
    """A program without a cost: its shapes are not known."""


@dataclass(frozen=True)
class PackageOps:
    """A package's op list and its weights as stored.

    Attributes:
        ops: every weighted op is a layer of its weight's name.
        weights: layer -> what is stored.
    """

    ops: OpList
    weights: Mapping[str, StoredWeight]


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
    return OpList(_Reader(nodes, known).ops())


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
            return _read_package(_materialized(Path(path), shapes, Path(folder) / "fixed.mlpackage"))
    return _read_package(Path(path))


def _read_package(path: Path) -> PackageOps:
    nodes = [_Node(n.name, n.kind, n.operands, n.types) for n in program_nodes(path)]
    reader = _Reader(nodes, {})
    return PackageOps(OpList(reader.ops()), reader.weights)


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


class _Reader:
    """Turns nodes into ops, in order."""

    def __init__(self, nodes: Sequence[_Node], layers: Mapping[str, Layer]) -> None:
        self._nodes, self._layers = nodes, layers
        self._inputs = {
            name: _shape(kind, node.name)
            for node in nodes
            if node.kind == "function"
            for name, kind in zip(node.operands, node.types, strict=True)
        }
        self._weighted: set[int] = set()
        self.weights: dict[str, StoredWeight] = {}

    def ops(self) -> Iterator[CostOp]:
        """All ops that take time."""
        for index, node in enumerate(self._nodes):
            if node.kind in _FREE or not node.types or self._is_fused(node):
                continue
            yield from map(_in_float32, self._op(index, node)) if _computes_in_float32(node) else self._op(index, node)

    def _op(self, index: int, node: _Node) -> Iterator[CostOp]:
        out = _shape(node.types[0], node.name)
        found = self._weight(node)
        if found is not None:
            self._weighted.add(index)
            yield self._weighted_op(node, *found)
        elif node.kind == "scaled_dot_product_attention":
            yield from self._attention(node, out)
        elif node.kind in ("matmul", "einsum"):
            yield self._matmul(node, out)
        else:
            read, written = self._read(node), _elements(node.types, node.name)
            matrix = math.prod(out[-2:]) * FP16_BYTES if node.kind == "softmax" else 0
            yield CostOp(node.name, _kind(node.kind), 0, (), read * FP16_BYTES, written * FP16_BYTES, None, matrix)

    def _weighted_op(self, node: _Node, layer: str, shape: Shape, operand: str) -> CostOp:
        read, written = self._read(node, operand), _elements(node.types, node.name)
        elements = math.prod(shape)
        if node.kind == "gather":
            moved = written * FP16_BYTES
            return CostOp(node.name, OpKind.EMBEDDING, 0, shape, moved, moved, layer)
        if node.kind in _RECURRENT:
            kind, macs = OpKind.RECURRENT, elements * max(1, read // max(1, shape[-1]))
        elif node.kind == "conv":
            depthwise = shape[1] == 1 and self._shape_of(node.operands["x"][0])[1] > 1
            kind = OpKind.DEPTHWISE if depthwise else OpKind.CONV
            macs = elements * (written // shape[0])
        elif node.kind == "conv_transpose":
            kind, macs = OpKind.CONV, elements * (read // shape[0])
        else:
            kind, macs = OpKind.LINEAR, elements * max(1, read // shape[1])
        return CostOp(node.name, kind, macs, shape, read * FP16_BYTES, written * FP16_BYTES, layer)

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

    def _weight(self, node: _Node) -> tuple[str, Shape, str] | None:
        """Layer, shape and operand of the weight that an op reads, if it is of a kind that has one."""
        names = _WEIGHT_OPERANDS.get(node.kind, ())
        for name in names:
            for value in node.operands.get(name, ()):
                if isinstance(value, PackageWeight) and len(value.shape) > 1:
                    stored = stored_weight(value)
                    layer = value.name or node.name
                    self.weights[layer] = stored
                    return layer, _output_first(node, name, value.shape), name
                if isinstance(value, str) and value.startswith("weight of "):
                    layer = value.removeprefix("weight of ")
                    return layer, self._layers[layer].shape, name
                if isinstance(value, str) and (constant := _constant_shape(value)) and len(constant) > 1:
                    return f"{node.name}.{name}", _output_first(node, name, constant), name
        return None

    def _is_fused(self, node: _Node) -> bool:
        """An activation, or a scaling by constants, right behind a weighted op."""
        if node.kind not in _ACTIVATIONS:
            return False
        source = next(iter(node.operands.get("x", ())), "")
        found = _OUTPUT.fullmatch(source) if isinstance(source, str) else None
        if found is None:
            return False
        index = int(found[2])
        while self._nodes[index].kind == "cast":
            source = self._nodes[index].operands["x"][0]
            found = _OUTPUT.fullmatch(source) if isinstance(source, str) else None
            if found is None:
                return False
            index = int(found[2])
        return index in self._weighted

    def _read(self, node: _Node, weight: str | None = None) -> int:
        """Activation elements that an op reads."""
        return sum(
            math.prod(self._shape_of(value))
            for name, values in node.operands.items()
            if name != weight
            for value in values
            if isinstance(value, str) and not value.startswith(("weight of ", "const"))
        )

    def _shape_of(self, value: Operand) -> Shape:
        if isinstance(value, PackageWeight):
            return value.shape
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
    "einsum": ("values",), "gather": ("x",), "gru": ("weight_ih",), "lstm": ("weight_ih",), "rnn": ("weight_ih",),
}  # fmt: skip
_KINDS = {"softmax": OpKind.SOFTMAX, "avg_pool": OpKind.POOL, "max_pool": OpKind.POOL, "l2_pool": OpKind.POOL}


def _kind(kind: str) -> OpKind:
    if kind in _KINDS:
        return _KINDS[kind]
    groups = ((_MOVES, OpKind.MOVE), (_HOST, OpKind.HOST), (_RECURRENT, OpKind.RECURRENT), (_NORMS, OpKind.NORM))
    for names, found in groups:
        if kind in names:
            return found
    return OpKind.POOL if kind.startswith("reduce_") else OpKind.ELEMENTWISE


def _constant_shape(word: str) -> Shape | None:
    found = _CONSTANT.match(word)
    return tuple(int(n) for n in found[1].split(",") if n.strip()) if found else None


def _output_first(node: _Node, operand: str, shape: Shape) -> Shape:
    """A matrix product's right operand lies input first, unless it is transposed."""
    if node.kind == "matmul" and operand == "y" and not _is_true(node, "transpose_y"):
        return (*shape[:-2], shape[-1], shape[-2])
    return shape


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
