"""Op lists from converted Core ML programs: of a package on disk, or of a model's base program.

Ops and their operands are those of https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
What Core ML's compilers fold away is left out: casts, changes of shape, activations behind a weighted op, and the pairs of
``quantize`` and ``dequantize`` that say where activations are 8-bit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import coremltools as ct

from palettune.device_bench.conversion.base_program import BaseProgram
from palettune.device_bench.cost.fixed_shapes import fix_shapes
from palettune.device_bench.cost.op import CostOp, OpKind, OpList
from palettune.device_bench.cost.op_node import OpNode
from palettune.device_bench.cost.op_reader import OpReader
from palettune.device_bench.package.package import load_spec
from palettune.device_bench.package.package_weights import stored_bytes
from palettune.device_bench.package.program_graph import program_nodes
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["PackageOps", "ops_of_base_program", "ops_of_package"]


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
        """Names of the layers whose activations are 8-bit."""
        return frozenset(op.layer for op in self.ops if op.int8 and op.layer is not None)


def ops_of_base_program(base: BaseProgram, layers: Iterable[Layer]) -> OpList:
    """Return the op list of a model's base program.

    Args:
        base: from ``base_program``.
        layers: the model's layers; ops that read a layer's weight carry its name. A layer that no op reads, or whose
            weight is computed with before use, is an op that takes no time.

    Raises:
        ProgramOpsError: the program has a dimension of unknown size.
    """
    known = {layer.name: layer for layer in layers}
    nodes = [OpNode(r.name, r.kind, dict(r.operands), r.types) for r in base.records]
    ops = OpList(OpReader(nodes, known, base.constants).ops())
    unused = (layer for name, layer in known.items() if name not in ops.layers)
    return OpList([*ops, *map(_unused, unused)])


def ops_of_package(path: str | Path, shapes: Mapping[str, Sequence[int]] | None = None) -> PackageOps:
    """Return the op list of a package, with its weights as stored.

    Args:
        path: an ``.mlpackage``.
        shapes: input name -> shape, for packages whose inputs have no fixed shape.

    Raises:
        PackageError: not an ML program package.
        ProgramOpsError: an input has no fixed shape and none was stated, or a stated one does not fit.
    """
    if shapes:
        with tempfile.TemporaryDirectory() as folder:
            fixed = _read_package(fix_shapes(Path(path), shapes, Path(folder) / "fixed.mlpackage"))
            return replace(fixed, target=_target(Path(path)))
    return _read_package(Path(path))


def _read_package(path: Path) -> PackageOps:
    nodes = program_nodes(path)
    ops = OpList(OpReader([OpNode(n.name, n.kind, n.operands, n.types) for n in nodes], {}).ops())
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
    return CostOp(layer.name, OpKind.LINEAR, 0, layer.shape, layer=layer.name, count=0)
